//! Counting payments instead of records, and the links from the numbers to their rows.

use super::*;
use crate::harness::exported_files::csv_rows;
use crate::harness::test_system::ADMIN;

/// A payment that both sources report, one of another project, and a pay-out.
fn reported_twice() -> Vec<Given> {
    let payments = few();
    let given = |list, project, amount, method| Given {
        list,
        project,
        amount,
        method,
        status: Status::Success,
        created_at: payments[1].created_at,
        ..payments[0]
    };
    vec![
        given(Stream::VimaUpdates, "beta", 700, "UPI"),
        given(Stream::PayshackPayins, "beta", 700, "upi"),
        given(Stream::PayshackPayins, "alpha", 90, "UPI"),
        given(Stream::PayshackPayouts, "beta", 20, ""),
    ]
}

/// Number and amount of the payments, in an answer that has one row for all of them.
fn total(response: &Value) -> (Value, Value) {
    let parts = &response["by_currency"];
    assert_eq!(parts.as_array().map(Vec::len), Some(1), "{response}");
    (parts[0]["count"].clone(), parts[0]["amount"].clone())
}

#[tokio::test]
async fn payments_that_both_sources_report_count_once_everywhere() {
    let metrics = MetricsApi::with(&reported_twice(), &[("RECONCILED_PROJECTS", "beta")]).await;
    let paths =
        ["overview", "by-project", "by-country", "by-payment-method", "by-merchant", "trends", "amount-distribution"];
    for path in paths {
        let (records, payments) = (metrics.of_few(path).await, metrics.of_few(&format!("{path}?count=payments")).await);
        assert_eq!(total(&records), (json!(4), json!("1510.00")), "{path}");
        assert_eq!(total(&payments), (json!(3), json!("810.00")), "{path}");
        assert_eq!((&records["counted"], &payments["counted"]), (&json!("records"), &json!("payments")), "{path}");
        assert_eq!(records["not_in_vima"], Value::Null);
        let none = json!({"count": 0, "amount": "0.00", "currency": null, "amount_usd": "0.00"});
        assert_eq!(payments["not_in_vima"], none);
    }
    let methods = metrics.of_few("by-payment-method?count=payments").await;
    assert_eq!(
        said(&methods["payment_methods"], &["payment_method", "total_count"]),
        json!([["UPI", 2], [null, 1]]),
        "a method without payments has no row"
    );
    let days = "from_date=2025-01-13&to_date=2025-01-15&timezone=UTC";
    for (count, expected) in [("records", 4), ("payments", 3)] {
        let export = async |name: &str| {
            let path = format!("/api/v1/export/{name}?{days}&count={count}&format=csv");
            csv_rows(&metrics.web.download(ADMIN, &path, &[]).await.bytes().await.expect("a file"))
        };
        assert_eq!(export("transactions").await.len(), expected, "{count}");
        let counts = export("metrics-summary").await.into_iter().map(|row| row["total_count"].parse::<usize>());
        assert_eq!(counts.sum::<Result<usize, _>>(), Ok(expected), "{count}");
    }
}

#[tokio::test]
async fn payments_missing_in_vima_are_those_of_the_last_reconciliation() {
    let system = TestSystem::start(&["--per-day", "400", "--discrepancies", "0.2"]).await;
    let _worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    let web = system.start_web().await;
    let day = SystemClock.now().date_naive() - chrono::Days::new(1);
    let missing = async || {
        let path = format!("/api/v1/metrics/overview?from_date={day}&to_date={day}&timezone=UTC&count=payments");
        web.get(&path).await["not_in_vima"]["count"].as_u64()
    };
    assert_eq!(missing().await, Some(0), "nothing is reconciled yet");
    system.run_job("reconcile", Some(&json!({"date": day}).to_string()));
    let summary = web.get(&format!("/api/v1/reconciliation/summary?date={day}")).await;
    let found = summary["missing"]["missing_vima"].as_u64();
    assert!(found > Some(0), "{summary}");
    assert_eq!(missing().await, found);

    let run = web.get(&format!("/api/v1/reconciliation/runs/{}", summary["run_id"].as_str().expect("a run"))).await;
    assert_eq!(run["rows_urls"], summary["rows_urls"]);
    let urls = run["rows_urls"].as_object().expect("links");
    assert!(urls.values().filter(|url| url.is_string()).count() >= 4, "{urls:?}");
    for (name, url) in urls {
        let count = run["counts"][name].as_u64().or_else(|| run["counts"][name]["count"].as_u64());
        match url.as_str() {
            Some(url) => assert_eq!(web.get(url).await["total"].as_u64(), count, "{url}"),
            None => assert_eq!(count, Some(0), "{name}"),
        }
    }
}

