//! Every metrics endpoint, for a few payments whose totals can be checked by hand.

mod failures;
mod live;
mod merchant;
mod payments;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::domain::record::Record;
use psp_dashboard::domain::status::Status;
use psp_dashboard::domain::sync::Stream;
use psp_dashboard::domain::transaction::{Kind, Source, Transaction};
use psp_dashboard::operations::ingest_page::{Checkpoint, Page};
use reqwest::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::harness::ingest_fixture::{IngestFixture, minimal_transaction};
use crate::harness::test_system::{TestSystem, VIEWER, Web};

/// The fields of a payment that differ.
#[derive(Debug, Clone, Copy)]
struct Given {
    list: Stream,
    created_at: DateTime<Utc>,
    project: &'static str,
    merchant: &'static str,
    country: &'static str,
    method: &'static str,
    currency: &'static str,
    amount: i64,
    /// Hundredths of a US dollar per unit; 0 means no rate.
    cents: i64,
    status: Status,
}

impl Given {
    fn record(self, id: usize) -> Record {
        let (source, kind) = match self.list {
            Stream::PayshackPayins => (Source::Payshack, Kind::Payin),
            Stream::PayshackPayouts => (Source::Payshack, Kind::Payout),
            _ => (Source::Vima, Kind::Payin),
        };
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let rate = (self.cents > 0).then(|| Decimal::new(self.cents, 2));
        let amount = Decimal::from(self.amount);
        Record::Payment(Box::new(Transaction {
            project: text(self.project),
            merchant_id: text(self.merchant),
            amount,
            currency: self.currency.parse().expect("a currency"),
            amount_usd: rate.map(|rate| amount * rate),
            exchange_rate: rate,
            status: self.status,
            country: text(self.country),
            payment_method: text(self.method),
            ..minimal_transaction((source, kind), id.to_string(), self.created_at)
        }))
    }
}

/// Six payments from Monday the 13th to Wednesday the 15th.
fn few() -> Vec<Given> {
    use Status::{Failed, Pending, Processing, Success};
    use Stream::{PayshackPayins, PayshackPayouts, VimaUpdates};
    let given =
        |list, time: &str, [project, merchant, country, method, currency]: [&'static str; 5], amount, cents, status| {
            let created_at = format!("2025-01-{time}Z").parse().expect(time);
            Given { list, created_at, project, merchant, country, method, currency, amount, cents, status }
        };
    vec![
        given(VimaUpdates, "13T09:10:00", ["alpha", "m-1", "IN", "UPI", "INR"], 100, 1, Success),
        given(VimaUpdates, "13T09:50:00", ["alpha", "m-1", "IN", "UPI", "INR"], 300, 1, Failed),
        given(VimaUpdates, "13T20:00:00", ["alpha", "m-2", "IND", "CARD", "INR"], 600, 1, Success),
        given(PayshackPayins, "14T09:00:00", ["beta", "m-2", "IN", "UPI", "INR"], 1_000, 0, Pending),
        given(PayshackPayouts, "14T23:59:59", ["beta", "", "", "", "INR"], 50, 0, Processing),
        given(VimaUpdates, "15T00:00:00", ["", "m-3", "NP", "CARD", "EUR"], 10, 110, Success),
    ]
}

struct MetricsApi {
    _system: TestSystem,
    books: IngestFixture,
    web: Web,
}

impl MetricsApi {
    async fn new(given: &[Given]) -> Self {
        Self::with(given, &[]).await
    }

