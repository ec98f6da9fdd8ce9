//! Exports of payments, metrics and clients: the files hold what the API returns.

use std::collections::BTreeSet;

use chrono::{DateTime, Days, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::domain::money::format_decimal;
use reqwest::Method;
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;

use crate::harness::exported_files::{column_cells, csv_rows, open_workbook, sheet_rows, sum_amounts};
use crate::harness::ingest_fixture::insert_transactions;
use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, VIEWER, Web, header, items};

struct File {
    name: String,
    total: Option<usize>,
    bytes: Vec<u8>,
}

async fn file(web: &Web, key: &str, path: &str) -> File {
    let response = web.download(key, &format!("/api/v1/export/{path}"), &[]).await;
    assert_eq!(response.status(), 200, "{path}");
    let name = header(response.headers(), "content-disposition").to_owned();
    let total = header(response.headers(), "x-total-count").parse().ok();
    File { name, total, bytes: response.bytes().await.expect("a complete file").to_vec() }
}

/// All items of a listing.
async fn list_all(web: &Web, key: &str, path: &str) -> Vec<Value> {
    let separator = if path.contains('?') { '&' } else { '?' };
    let pages = web.pages(key, &format!("/api/v1/{path}{separator}limit=100")).await;
    pages.iter().flat_map(items).cloned().collect()
}

/// The lines of an NDJSON file.
fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Converts times to UTC, since an export writes them in the requested zone.
fn with_utc_times(mut row: Value) -> Value {
    for (name, value) in row.as_object_mut().expect("an object") {
        let time = value.as_str().filter(|_| name.ends_with("_at")).map(str::parse::<DateTime<Utc>>);
        if let Some(time) = time {
            *value = time.expect("a time").to_rfc3339().into();
        }
    }
    row
}

