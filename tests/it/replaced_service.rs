//! What pages of the replaced service rely on: its paths, and its names of fields next to ours (docs/replaced-service.md).

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::ingest_fixture::insert_transactions;
use crate::harness::test_system::{OPERATOR, TestSystem, VIEWER, Web};

/// The path under `/api/v1/metrics`, the JSON pointer of an object of the response, and its fields.
const NAMES: &[(&str, &str, &[&str])] = &[
    ("overview", "", &["conversion_rate", "total_count", "total_amount", "avg_ticket", "avg_ticket_usd"]),
    ("comparison", "/current", &["period_name", "avg_ticket_usd", "total_count", "conversion_rate"]),
    ("comparison", "/previous", &["period_name", "avg_ticket_usd"]),
    ("comparison", "/comparison", &["conversion_change", "avg_ticket_change", "avg_ticket_change_percent"]),
    ("hourly-distribution", "/data/0", &["day_of_week", "day_name", "hour", "count", "failed_count", "success_rate"]),
    ("by-merchant", "", &["items", "merchants", "total", "page", "limit", "pages"]),
    ("by-merchant", "/merchants/0", &["merchant_id", "project", "total_count", "first_txn_at", "last_txn_at"]),
    ("by-country", "", &["countries", "total_count", "total_amount", "total_amount_usd"]),
    ("by-country", "/countries/0", &["country", "country_name", "percentage_of_total", "percentage_of_amount"]),
    ("rpm", "", &["current_rpm", "avg_rpm", "max_rpm", "min_rpm", "total_transactions", "data"]),
    ("rpm", "/data/0", &["timestamp", "rpm", "success_rpm", "failed_rpm"]),
    (
        "live",
        "",
        &[
            "current_rpm",
            "success_rate",
            "pending_count",
            "last_5min_count",
            "last_5min_amount",
            "last_5min_amount_usd",
            "last_5min_success_count",
            "last_5min_failed_count",
        ],
    ),
    ("heatmap", "/cells/0", &["x", "y", "x_label", "y_label", "value", "count"]),
    ("horizontal-bars/project", "", &["bars", "metric", "limit", "type"]),
    ("horizontal-bars/country", "/bars/0", &["label", "value", "percentage", "count"]),
    ("horizontal-bars/merchant?metric=count", "/bars/0", &["label", "value", "percentage", "count"]),
    ("horizontal-bars/payment_method?metric=conversion", "/bars/0", &["label", "value", "percentage", "count"]),
    ("horizontal-bars/status", "/bars/0", &["label", "value", "percentage", "count"]),
    ("horizontal-bars/source?limit=1", "/bars/0", &["label", "value", "percentage", "count"]),
];

/// What their pages call methods of numbers on.
const NUMBERS: &[(&str, &str)] = &[
    ("overview", "/conversion_rate"),
    ("comparison", "/comparison/conversion_change"),
    ("hourly-distribution", "/data/0/success_rate"),
    ("rpm", "/avg_rpm"),
    ("rpm", "/min_rpm"),
    ("live", "/current_rpm"),
    ("live", "/success_rate"),
    ("live", "/pending_count"),
];

async fn metrics(web: &Web, path: &str) -> Value {
    web.get(&format!("/api/v1/metrics/{path}")).await
}

#[tokio::test]
async fn every_name_of_the_replaced_service_is_in_the_responses() {
    let system = TestSystem::start(&[]).await;
    insert_transactions(&system.pool, 1..=40).await;
    let web = system.start_web().await;
    for (path, place, names) in NAMES {
        let sign = if path.contains('?') { '&' } else { '?' };
        let response = metrics(&web, &format!("{path}{sign}from_date=2026-01-15&to_date=2026-01-15")).await;
        let object = response.pointer(place).and_then(Value::as_object);
        let object = object.unwrap_or_else(|| panic!("{path}: no object at {place:?} of {response}"));
        for name in *names {
            assert!(object.contains_key(*name), "{path}: {place} has no {name}");
        }
    }
}

#[tokio::test]
async fn empty_period_has_numbers_where_pages_of_the_replaced_service_need_them() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    for (path, place) in NUMBERS {
        let response = metrics(&web, path).await;
        assert_eq!(response.pointer(place).and_then(Value::as_f64), Some(0.0), "{path}: {place} of {response}");
    }
}

#[tokio::test]
async fn requests_of_the_replaced_service_are_answered() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let trends = metrics(&web, "trends?granularity=5min&from_date=2026-01-01&to_date=2026-01-30").await;
    assert_eq!(trends["data"].as_array().map(Vec::len), Some(8_640));
    for (path, field) in [
        ("horizontal-bars/city", "type"),
        ("horizontal-bars/project?metric=fee", "metric"),
        ("horizontal-bars/project?limit=0", "limit"),
        ("trends?granularity=5min&from_date=2026-01-01&to_date=2026-02-28", "granularity"),
    ] {
        let response = web.request(Method::GET, &format!("/api/v1/metrics/{path}"), Some(VIEWER), None).await;
        let response = response.expect("a response");
        assert_eq!((response.status, &response.json()["errors"][0]["field"]), (422, &json!(field)), "{path}");
    }
    let triggered = web.request(Method::POST, "/api/v1/sync/trigger/all", Some(OPERATOR), None).await;
    let triggered = triggered.expect("a response");
    assert_eq!((triggered.status, &triggered.json()["sources"]), (202, &json!(["vima", "payshack"])), "{triggered:?}");
}