    async fn with(given: &[Given], settings: &[(&'static str, &str)]) -> Self {
        let system = TestSystem::start(&[]).await;
        let books = IngestFixture::start_on(Arc::clone(&system.servers)).await;
        for list in [Stream::VimaUpdates, Stream::PayshackPayins, Stream::PayshackPayouts] {
            let records = given.iter().enumerate().filter(|(_, given)| given.list == list);
            let page = Page::new(list, records.map(|(id, given)| given.record(id)).collect(), Checkpoint::None);
            books.ingest_page(page).await.expect("the page is stored");
        }
        Self { web: system.start_web_with(settings).await, books, _system: system }
    }

    async fn get(&self, path: &str) -> Value {
        self.web.get(&format!("/api/v1/metrics/{path}")).await
    }

    /// The response for the three days of the payments.
    async fn of_few(&self, path: &str) -> Value {
        let sign = if path.contains('?') { '&' } else { '?' };
        self.get(&format!("{path}{sign}from_date=2025-01-13&to_date=2025-01-15")).await
    }
}

impl MetricsApi {
    /// Follows the link of a row, which lists as many payments as it counts. Returns the number of links.
    async fn follow(&self, path: &str, row: &Value) -> usize {
        let counts = ["total_count", "count"].iter().find_map(|field| row[*field].as_u64());
        let count = counts.unwrap_or_else(|| panic!("{path}: no count in {row}"));
        let count = count + row["unknown_count"].as_u64().unwrap_or_default();
        let Some(url) = row["rows_url"].as_str() else {
            assert_eq!(count, 0, "{path}: {row}");
            return 0;
        };
        let list = self.web.get(url).await;
        let items = list["items"].as_array().map(|items| items.len() as u64);
        assert_eq!((list["total"].as_u64(), items), (Some(count), Some(count)), "{path}: {url}");
        1
    }
}

/// Some fields of the rows.
fn said(rows: &Value, fields: &[&str]) -> Value {
    let rows = rows.as_array().unwrap_or_else(|| panic!("no rows: {rows}"));
    rows.iter().map(|row| fields.iter().map(|field| row[*field].clone()).collect::<Value>()).collect()
}

/// The only row with this value.
fn row<'a>(rows: &'a Value, said: &[(&str, Value)]) -> &'a Value {
    let rows = rows.as_array().unwrap_or_else(|| panic!("no rows: {rows}"));
    let mut found = rows.iter().filter(|row| said.iter().all(|(field, value)| row[*field] == *value));
    let row = found.next().unwrap_or_else(|| panic!("no row says {said:?} in {rows:?}"));
    assert!(found.next().is_none(), "several rows say {said:?}");
    row
}

#[tokio::test]
async fn metrics_by_country_status_and_method_are_correct() {
    let metrics = MetricsApi::new(&few()).await;
    let fields = ["country", "country_name", "total_count", "total_amount", "total_amount_usd", "percentage_of_total"];
    let response = metrics.of_few("by-country").await;
    assert_eq!(
        said(&response["countries"], &fields),
        // Sorted by US dollars, because there are two currencies.
        json!([
            ["NP", "Nepal", 1, "10.00", "11.00", 16.67],
            ["IND", "India", 1, "600.00", "6.00", 16.67],
            ["IN", "India", 3, "1400.00", "4.00", 50.0],
            [null, null, 1, "50.00", "0.00", 16.67],
        ])
    );
    assert_eq!(response["period"], json!({"from": "2025-01-13", "to": "2025-01-15", "timezone": "UTC"}));
    assert_eq!(response["data_as_of"], json!({"vima": null, "payshack": null}));
    let response = metrics.of_few("by-country?currency=INR&kind=payin").await;
    assert_eq!(
        said(&response["countries"], &["country", "total_amount", "usd_missing_count", "percentage_of_total"]),
        json!([["IN", "1400.00", 1, 75.0], ["IND", "600.00", 0, 25.0]])
    );
    let fields = ["status", "total_count", "total_amount", "success_count", "failed_amount", "percentage_of_total"];
    let response = metrics.of_few("by-status?source=vima&currency=INR").await;
    assert_eq!(
        said(&response["statuses"], &fields),
        json!([["success", 2, "700.00", 2, "0.00", 66.67], ["failed", 1, "300.00", 0, "300.00", 33.33]])
    );
    // In Kolkata, the last two of the 14th belong to the 15th.
    let response = metrics.get("by-payment-method?from_date=2025-01-13&to_date=2025-01-14&timezone=Asia/Kolkata").await;
    assert_eq!(
        said(
            &response["payment_methods"],
            &["payment_method", "total_count", "total_amount", "pending_count", "conversion_rate"]
        ),
        json!([["UPI", 3, "1400.00", 1, 33.33], ["CARD", 1, "600.00", 0, 100.0]])
    );
    let response = metrics.of_few("by-payment-method?project=alpha").await;
    assert_eq!(
        said(&response["payment_methods"], &["payment_method", "total_count", "avg_ticket"]),
        json!([["CARD", 1, "600.00"], ["UPI", 2, "200.00"]])
    );
}

