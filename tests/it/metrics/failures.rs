//! Failures by the provider's status, the time to the final status, and the age of pending payments.

use psp_dashboard::domain::version::{SequenceId, Version};

use super::*;
use crate::harness::test_system::OPERATOR;

/// A payment of the project `alpha`, by UPI.
#[derive(Debug, Clone, Copy)]
struct Named {
    list: Stream,
    created_at: &'static str,
    /// The amount in rupees.
    amount: i64,
    status: Status,
    original_status: Option<&'static str>,
    /// Seconds after the creation.
    completed: Option<i64>,
}

fn named(created_at: &'static str, status: Status, original_status: impl Into<Option<&'static str>>) -> Named {
    let original_status = original_status.into();
    Named { list: Stream::VimaUpdates, created_at, amount: 100, status, original_status, completed: None }
}

impl Named {
    fn record(self, id: usize) -> Record {
        let Record::Payment(payment) = self.given().record(id) else { unreachable!("a payment") };
        let completed_at = self.completed.map(|seconds| payment.created_at + TimeDelta::seconds(seconds));
        let original_status = self.original_status.map(str::to_owned);
        Record::Payment(Box::new(Transaction { original_status, completed_at, ..*payment }))
    }

    fn given(self) -> Given {
        let Named { list, created_at, amount, status, .. } = self;
        let created_at = created_at.parse().expect(created_at);
        Given { list, created_at, amount, status, project: "alpha", method: "UPI", ..few()[0] }
    }
}

async fn start(payments: &[Named]) -> MetricsApi {
    let system = TestSystem::start(&[]).await;
    let books = IngestFixture::start_on(Arc::clone(&system.servers)).await;
    for list in [Stream::VimaUpdates, Stream::PayshackPayins] {
        let records = payments.iter().enumerate().filter(|(_, payment)| payment.list == list);
        let page = Page::new(list, records.map(|(id, payment)| payment.record(id)).collect(), Checkpoint::None);
        books.ingest_page(page).await.expect("the page is stored");
    }
    MetricsApi { web: system.start_web().await, books, _system: system }
}

#[tokio::test]
async fn original_statuses_are_counted_whether_or_not_they_are_usual() {
    let day = "2025-03-27T10:00:00Z";
    let of_payshack = |payment| Named { list: Stream::PayshackPayins, ..payment };
    let metrics = start(&[
        named(day, Status::Success, "success"),
        named(day, Status::Success, "success"),
        named(day, Status::Success, "SUCCESS"),
        named(day, Status::Success, None),
        named(day, Status::Failed, "fail"),
        of_payshack(named(day, Status::Success, "Success")),
        of_payshack(named(day, Status::Success, "success")),
        of_payshack(named(day, Status::Failed, "Tampered")),
        named("2025-03-28T10:00:00Z", Status::Failed, "fail"),
    ])
    .await;
    let response = metrics.get("by-original-status?from_date=2025-03-27&to_date=2025-03-27").await;
    assert_eq!(response["total_count"], 8);
    let fields = ["source", "original_status", "status", "count", "amount", "percentage_of_total"];
    let mut rows: Vec<String> =
        said(&response["statuses"], &fields).as_array().expect("rows").iter().map(Value::to_string).collect();
    rows.sort();
    assert_eq!(
        rows,
        [
            r#"["payshack","Success","success",1,"100.00",12.5]"#,
            r#"["payshack","Tampered","failed",1,"100.00",12.5]"#,
            r#"["payshack","success","success",1,"100.00",12.5]"#,
            r#"["vima","SUCCESS","success",1,"100.00",12.5]"#,
            r#"["vima","fail","failed",1,"100.00",12.5]"#,
            r#"["vima","success","success",2,"200.00",25.0]"#,
            r#"["vima",null,"success",1,"100.00",12.5]"#,
        ]
    );
    let failed = metrics.get("by-original-status?from_date=2025-03-27&to_date=2025-03-28&status=failed").await;
    assert_eq!(said(&failed["statuses"], &["original_status", "count"]), json!([["fail", 2], ["Tampered", 1]]));
    for path in ["by-original-status", "failures"] {
        let path = format!("/api/v1/metrics/{path}?from_date=2025-01-01&to_date=2025-02-01");
        let refused = metrics.web.request(Method::GET, &path, Some(VIEWER), None).await.expect("a response");
        assert_eq!((refused.status, &refused.json()["errors"][0]["field"]), (422, &json!("from_date")), "{path}");
    }
}

