//! Live metrics, filter values, and invalid queries.

use super::*;

#[tokio::test]
async fn live_metrics_and_filter_values_are_correct() {
    let now = SystemClock.now();
    let [one, .., last] = few()[..] else { unreachable!("six payments") };
    let recent = |given: Given, seconds| Given { created_at: now - TimeDelta::seconds(seconds), ..given };
    let pending = Given { list: Stream::PayshackPayins, project: "beta", status: Status::Pending, cents: 0, ..one };
    let metrics =
        MetricsApi::new(&[recent(one, 5), recent(one, 5), recent(pending, 5), recent(one, 7_200), last]).await;
    let rpm = metrics.get("rpm").await;
    assert_eq!(
        (&rpm["minutes"], &rpm["total_count"], &rpm["average"], &rpm["peak"]),
        (&json!(60), &json!(3), &json!(0.05), &json!(3)),
        "{rpm}"
    );
    assert_eq!(rpm["data"].as_array().map(Vec::len), Some(60));
    assert_eq!(row(&rpm["data"], &[("count", json!(3))])["timestamp"], rpm["peak_at"]);
    let rpm = metrics.get("rpm?minutes=1440&source=vima").await;
    assert_eq!((&rpm["minutes"], &rpm["total_count"]), (&json!(1440), &json!(3)));
    let live = metrics.get("live").await;
    assert_eq!(
        ["total_count", "success_count", "pending_count", "total_amount", "total_amount_usd", "rpm"]
            .map(|field| live[field].clone()),
        [json!(3), json!(2), json!(1), json!("300.00"), json!("2.00"), json!(0.6)]
    );
    let payshack = &live["by_source"]["payshack"];
    assert_eq!(
        [&payshack["count"], &payshack["amount"], &payshack["amount_usd"]],
        [&json!(1), &json!("100.00"), &json!("0.00")]
    );

    let filters = metrics.web.get("/api/v1/filters").await;
    let choice = |value: &str, count: u8| json!({"value": value, "count": count});
    for (field, expected) in [
        ("sources", json!([choice("vima", 3), choice("payshack", 1)])),
        ("kinds", json!([choice("payin", 4)])),
        ("projects", json!([choice("alpha", 3), choice("beta", 1)])),
        ("statuses", json!([choice("success", 3), choice("pending", 1)])),
        ("currencies", json!([choice("INR", 4)])),
        ("countries", json!([choice("IN", 4)])),
        ("payment_methods", json!([choice("UPI", 4)])),
    ] {
        assert_eq!(filters[field], expected, "{field}");
    }
    assert!(filters["period"].is_object() && filters["data_as_of"].is_object(), "{filters}");
}

#[tokio::test]
async fn invalid_queries_are_rejected_and_empty_results_are_valid() {
    let metrics = MetricsApi::new(&[]).await;
    for (path, field) in [
        ("by-country?timezone=Mars", "timezone"),
        ("by-status?status=done", "status"),
        ("by-payment-method?from_date=2025-02-01&to_date=2025-01-01", "from_date"),
        ("hourly-distribution?from_date=2024-01-01&to_date=2025-02-05", "from_date"),
        ("trends?granularity=minute&from_date=2025-01-01&to_date=2025-01-07", "granularity"),
        ("trends?granularity=second", "granularity"),
        ("by-merchant?sort_by=first_txn_at", "sort_by"),
        ("by-merchant?limit=0", "limit"),
        ("by-merchant?cursor=forged", "cursor"),
        ("by-merchant?cursor=forged&page=2", "cursor"),
        ("comparison?comparison_type=year", "comparison_type"),
        ("heatmap?dimension=hour_month", "dimension"),
        ("heatmap?metric=fee", "metric"),
        ("rpm?minutes=4", "minutes"),
        ("rpm?minutes=1441", "minutes"),
    ] {
        let path = format!("/api/v1/metrics/{path}");
        let response =
            metrics.web.request(Method::GET, &path, Some(VIEWER), None).await.expect("the web process responds");
        assert_eq!(
            (response.status, &response.json()["errors"][0]["field"]),
            (422, &json!(field)),
            "{path}: {response:?}"
        );
    }
    for path in [
        "by-country",
        "by-status",
        "by-payment-method",
        "by-merchant",
        "comparison",
        "heatmap",
        "heatmap?dimension=merchant_day",
        "hourly-distribution",
        "amount-distribution",
        "conversion-by-project",
        "rpm",
        "live",
    ] {
        assert!(metrics.get(path).await["data_as_of"].is_object(), "{path}");
    }
}
