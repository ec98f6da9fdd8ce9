//! Values at and beyond the limits of the API: days, depths of pages, searches, and commas in lists.

use std::fmt::Write as _;

use psp_dashboard::web::app;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;

use crate::harness::programs::{Program, run};
use crate::harness::test_system::{ADMIN, ApiResponse, TestSystem, Web};

const UNREADABLE_DAYS: [&str; 6] = ["1999-12-31", "2200-01-02", "9999-12-31", "-9999-1-01", "2026-1-5", "20260105"];
const NO_ID: &str = "00000000-0000-0000-0000-000000000000";

/// The paths of all GET operations with their query parameters.
fn operations_with_query() -> Vec<(String, Vec<Value>)> {
    let document: Value = serde_json::from_str(&app::document().to_json()).expect("JSON");
    let paths = document["paths"].as_object().expect("paths").clone();
    let operations = paths.into_iter().filter_map(|(path, item)| {
        let parameters = item["get"]["parameters"].as_array()?.clone();
        let in_query = parameters.into_iter().filter(|parameter| parameter["in"] == "query").collect();
        let path = path.replace("{id}", NO_ID).replace("{type}", "merchant");
        Some((path, in_query))
    });
    operations.collect()
}

async fn get(web: &Web, path: &str) -> ApiResponse {
    web.request(Method::GET, path, Some(ADMIN), None).await.expect("the web process responds")
}

async fn post(web: &Web, path: &str, body: &Value) -> ApiResponse {
    let body = body.to_string();
    web.request(Method::POST, path, Some(ADMIN), Some(&body)).await.expect("the web process responds")
}

fn assert_refused(response: &ApiResponse, field: &str, what: &str) {
    assert_eq!(response.status, 422, "{what}: {response:?}");
    let problem = response.json();
    assert_eq!(problem["errors"][0]["field"], field, "{what}: {problem}");
}

#[tokio::test]
async fn values_beyond_the_limits_are_refused_everywhere() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    refuse_days_in_queries(&web).await;
    refuse_days_in_bodies(&web).await;
    refuse_days_of_commands(&system);
    refuse_deep_pages(&web).await;
    refuse_searches_without_trigrams(&web).await;
}

async fn refuse_days_in_queries(web: &Web) {
    let mut checked = 0;
    for (path, parameters) in operations_with_query() {
        let days: Vec<&str> = parameters
            .iter()
            .filter(|parameter| parameter["schema"]["format"] == "naive-date")
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        for day in &days {
            for text in UNREADABLE_DAYS {
                let path = format!("{path}?{day}={text}");
                assert_refused(&get(web, &path).await, day, &path);
                checked += 1;
            }
            for text in ["2000-01-01", "2200-01-01"] {
                let path = format!("{path}?{day}={text}");
                let response = get(web, &path).await;
                assert!([200, 404, 422].contains(&response.status), "{path}: {response:?}");
            }
        }
        if days.contains(&"from_date") {
            let response = get(web, &format!("{path}?from_date=2000-01-01&to_date=2200-01-01")).await;
            assert!([200, 422].contains(&response.status), "{path}: {response:?}");
        }
    }
    assert!(checked > 100, "only {checked} requests with days");
    for text in ["2000-01-01", "2200-01-01"] {
        let response =
            get(web, &format!("/api/v1/metrics/trends?granularity=day&from_date={text}&to_date={text}")).await;
        assert_eq!(response.json()["data"].as_array().map(Vec::len), Some(1), "{response:?}");
    }
}

async fn refuse_days_in_bodies(web: &Web) {
    for day in UNREADABLE_DAYS {
        let query = format!("from_date={day}&format=csv");
        for (path, field, body) in [
            ("/api/v1/sync/trigger", "from_date", json!({"from_date": day, "to_date": "2026-01-01"})),
            ("/api/v1/sync/trigger", "to_date", json!({"from_date": "2026-01-01", "to_date": day})),
            ("/api/v1/reconciliation/run", "date", json!({"date": day})),
            ("/api/v1/reconciliation/run", "to_date", json!({"from_date": "2026-01-01", "to_date": day})),
            (
                "/api/v1/exports",
                "filters.to_date",
                json!({"export": "transactions", "filters": {"to_date": day}, "format": "csv"}),
            ),
            ("/api/v1/exports", "from_date", json!({"export": "reconciliation", "query": query})),
            ("/api/v1/exports", "from_date", json!({"export": "metrics-summary", "query": query})),
        ] {
            assert_refused(&post(web, path, &body).await, field, &format!("{path} {body}"));
        }
    }
}