#[tokio::test]
async fn failures_are_compared_with_the_day_before_and_the_usual() {
    use Status::{Failed, Success};
    // A Thursday; the day before; and the same weekday of four weeks before, one of them at another hour.
    let metrics = start(&[
        named("2025-03-27T10:10:00Z", Failed, "fail"),
        named("2025-03-27T10:20:00Z", Failed, "fail"),
        Named { amount: 700, ..named("2025-03-27T15:00:00Z", Failed, "expired") },
        named("2025-03-27T16:00:00Z", Success, "success"),
        named("2025-03-26T10:00:00Z", Failed, "fail"),
        named("2025-03-20T10:59:00Z", Failed, "fail"),
        named("2025-03-13T10:00:00Z", Failed, "fail"),
        named("2025-03-06T11:00:00Z", Failed, "fail"),
        named("2025-02-27T10:30:00Z", Failed, "fail"),
        // Before the four weeks.
        named("2025-02-26T10:30:00Z", Failed, "fail"),
    ])
    .await;
    let day = "from_date=2025-03-27&to_date=2025-03-27";
    let response = metrics.get(&format!("failures?{day}")).await;
    let totals = ["total_count", "failed_count", "failure_rate", "previous_failed_count", "usual_failed_count"];
    assert_eq!(totals.map(|field| response[field].clone()), [json!(4), json!(3), json!(75.0), json!(1), json!(1.0)]);
    assert_eq!(response["usual"], json!({"from": "2025-02-27T00:00:00Z", "until": "2025-03-27T00:00:00Z"}));
    let fields = ["group", "original_status", "count", "percentage_of_total", "previous_count", "usual_count"];
    assert_eq!(
        said(&response["failures"], &fields),
        json!([["alpha", "fail", 2, 66.67, 1, 1.0], ["alpha", "expired", 1, 33.33, 0, 0.0]])
    );
    let changes = ["count_change_percent", "usual_change_percent", "amount"];
    assert_eq!(said(&response["failures"], &changes), json!([[100.0, 100.0, "200.00"], [null, null, "700.00"]]));
    let by_hour = metrics.get(&format!("failures?by=hour&{day}")).await;
    assert_eq!(
        said(&by_hour["failures"], &["group", "original_status", "count", "previous_count", "usual_count"]),
        json!([["10", "fail", 2, 1, 0.75], ["15", "expired", 1, 0, 0.0], ["11", "fail", 0, 0, 0.25]])
    );
    let by_band = metrics.get(&format!("failures?by=amount_band&{day}")).await;
    assert_eq!(
        said(&by_band["failures"], &["group", "original_status", "count"]),
        json!([["100-500", "fail", 2], ["500-1000", "expired", 1]])
    );
    let by_method = metrics.get(&format!("failures?by=payment_method&project=beta&{day}")).await;
    assert_eq!((&by_method["failures"], &by_method["failure_rate"]), (&json!([]), &Value::Null));
    // In Kathmandu it is already a quarter to four.
    let local = metrics.get(&format!("failures?by=hour&timezone=Asia/Kathmandu&{day}")).await;
    assert_eq!(local["failures"][0]["group"], "15");
}

#[tokio::test]
async fn names_of_statuses_link_to_their_payments_unless_they_are_masked() {
    use Status::Failed;
    let day = "2025-03-27T10:00:00Z";
    let metrics = start(&[
        named(day, Failed, "blocked 9198765432"),
        named(day, Failed, "blocked 9198765433"),
        named(day, Failed, "declined, code 5"),
        named(day, Failed, None),
        named(day, Status::Pending, None),
    ])
    .await;
    let days = "from_date=2025-03-27&to_date=2025-03-27";
    for (path, rows) in [("failures", "failures"), ("by-original-status?status=failed", "statuses")] {
        let sign = if path.contains('?') { '&' } else { '?' };
        let path = format!("/api/v1/metrics/{path}{sign}{days}");
        for (key, names) in [
            (VIEWER, json!([["blocked ***", 2, null], ["declined, code 5", 1, 1], [null, 1, 1]])),
            (
                OPERATOR,
                json!([
                    ["blocked 9198765432", 1, 1],
                    ["blocked 9198765433", 1, 1],
                    ["declined, code 5", 1, 1],
                    [null, 1, 1]
                ]),
            ),
        ] {
            let get = async |path: &str| {
                let response = metrics.web.request(Method::GET, path, Some(key), None).await.expect("a response");
                assert_eq!(response.status, 200, "{path}: {}", response.text);
                response.json()
            };
            let mut found = vec![];
            for row in get(&path).await[rows].as_array().expect("rows") {
                let listed = match row["rows_url"].as_str() {
                    Some(url) => get(url).await["total"].clone(),
                    None => Value::Null,
                };
                found.push(json!([row["original_status"], row["count"], listed]));
            }
            found.sort_by_key(|row| (row[0].is_null(), row.to_string()));
            assert_eq!(json!(found), names, "{path}");
        }
    }
}