#[tokio::test]
async fn merchants_are_paged() {
    let metrics = MetricsApi::new(&few()).await;
    let fields = ["merchant_id", "total_count", "total_amount", "pending_count", "first_txn_at", "last_txn_at"];
    let first = metrics.of_few("by-merchant?sort_by=total_count&limit=2").await;
    assert_eq!(
        said(&first["items"], &fields),
        json!([
            ["m-2", 2, "1600.00", 1, "2025-01-13T20:00:00Z", "2025-01-14T09:00:00Z"],
            ["m-1", 2, "400.00", 0, "2025-01-13T09:10:00Z", "2025-01-13T09:50:00Z"],
        ])
    );
    let counts = ["total", "total_relation", "page", "pages"].map(|field| first[field].clone());
    assert_eq!(counts, [json!(4), json!("exact"), json!(1), json!(2)]);
    let cursor = first["next_cursor"].as_str().expect("a next page");
    let second = metrics.of_few(&format!("by-merchant?sort_by=total_count&limit=2&cursor={cursor}")).await;
    assert_eq!(
        said(&second["items"], &fields),
        json!([
            ["m-3", 1, "10.00", 0, "2025-01-15T00:00:00Z", "2025-01-15T00:00:00Z"],
            [null, 1, "50.00", 1, "2025-01-14T23:59:59Z", "2025-01-14T23:59:59Z"],
        ])
    );
    assert_eq!((&second["page"], &second["next_cursor"]), (&json!(2), &Value::Null));
    let by_number = metrics.of_few("by-merchant?sort_by=total_count&limit=2&page=2").await;
    assert_eq!(by_number["items"], second["items"]);
    let largest = metrics.of_few("by-merchant").await;
    assert_eq!(said(&largest["items"], &["merchant_id"]), json!([["m-3"], ["m-2"], ["m-1"], [null]]));
    let searched = metrics.of_few("by-merchant?search=M-&sort_by=merchant_id&order=asc&source=payshack").await;
    assert_eq!(
        said(&searched["items"], &["merchant_id", "first_txn_at", "last_txn_at"]),
        json!([["m-2", "2025-01-14T09:00:00Z", "2025-01-14T09:00:00Z"]])
    );
    let of_project = metrics.of_few("by-merchant?project=alpha&status=success&sort_by=merchant_id&order=asc").await;
    assert_eq!(
        said(&of_project["items"], &["merchant_id", "total_amount", "last_txn_at"]),
        json!([["m-1", "100.00", "2025-01-13T09:10:00Z"], ["m-2", "600.00", "2025-01-13T20:00:00Z"]])
    );
}