fn refuse_days_of_commands(system: &TestSystem) {
    for (kind, args) in [
        ("sync-vima", json!({"mode": "range", "from_date": "2026-01-01", "to_date": "9999-12-31"})),
        ("reconcile", json!({"date": "1999-12-31"})),
    ] {
        let output = run(Program::Jobs, &["enqueue", kind, &args.to_string()], system.jobs_settings());
        assert!(!output.status.success(), "{output:?}");
        assert!(output.stderr.contains("must be a day from 2000-01-01 to 2200-01-01"), "{output:?}");
    }
}

async fn refuse_deep_pages(web: &Web) {
    let mut checked = 0;
    for (path, parameters) in operations_with_query() {
        if parameters.iter().any(|parameter| parameter["name"] == "page") {
            let response = get(web, &format!("{path}?page=1002&limit=100")).await;
            assert_refused(&response, "page", &path);
            assert!(response.text.contains("next_cursor"), "{path}: {response:?}");
            let response = get(web, &format!("{path}?page=1001&limit=100")).await;
            assert!([200, 404].contains(&response.status), "{path}: {response:?}");
            checked += 1;
        }
    }
    assert!(checked > 8, "only {checked} lists");
}

async fn refuse_searches_without_trigrams(web: &Web) {
    for search in ["---", "%25_%25", "a--", "%20%20%20-.-"] {
        for path in ["/api/v1/transactions", "/api/v1/export/transactions"] {
            let path = format!("{path}?search={search}");
            assert_refused(&get(web, &path).await, "search", &path);
        }
    }
    assert_eq!(get(web, "/api/v1/transactions?search=a-b").await.status, 200);
}

#[tokio::test]
async fn every_listed_filter_value_can_be_sent() {
    let system = TestSystem::start(&[]).await;
    insert_payments(&system).await;
    let web = system.start_web().await;
    let filters = web.get("/api/v1/filters").await;
    let mut values = 0;
    for (filter, list) in [
        ("source", "sources"),
        ("kind", "kinds"),
        ("project", "projects"),
        ("status", "statuses"),
        ("currency", "currencies"),
        ("country", "countries"),
        ("payment_method", "payment_methods"),
    ] {
        for listed in filters[list].as_array().expect(list) {
            let value = listed["value"].as_str().expect("a text");
            let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            for query in [format!("{filter}={encoded}&{filter}="), format!("{filter}={encoded}&{filter}={encoded}")] {
                let page = web.get(&format!("/api/v1/transactions?{query}")).await;
                assert_eq!(page["total"], listed["count"], "{query}: {page}");
                values += 1;
            }
            if value.contains(',') {
                let file = get(&web, &format!("/api/v1/export/transactions?{filter}={encoded}&{filter}=")).await;
                let rows = file.text.lines().count() - 1;
                assert_eq!(Some(rows as u64), listed["count"].as_u64(), "{value}: {file:?}");
            }
        }
    }
    assert!(values > 20, "{filters}");
    for (query, total) in [("project=a,b", 3), ("project=a,b&project=", 2), ("project=a,b&project=b", 4)] {
        let page = web.get(&format!("/api/v1/transactions?{query}")).await;
        assert_eq!(page["total"], total, "{query}: {page}");
    }
}

/// Payments with projects, countries and payment methods that contain a comma: two of `a,b`, one of `a`, two of `b`.
async fn insert_payments(system: &TestSystem) {
    let mut values = String::new();
    for (id, project) in (1..).zip(["a,b", "a,b", "a", "b", "b"]) {
        let comma = if id > 1 { "," } else { "" };
        write!(
            values,
            "{comma} (gen_random_uuid(), 'vima', 'payin', '{id}', '\\x00', '{project}', 5, 'INR', 'success', '{project} c',
                      'UPI, {project}', now(), now(), '{{}}')"
        )
        .expect("a text");
    }
    let insert = format!(
        "INSERT INTO transactions (id, source, kind, source_id, content_hash, project, amount, currency, status, country,
                payment_method, created_at, ingested_at, raw_data) VALUES {values};
         TRUNCATE metric_cells;
         INSERT INTO metric_cells SELECT * FROM count_metric_cells('vima', '2020-01-01Z', '2100-01-01Z');
         UPDATE payment_versions SET version = version + 1"
    );
    system.pool.execute(sqlx::AssertSqlSafe(insert)).await.expect("the payments are new");
}
