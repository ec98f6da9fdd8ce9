//! One merchant of a project.

use super::*;

/// Every character that a path must not contain as it is.
const UNUSUAL: &str = "a/b %?#;ü";
const ENCODED: &str = "a%2Fb%20%25%3F%23%3B%C3%BC";

async fn merchant(web: &Web, path: &str) -> Value {
    web.get(&format!("/api/v1/merchants/{path}")).await
}

#[tokio::test]
async fn merchant_has_its_figures_of_the_period_and_its_last_transaction_of_all() {
    let metrics = MetricsApi::new(&few()).await;
    let period = "from_date=2025-01-13&to_date=2025-01-14";
    let found = merchant(&metrics.web, &format!("alpha/m-1?{period}")).await;
    assert_eq!(
        ["project", "merchant_id", "currency", "total_count", "total_amount", "conversion_rate", "avg_ticket_usd"]
            .map(|field| found[field].clone()),
        [json!("alpha"), json!("m-1"), json!("INR"), json!(2), json!("400.00"), json!(50.0), json!("2.00")]
    );
    assert_eq!(
        said(&found["trend"], &["timestamp", "count", "amount", "failed_count"]),
        json!([["2025-01-13T00:00:00Z", 2, "400.00", 1], ["2025-01-14T00:00:00Z", 0, "0.00", 0]])
    );
    assert_eq!(
        said(&found["payment_methods"], &["payment_method", "total_count", "total_amount"]),
        json!([["UPI", 2, "400.00"]])
    );
    assert_eq!(
        ["created_at", "amount", "status", "source"].map(|field| found["last_transaction"][field].clone()),
        [json!("2025-01-13T09:50:00Z"), json!("300.00"), json!("failed"), json!("vima")]
    );
    assert_eq!(found["open_discrepancies"], json!({"count": 0, "oldest_date": null}));
    // The same account in two projects is two merchants.
    for (path, count, amount) in [("alpha/m-2", 1, "600.00"), ("beta/m-2", 1, "1000.00")] {
        let found = merchant(&metrics.web, &format!("{path}?{period}")).await;
        assert_eq!((&found["total_count"], &found["total_amount"]), (&json!(count), &json!(amount)), "{path}");
        assert_eq!(found["last_transaction"]["amount"], json!(amount), "{path}");
    }
    // In another period it still exists.
    let found = merchant(&metrics.web, "alpha/m-1?from_date=2025-03-01&to_date=2025-03-01").await;
    assert_eq!((&found["total_count"], &found["payment_methods"]), (&json!(0), &json!([])));
    assert_eq!(found["last_transaction"]["created_at"], "2025-01-13T09:50:00Z");
    let found = merchant(&metrics.web, &format!("alpha/m-1?{period}&status=success")).await;
    assert_eq!((&found["total_count"], &found["total_amount"]), (&json!(1), &json!("100.00")));
}

#[tokio::test]
async fn merchant_is_compared_with_its_own_four_weeks() {
    let [one, ..] = few()[..] else { unreachable!("six payments") };
    let of = |day: &str, amount, status| {
        let created_at = format!("{day}T10:00:00Z").parse().expect(day);
        Given { merchant: UNUSUAL, created_at, amount, status, ..one }
    };
    // A Thursday, the Thursdays before it but one, and a Wednesday that does not count.
    let metrics = MetricsApi::new(&[
        of("2025-03-27", 300, Status::Success),
        of("2025-03-27", 300, Status::Failed),
        of("2025-03-20", 100, Status::Success),
        of("2025-03-19", 900, Status::Success),
        of("2025-03-13", 100, Status::Success),
        of("2025-02-27", 200, Status::Failed),
        of("2025-02-20", 900, Status::Success),
    ])
    .await;
    let found = merchant(&metrics.web, &format!("alpha/{ENCODED}?from_date=2025-03-27&to_date=2025-03-27")).await;
    assert_eq!((&found["merchant_id"], &found["total_count"]), (&json!(UNUSUAL), &json!(2)));
    let comparison = &found["comparison"];
    assert_eq!(comparison["period"], json!({"from": "2025-03-27T00:00:00Z", "until": "2025-03-28T00:00:00Z"}));
    assert_eq!(
        said(&comparison["earlier_periods"], &["from"]),
        json!([["2025-03-20T00:00:00Z"], ["2025-03-13T00:00:00Z"], ["2025-03-06T00:00:00Z"], ["2025-02-27T00:00:00Z"]])
    );
    assert_eq!(
        comparison["usual"],
        json!({"total_count": 0.75, "total_amount": "100.00", "total_amount_usd": "1.00", "conversion_rate": 66.67})
    );
    assert_eq!(
        ["count_change_percent", "amount_change_percent", "conversion_rate_change"]
            .map(|field| comparison[field].clone()),
        [json!(166.67), json!(500.0), json!(-16.67)]
    );
}

#[tokio::test]
async fn unknown_merchants_and_long_periods_are_rejected() {
    let metrics = MetricsApi::new(&few()).await;
    for (path, status) in [
        ("alpha/m-1", 200),
        ("alpha/m-3", 404),
        ("gamma/m-1", 404),
        ("alpha/m-1%00", 404),
        ("alpha/%FF", 400),
        ("alpha", 404),
        ("alpha/m-1/more", 404),
        ("alpha/m-1?from_date=2025-01-01&to_date=2025-04-02", 200),
        ("alpha/m-1?from_date=2025-01-01&to_date=2025-04-03", 422),
    ] {
        let path = format!("/api/v1/merchants/{path}");
        let response = metrics.web.request(Method::GET, &path, Some(VIEWER), None).await.expect("a response");
        assert_eq!(response.status, status, "{path}: {response:?}");
    }
}
