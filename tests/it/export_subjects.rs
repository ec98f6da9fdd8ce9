//! Exports of payments, sums and clients: read back, they are what the API answers.

use std::collections::BTreeSet;

use chrono::{DateTime, Days, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use reqwest::Method;
use rust_decimal::Decimal;
use serde_json::Value;

use crate::harness::exported_files::{column_cells, csv_rows, open_workbook, sheet_rows, sum_amounts};
use crate::harness::http_client;
use crate::harness::ingest_fixture::insert_transactions;
use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, VIEWER, Web};

struct File {
    name: String,
    total: Option<usize>,
    bytes: Vec<u8>,
}

async fn file(web: &Web, key: &str, path: &str) -> File {
    let address = format!("http://127.0.0.1:{}/api/v1/export/{path}", web.port);
    let response = http_client().get(address).header("x-api-key", key).send().await.expect("a response");
    assert_eq!(response.status(), 200, "{path}");
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().expect("text").to_owned());
    let (name, total) = (header("content-disposition").expect("a name"), header("x-total-count"));
    let total = total.map(|total| total.parse().expect("a number"));
    File { name, total, bytes: response.bytes().await.expect("a whole file").to_vec() }
}

/// Everything that a list answers, page by page.
async fn listed(web: &Web, key: &str, path: &str) -> Vec<Value> {
    let mut items = vec![];
    let joint = if path.contains('?') { '&' } else { '?' };
    let mut next = format!("/api/v1/{path}{joint}limit=100");
    loop {
        let response = web.request(Method::GET, &next, Some(key), None).await.expect("a response");
        assert_eq!(response.status, 200, "{next}: {}", response.text);
        let page = response.json();
        items.extend(page["items"].as_array().expect("a page").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(cursor) => next = format!("/api/v1/{path}{joint}limit=100&cursor={cursor}"),
            None => return items,
        }
    }
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Times are told in the zone that was asked for, to the instant.
fn with_plain_times(mut row: Value) -> Value {
    for (name, value) in row.as_object_mut().expect("an object") {
        let time = value.as_str().filter(|_| name.ends_with("_at")).map(str::parse::<DateTime<Utc>>);
        if let Some(time) = time {
            *value = time.expect("a time").to_rfc3339().into();
        }
    }
    row
}

async fn synced() -> (TestSystem, Web) {
    let system = TestSystem::start(&["--per-day", "40"]).await;
    let worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    system.run_job("sync-payshack-metadata", None);
    drop(worker);
    let web = system.start_web().await;
    (system, web)
}

#[tokio::test]
async fn payments_are_those_of_the_list_in_its_order() {
    let (_stage, web) = synced().await;
    for query in [
        "",
        "source=payshack&kind=payin",
        "status=success,failed&sort_by=amount&order=asc",
        "min_amount=500&sort_by=updated_at",
        "search=SP-",
        "search=no-such-payment",
    ] {
        let list = listed(&web, OPERATOR, &format!("transactions?{query}")).await;
        let list: Vec<Value> = list.into_iter().map(with_plain_times).collect();
        let file = file(&web, OPERATOR, &format!("transactions?format=ndjson&timezone=Asia/Kathmandu&{query}")).await;
        let exported: Vec<Value> = lines(&file.bytes).into_iter().map(with_plain_times).collect();
        assert_eq!(exported.len(), list.len(), "{query}");
        assert_eq!(file.total, Some(list.len()), "{query}");
        for (exported, listed) in exported.iter().zip(&list) {
            assert_eq!(exported, listed, "{query}");
        }
    }
}

#[tokio::test]
async fn files_of_payments_hold_what_the_metrics_say() {
    let (system, web) = synced().await;
    // Longer than the history at either end, by any zone's clock.
    let today = SystemClock.now().date_naive();
    let (from, to) = (today - Days::new(20), today + Days::new(2));
    let days = format!("from_date={from}&to_date={to}");
    let overview = web.get(&format!("/api/v1/metrics/overview?{days}&timezone=UTC")).await;
    let total = overview["total_count"].as_u64().expect("a count");
    assert_eq!(i64::try_from(total), Ok(system.number("SELECT count(*) FROM transactions").await));
    let usd: Decimal = overview["total_amount_usd"].as_str().expect("an amount").parse().expect("an amount");

    let csv = file(&web, ADMIN, &format!("transactions?source=vima,payshack&{days}&excel=true")).await;
    assert!(csv.name.contains(&format!("transactions_{from}_{to}_vima-payshack.csv")), "{}", csv.name);
    let rows = csv_rows(csv.bytes.strip_prefix("\u{feff}".as_bytes()).expect("a byte order mark"));
    assert_eq!((rows.len() as u64, csv.total), (total, Some(rows.len())));
    let known = rows.iter().map(|row| row["amount_usd"].clone()).filter(|amount| !amount.is_empty());
    assert_eq!(sum_amounts(known), usd);

    let xlsx = file(&web, ADMIN, "transactions?format=xlsx&columns=amount,source_id,created_at,currency").await;
    let mut book = open_workbook(xlsx.bytes);
    let cells = sheet_rows(&mut book, "Transactions");
    assert_eq!(cells.len() as u64, total + 1);
    let amounts: f64 =
        column_cells(&cells, "amount").iter().map(|cell| calamine::DataType::get_float(cell).expect("a number")).sum();
    let exact = sum_amounts(rows.iter().map(|row| row["amount"].clone())).to_string().parse::<f64>().expect("a number");
    assert!((amounts - exact).abs() < 0.01, "{amounts} {exact}");
    let summary = sheet_rows(&mut book, "Summary");
    assert!(summary.iter().any(|row| row[0] == "personal data" && row[1] == "shown"));

    // A row for each day, source, project and currency: they add up to the same.
    let sums = file(&web, VIEWER, &format!("metrics-summary?{days}&timezone=Asia/Kolkata")).await;
    assert!(sums.name.contains(&format!("metrics-summary_{from}_{to}.csv")), "{}", sums.name);
    let rows = csv_rows(&sums.bytes);
    let of = |name: &str| sum_amounts(rows.iter().map(|row| row[name].clone()));
    assert_eq!((of("total_count"), of("total_amount_usd")), (total.into(), usd));
    let by_status = &overview["by_status"];
    for (column, status) in [("success_count", "success"), ("failed_count", "failed"), ("refunded_count", "refunded")] {
        assert_eq!(of(column), by_status[status]["count"].as_i64().expect("a count").into(), "{column}");
    }
    let keys: BTreeSet<_> =
        rows.iter().map(|row| ["date", "source", "project", "currency"].map(|name| &row[name])).collect();
    assert_eq!(keys.len(), rows.len());
}

#[tokio::test]
async fn a_viewer_sees_no_person_in_any_file() {
    let (_stage, web) = synced().await;
    let shown = |bytes: &[u8]| -> Vec<String> {
        csv_rows(bytes).into_iter().map(|row| row["user_email"].clone()).filter(|email| !email.is_empty()).collect()
    };
    let columns = "transactions?columns=user_email,user_phone";
    let (viewer, operator) = (file(&web, VIEWER, columns).await, file(&web, OPERATOR, columns).await);
    let (masked, whole) = (shown(&viewer.bytes), shown(&operator.bytes));
    assert!(!whole.is_empty() && whole.len() == masked.len());
    assert!(masked.iter().all(|email| email.contains("***")) && whole.iter().all(|email| !email.contains("***")));

    for (key, is_masked) in [(VIEWER, true), (OPERATOR, false)] {
        let list = listed(&web, key, "payshack/clients").await;
        let file = file(&web, key, "payshack-clients?format=ndjson&timezone=UTC").await;
        assert!(file.name.contains("payshack-clients_all.ndjson"), "{}", file.name);
        let exported: Vec<Value> = lines(&file.bytes).into_iter().map(with_plain_times).collect();
        assert!(!exported.is_empty());
        assert_eq!(exported, list.into_iter().map(with_plain_times).collect::<Vec<_>>());
        let emails: Vec<&str> = exported.iter().filter_map(|client| client["email"].as_str()).collect();
        assert!(emails.iter().all(|email| email.contains("***") == is_masked), "{emails:?}");
    }
}

#[tokio::test]
async fn what_is_large_is_noted_and_what_takes_too_long_is_to_be_ordered() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    insert_transactions(&system.pool, 1..=1_000).await;
    let none = file(&web, VIEWER, "transactions?project=nobody&columns=id").await;
    assert_eq!((none.total, none.bytes.as_slice()), (Some(0), "id\r\n".as_bytes()));
    file(&web, VIEWER, "transactions?columns=id").await;
    assert_eq!(web.get("/api/v1/audit").await["total"], 0, "a thousand rows are not noted");
    insert_transactions(&system.pool, 1_001..=1_001).await;
    for query in ["columns=id&currency=INR", "format=xlsx&columns=id"] {
        file(&web, VIEWER, &format!("transactions?{query}")).await;
    }
    let audit = web.get("/api/v1/audit").await;
    assert_eq!(audit["total"], 2, "{audit}");
    let first = &audit["items"][1];
    assert_eq!((&first["principal"], &first["role"]), (&"vera".into(), &"viewer".into()));
    assert_eq!((&first["rows"], &first["outcome"]), (&1_001.into(), &"complete".into()), "{first}");
    assert_eq!(first["details"]["filters"]["currency"], "INR", "{first}");
    let refused = web.request(Method::GET, "/api/v1/audit", Some(OPERATOR), None).await.expect("a response");
    assert_eq!(refused.status, 403);

    insert_transactions(&system.pool, 1_002..=250_001).await;
    let path = "/api/v1/export/transactions?format=xlsx&columns=id";
    let refused = web.request(Method::GET, path, Some(VIEWER), None).await.expect("a response");
    let problem = refused.json();
    assert_eq!((refused.status, &problem["code"]), (422, &"EXPORT_TOO_LONG".into()));
    let detail = problem["detail"].as_str().expect("a detail");
    let order = r#"POST /api/v1/exports with {"export": "transactions", "query": "format=xlsx&columns=id"}"#;
    assert!(detail.contains("250001 rows") && detail.contains(order), "{detail}");
    let csv = file(&web, VIEWER, "transactions?columns=id").await;
    assert_eq!((csv.total, csv_rows(&csv.bytes).len()), (Some(250_001), 250_001));
}