#[tokio::test]
async fn hourly_and_amount_distributions_are_correct() {
    let metrics = MetricsApi::new(&few()).await;
    let fields = ["weekday_name", "count", "amount", "amount_usd", "success_count", "conversion_rate"];
    let response = metrics.of_few("hourly-distribution").await;
    let nine = row(&response["data"], &[("weekday", json!(0)), ("hour", json!(9))]);
    assert_eq!(said(&json!([nine]), &fields), json!([["Monday", 2, null, "4.00", 1, 50.0]]));
    assert_eq!((response["data"].as_array().map(Vec::len), &response["currency"]), (Some(168), &Value::Null));
    // 14:45 in Kathmandu is 09:00 UTC.
    let response = metrics.of_few("hourly-distribution?currency=INR&timezone=Asia/Kathmandu&project=beta").await;
    let afternoon = row(&response["data"], &[("weekday", json!(1)), ("hour", json!(14))]);
    assert_eq!(said(&json!([afternoon]), &fields), json!([["Tuesday", 1, "1000.00", "0.00", 0, 0.0]]));
    let night = row(&response["data"], &[("weekday", json!(2)), ("hour", json!(5))]);
    assert_eq!(said(&json!([night]), &fields), json!([["Wednesday", 1, "50.00", "0.00", 0, 0.0]]));

    let response = metrics.of_few("amount-distribution?currency=INR").await;
    assert_eq!(response["buckets"][1], "100-500");
    let filled: Value =
        response["data"].as_array().expect("rows").iter().filter(|row| row["count"] != 0).cloned().collect();
    assert_eq!(
        said(&filled, &["bucket", "bucket_index", "hour", "count", "total_amount"]),
        json!([
            ["0-100", 0, 23, 1, "50.00"],
            ["100-500", 1, 9, 2, "400.00"],
            ["500-1000", 2, 20, 1, "600.00"],
            ["1000-5000", 3, 9, 1, "1000.00"],
        ])
    );
    // For one project, the raw rows are counted.
    let response = metrics.of_few("amount-distribution?project=alpha").await;
    let hour = row(&response["data"], &[("bucket_index", json!(1)), ("hour", json!(9))]);
    assert_eq!((&hour["count"], &hour["total_amount"]), (&json!(2), &json!("400.00")));
}

#[tokio::test]
async fn heatmaps_contain_every_cell() {
    let metrics = MetricsApi::new(&few()).await;
    let cell = |map: &Value, x: u8, y: u8| {
        let cell = row(&map["cells"], &[("x", json!(x)), ("y", json!(y))]);
        (cell["value"].clone(), cell["count"].clone())
    };
    let map = metrics.of_few("heatmap").await;
    assert_eq!((map["cells"].as_array().map(Vec::len), cell(&map, 9, 0)), (Some(168), (json!(2), json!(2))));
    assert_eq!((&map["x_labels"][9], &map["y_labels"][0]), (&json!("9"), &json!("Monday")));
    assert_eq!((&map["min_value"], &map["max_value"], &map["currency"]), (&json!(0), &json!(2), &Value::Null));
    let map = metrics.of_few("heatmap?metric=amount").await;
    assert_eq!((&map["currency"], &map["is_converted"]), (&json!("USD"), &json!(true)));
    assert_eq!((cell(&map, 9, 0), &map["max_value"]), ((json!("4.00"), json!(2)), &json!("11.00")));
    let map = metrics.of_few("heatmap?dimension=merchant_hour&metric=amount&project=alpha").await;
    assert_eq!(
        (&map["y_labels"], &map["currency"], &map["is_converted"]),
        (&json!(["m-1", "m-2"]), &json!("INR"), &json!(false))
    );
    assert_eq!(
        (cell(&map, 9, 0).0, cell(&map, 20, 1).0, cell(&map, 9, 1).0),
        (json!("400.00"), json!("600.00"), json!("0.00"))
    );
    let map = metrics.of_few("heatmap?dimension=merchant_day&metric=conversion").await;
    assert_eq!((&map["y_labels"], map["cells"].as_array().map(Vec::len)), (&json!(["m-1", "m-2", "m-3"]), Some(21)));
    assert_eq!((cell(&map, 0, 0).0, cell(&map, 1, 1).0, cell(&map, 6, 2).0), (json!(50.0), json!(0.0), Value::Null));
    let map = metrics.of_few("heatmap?dimension=merchant_hour&project=nobody").await;
    assert_eq!((&map["cells"], &map["max_value"]), (&json!([]), &Value::Null));
}