fn cents(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

/// Rounds amounts in US dollars, which an export contains exactly.
fn with_cents(mut row: Value) -> Value {
    for name in ["amount_usd", "fee_usd"] {
        if let Some(amount) = row[name].as_str() {
            row[name] = format_decimal(cents(amount.parse().expect("an amount"))).into();
        }
    }
    row
}

/// A system after a sync, without a worker.
async fn start_synced() -> (TestSystem, Web) {
    let system = TestSystem::start(&["--per-day", "40"]).await;
    let worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    system.run_job("sync-payshack-metadata", None);
    drop(worker);
    let web = system.start_web().await;
    (system, web)
}

#[tokio::test]
async fn exported_payments_equal_the_listing_in_order() {
    let (_system, web) = start_synced().await;
    for query in [
        "",
        "source=payshack&kind=payin",
        "status=success,failed&sort_by=amount&order=asc",
        "min_amount=500&sort_by=updated_at",
        "search=SP-",
        "search=no-such-payment",
    ] {
        let list = list_all(&web, OPERATOR, &format!("transactions?{query}")).await;
        let list: Vec<Value> = list.into_iter().map(with_utc_times).collect();
        let file = file(&web, OPERATOR, &format!("transactions?format=ndjson&timezone=Asia/Kathmandu&{query}")).await;
        let exported: Vec<Value> = lines(&file.bytes).into_iter().map(with_utc_times).map(with_cents).collect();
        assert_eq!(exported.len(), list.len(), "{query}");
        assert_eq!(file.total, Some(list.len()), "{query}");
        for (exported, listed) in exported.iter().zip(&list) {
            assert_eq!(exported, listed, "{query}");
        }
    }
}

#[tokio::test]
async fn exported_payments_and_summaries_add_up_to_the_metrics() {
    let (system, web) = start_synced().await;
    // Longer than the history on both sides in any time zone.
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
    let converted = rows.iter().map(|row| row["amount_usd"].clone()).filter(|amount| !amount.is_empty());
    assert_eq!(cents(sum_amounts(converted)), usd);

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

    // One row per day, source, project and currency, which add up to the same.
    let summary = file(&web, VIEWER, &format!("metrics-summary?{days}&timezone=Asia/Kolkata")).await;
    assert!(summary.name.contains(&format!("metrics-summary_{from}_{to}.csv")), "{}", summary.name);
    let rows = csv_rows(&summary.bytes);
    let sum_of = |name: &str| sum_amounts(rows.iter().map(|row| row[name].clone()));
    assert_eq!((sum_of("total_count"), cents(sum_of("total_amount_usd"))), (total.into(), usd));
    let by_status = &overview["by_status"];
    for (column, status) in [("success_count", "success"), ("failed_count", "failed"), ("refunded_count", "refunded")] {
        assert_eq!(sum_of(column), by_status[status]["count"].as_i64().expect("a count").into(), "{column}");
    }
    let keys: BTreeSet<_> =
        rows.iter().map(|row| ["date", "source", "project", "currency"].map(|name| &row[name])).collect();
    assert_eq!(keys.len(), rows.len());
}

#[tokio::test]
async fn exported_personal_data_is_masked_for_viewers() {
    let (_system, web) = start_synced().await;
    let emails = |bytes: &[u8]| -> Vec<String> {
        csv_rows(bytes).into_iter().map(|row| row["user_email"].clone()).filter(|email| !email.is_empty()).collect()
    };
    let columns = "transactions?columns=user_email,user_phone";
    let (viewer, operator) = (file(&web, VIEWER, columns).await, file(&web, OPERATOR, columns).await);
    let (masked, unmasked) = (emails(&viewer.bytes), emails(&operator.bytes));
    assert!(!unmasked.is_empty() && unmasked.len() == masked.len());
    assert!(masked.iter().all(|email| email.contains("***")) && unmasked.iter().all(|email| !email.contains("***")));

    for (key, is_masked) in [(VIEWER, true), (OPERATOR, false)] {
        let list = list_all(&web, key, "payshack/clients").await;
        let file = file(&web, key, "payshack-clients?format=ndjson&timezone=UTC").await;
        assert!(file.name.contains("payshack-clients_all.ndjson"), "{}", file.name);
        let exported: Vec<Value> = lines(&file.bytes).into_iter().map(with_utc_times).collect();
        assert!(!exported.is_empty());
        assert_eq!(exported, list.into_iter().map(with_utc_times).collect::<Vec<_>>());
        let emails: Vec<&str> = exported.iter().filter_map(|client| client["email"].as_str()).collect();
        assert!(emails.iter().all(|email| email.contains("***") == is_masked), "{emails:?}");
    }
}

#[tokio::test]
async fn large_exports_are_audited_and_too_long_workbooks_are_rejected() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    insert_transactions(&system.pool, 1..=1_000).await;
    let none = file(&web, VIEWER, "transactions?project=nobody&columns=id").await;
    assert_eq!((none.total, none.bytes.as_slice()), (Some(0), "id\r\n".as_bytes()));
    file(&web, VIEWER, "transactions?columns=id").await;
    assert_eq!(
        web.get("/api/v1/audit?operation=exportTransactions").await["total"],
        0,
        "exports of up to a thousand rows are not audited"
    );
    insert_transactions(&system.pool, 1_001..=1_001).await;
    for query in ["columns=id&currency=INR", "format=xlsx&columns=id"] {
        file(&web, VIEWER, &format!("transactions?{query}")).await;
    }
    let audit = web.get("/api/v1/audit?operation=exportTransactions").await;
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
    let instruction = r#"POST /api/v1/exports with {"export": "transactions", "query": "format=xlsx&columns=id"}"#;
    assert!(detail.contains("250001 rows") && detail.contains(instruction), "{detail}");
    let csv = file(&web, VIEWER, "transactions?columns=id").await;
    assert_eq!((csv.total, csv_rows(&csv.bytes).len()), (Some(250_001), 250_001));
}