#[tokio::test]
async fn links_list_exactly_what_is_counted() {
    let metrics = MetricsApi::with(&few(), &[("RECONCILED_PROJECTS", "beta")]).await;
    let of = |path: &'static str, rows: &'static str| (path, rows);
    let mut followed = 0;
    for (path, rows) in [
        of("overview", ""),
        of("overview?count=payments", ""),
        of("by-status", "/statuses"),
        of("by-country", "/countries"),
        of("by-payment-method?status=success", "/payment_methods"),
        of("by-merchant", "/items"),
        of("by-project?count=payments", "/projects"),
        of("trends?granularity=15min&timezone=Asia/Kathmandu", "/data"),
        of("trends?granularity=month", "/data"),
        of("by-source?granularity=week", "/sources/0/data"),
        of("comparison?comparison_type=custom", "/current"),
        of("heatmap", "/cells"),
        of("heatmap?dimension=merchant_hour&timezone=America/New_York", "/cells"),
        of("heatmap?dimension=merchant_day", "/cells"),
        of("hourly-distribution?timezone=Asia/Kolkata", "/data"),
        of("amount-distribution", "/data"),
        of("horizontal-bars/project?count=payments", "/bars"),
        of("horizontal-bars/country", "/bars"),
        of("horizontal-bars/merchant?metric=count", "/bars"),
        of("horizontal-bars/payment_method?timezone=Asia/Kolkata", "/bars"),
        of("horizontal-bars/status", "/bars"),
        of("horizontal-bars/source", "/bars"),
        of("by-original-status", "/statuses"),
        of("failures?by=payment_method&status=success", "/failures"),
        of("failures?by=hour&timezone=Asia/Kathmandu", "/failures"),
        of("time-to-final", "/total"),
        of("time-to-final?by=payment_method&status=success,pending", "/groups"),
        of("time-to-final?status=pending", "/total"),
    ] {
        let response = metrics.of_few(path).await;
        let rows = response.pointer(rows).unwrap_or_else(|| panic!("{path}: no {rows}"));
        let rows = rows.as_array().cloned().unwrap_or_else(|| vec![rows.clone()]);
        for row in rows {
            followed += metrics.follow(path, &row).await;
        }
    }
    assert!(followed > 60, "{followed}");
    let overview = metrics.of_few("overview").await;
    for part in ["/by_status/success", "/by_status/pending", "/by_source/payshack"] {
        let part = overview.pointer(part).expect(part);
        let list = metrics.web.get(part["rows_url"].as_str().expect("a link")).await;
        assert_eq!(list["total"], part["count"], "{part}");
    }
}

#[tokio::test]
async fn invalid_filters_of_links_are_rejected() {
    let metrics = MetricsApi::new(&[]).await;
    for (query, field) in [
        ("hour=9", "hour"),
        ("weekday=1&from_date=2025-01-13", "weekday"),
        ("hour=9&from_date=2024-01-01&to_date=2025-12-31", "hour"),
        ("hour=24&from_date=2025-01-13&to_date=2025-01-13", "hour"),
        ("weekday=7&from_date=2025-01-13&to_date=2025-01-13", "weekday"),
        ("max_amount=5&amount_below=6", "amount_below"),
        ("without=country&country=IN", "without"),
        ("without=status", "without"),
        ("without=original_status&original_status=fail", "without"),
        ("original_status=blocked+9198765432", "original_status"),
        ("created_from=yesterday", "created_from"),
        ("count=rows", "count"),
    ] {
        let path = format!("/api/v1/transactions?{query}");
        let response = metrics.web.request(Method::GET, &path, Some(VIEWER), None).await.expect("a response");
        assert_eq!(response.status, 422, "{query}: {}", response.text);
        assert_eq!(response.json()["errors"][0]["field"], field, "{query}");
    }
}