#[tokio::test]
async fn comparison_of_periods_is_correct() {
    let metrics = MetricsApi::new(&few()).await;
    let days = "comparison?comparison_type=custom&from_date=2025-01-14&to_date=2025-01-15";
    let response = metrics.get(days).await;
    assert_eq!(response["current"]["period"], json!({"from": "2025-01-14T00:00:00Z", "until": "2025-01-16T00:00:00Z"}));
    assert_eq!(
        response["previous"]["period"],
        json!({"from": "2025-01-12T00:00:00Z", "until": "2025-01-14T00:00:00Z"})
    );
    let fields = ["total_count", "total_amount", "total_amount_usd", "success_count", "conversion_rate"];
    assert_eq!(
        said(&json!([response["current"], response["previous"]]), &fields),
        json!([[3, null, "11.00", 1, 33.33], [3, "1000.00", "10.00", 2, 66.67]])
    );
    let fields =
        ["count_change", "amount_change", "amount_change_percent", "amount_usd_change", "success_count_change"];
    assert_eq!(said(&json!([response["comparison"]]), &fields), json!([[0, null, 10.0, "1.00", -1]]));
    assert_eq!(response["comparison"]["conversion_rate_change"], json!(-33.33));
    let response = metrics.get(&format!("{days}&currency=INR")).await;
    assert_eq!(said(&json!([response["comparison"]]), &fields), json!([[-1, "50.00", 5.0, "-10.00", -2]]));

    for (zone, comparison) in [("UTC", "day"), ("Asia/Kathmandu", "week"), ("Asia/Kolkata", "month")] {
        let response = metrics.get(&format!("comparison?comparison_type={comparison}&timezone={zone}")).await;
        let time = |period: &str, end: &str| -> DateTime<Utc> {
            response[period]["period"][end].as_str().and_then(|text| text.parse().ok()).expect("a time")
        };
        let (current, until) = (time("current", "from"), time("current", "until"));
        let (previous, same) = (time("previous", "from"), time("previous", "until"));
        assert!(current < until && previous < same && same <= current, "{response}");
        let longest = until - current;
        assert!(same - previous <= longest && (comparison == "month" || same - previous == longest), "{response}");
        assert_eq!((&response["comparison_type"], &response["timezone"]), (&json!(comparison), &json!(zone)));
    }
}

#[tokio::test]
async fn projects_are_ranked_by_conversion_rate() {
    let day: DateTime<Utc> = "2025-02-01T12:00:00Z".parse().expect("a time");
    let many = |project, success: usize, failed: usize| {
        let given = Given { project, created_at: day, currency: "INR", ..few()[0] };
        let failures = vec![Given { status: Status::Failed, ..given }; failed];
        [vec![given; success], failures].concat()
    };
    let given = [many("gamma", 9, 3), many("delta", 1, 9), many("epsilon", 9, 0), many("zeta", 18, 6)].concat();
    let metrics = MetricsApi::new(&given).await;
    let response = metrics.get("conversion-by-project?from_date=2025-02-01&to_date=2025-02-01").await;
    let ranked = json!([["zeta", 24, 75.0], ["gamma", 12, 75.0], ["delta", 10, 10.0]]);
    let fields = ["project", "total_count", "conversion_rate"];
    assert_eq!((said(&response["projects"], &fields), said(&response["top_5"], &fields)), (ranked.clone(), ranked));
    assert_eq!(said(&response["bottom_5"], &["project"]), json!([["delta"], ["gamma"], ["zeta"]]));
    let failed = metrics.get("conversion-by-project?from_date=2025-02-01&to_date=2025-02-01&status=success").await;
    assert_eq!(said(&failed["projects"], &["project", "conversion_rate"]), json!([["zeta", 100.0]]));
}