#[tokio::test]
async fn times_to_the_final_status_come_from_the_provider_or_from_the_history() {
    let done =
        |seconds| Named { completed: Some(seconds), ..named("2025-03-27T10:00:00Z", Status::Success, "success") };
    let mut payments: Vec<Named> = (1..=20).map(done).collect();
    // Final when it was first stored, without a time.
    payments.push(named("2025-03-27T10:00:00Z", Status::Failed, "fail"));
    payments.push(named("2025-03-27T10:00:00Z", Status::Pending, "pending"));
    let metrics = start(&payments).await;
    let times = |response: &Value| {
        ["count", "unknown_count", "p50_seconds", "p95_seconds"].map(|field| response["total"][field].clone())
    };
    let path = "time-to-final?from_date=2025-03-27&to_date=2025-03-27";
    let response = metrics.get(path).await;
    assert_eq!(times(&response), [json!(20), json!(1), json!(10.0), json!(19.0)]);
    assert_eq!(said(&response["groups"], &["group", "count"]), json!([["vima", 20]]));

    // The pending payment fails an hour later.
    let Record::Payment(payment) = payments[21].record(21) else { unreachable!("a payment") };
    let version = Version { sequence: Some(SequenceId(9)), modified_at: None };
    let updated_at = Some(payment.created_at + TimeDelta::hours(1));
    let failed = Transaction { status: Status::Failed, version, updated_at, ..*payment };
    let page = Page::new(Stream::VimaUpdates, vec![Record::Payment(Box::new(failed))], Checkpoint::None);
    metrics.books.ingest_page(page).await.expect("the page is stored");
    let response = metrics.get(&format!("{path}&by=project")).await;
    assert_eq!((&response["total"]["count"], &response["total"]["unknown_count"]), (&json!(21), &json!(1)));
    assert_eq!(said(&response["groups"], &["group", "count"]), json!([["alpha", 21]]));
    let refused = "/api/v1/metrics/time-to-final?from_date=2025-03-01&to_date=2025-03-08";
    let refused = metrics.web.request(Method::GET, refused, Some(VIEWER), None).await.expect("a response");
    assert_eq!((refused.status, &refused.json()["errors"][0]["field"]), (422, &json!("from_date")));
}

#[tokio::test]
async fn pending_payments_have_an_age() {
    let [one, ..] = few()[..] else { unreachable!("six payments") };
    let now = SystemClock.now();
    let pending =
        |minutes, project, status| Given { created_at: now - TimeDelta::minutes(minutes), project, status, ..one };
    let metrics = MetricsApi::new(&[
        pending(5, "alpha", Status::Pending),
        pending(30, "alpha", Status::Processing),
        pending(100, "beta", Status::Pending),
        pending(20_000, "beta", Status::Pending),
        pending(30, "alpha", Status::Success),
    ])
    .await;
    let response = metrics.get("pending-age").await;
    let ages = |group: &Value| said(&group["ages"], &["age", "count", "amount"]);
    assert_eq!((&response["total"]["total_count"], &response["total"]["total_amount"]), (&json!(4), &json!("400.00")));
    assert_eq!(
        ages(&response["total"]),
        json!([
            ["under_15_minutes", 1, "100.00"],
            ["under_1_hour", 1, "100.00"],
            ["under_6_hours", 1, "100.00"],
            ["under_24_hours", 0, "0.00"],
            ["under_7_days", 0, "0.00"],
            ["7_days_or_older", 1, "100.00"],
        ])
    );
    assert_eq!(said(&response["sources"], &["source", "total_count"]), json!([["vima", 4]]));
    assert_eq!(said(&response["projects"], &["project", "total_count"]), json!([["alpha", 2], ["beta", 2]]));
    let by_currency = &response["total"]["by_currency"];
    assert_eq!(said(by_currency, &["currency", "count", "amount"]), json!([["INR", 4, "400.00"]]));
    let mut followed = 0;
    for path in ["pending-age", "pending-age?status=pending,success&timezone=Asia/Kolkata", "pending-age?status=failed"]
    {
        let response = metrics.get(path).await;
        let groups = [&response["sources"], &response["projects"]].map(|groups| groups.as_array().expect("groups"));
        for group in groups.into_iter().flatten().chain([&response["total"]]) {
            followed += metrics.follow(path, group).await;
            for age in group["ages"].as_array().expect("ages") {
                followed += metrics.follow(path, age).await;
            }
        }
    }
    assert_eq!(followed, 16 + 13, "groups and ages that have payments");
    let beta = metrics.get("pending-age?project=beta").await;
    assert_eq!((&beta["total"]["total_count"], &beta["projects"][0]["ages"][5]["count"]), (&json!(2), &json!(1)));
}
