//! Exports: what is in the files is what the database says, however large they are and whatever happens on the way.

use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use calamine::{Data, DataType, Reader};
use chrono::NaiveDateTime;
use chrono_tz::Tz;
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::discrepancies::DiscrepancyFilter;
use psp_dashboard::domain::access::{Principal, Role};
use psp_dashboard::domain::reconciliation::Parameters;
use psp_dashboard::operations::export::exporter::{Exporter, RowCounter};
use psp_dashboard::operations::export::sources::reconciliation::{DISCREPANCY_COLUMNS, ReconciliationExport};
use psp_dashboard::tabular::lines::LineFormat;
use psp_dashboard::tabular::{FileOptions, Format};
use reqwest::Response;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::eventually;
use crate::harness::exported_files::{column_cells, csv_rows, open_workbook, sheet_rows, sum_amounts};
use crate::harness::test_system::{TestSystem, VIEWER, Web};

const PATH: &str = "/api/v1/export/reconciliation";
/// The statement of an export, seen from another session.
const READING: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'SELECT discrepancies.id%'";
const HELD_BACK: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'ClientWrite' AND query LIKE 'SELECT discrepancies.id%'";

/// DiscrepancyStream as the engine would have made them: `count` of them over five days, each an amount apart.
async fn cases(system: &TestSystem, count: i32) {
    sqlx::query!(
        r#"INSERT INTO discrepancies (id, recon_date, key, occurrence, match_status, types, project, vima_txn_id,
                                      payshack_txn_id, vima_amount, payshack_amount, amount_diff, vima_currency,
                                      payshack_currency, vima_status, payshack_status, details, state, first_seen_at,
                                      first_run_id, created_at)
           SELECT gen_random_uuid(), date '2026-01-10' + number % 5, 'order-' || number, 1, 'discrepancy',
                  ARRAY['amount', 'status'], '91game', gen_random_uuid(), gen_random_uuid(), 100 + number / 100.0, 100,
                  number / 100.0, 'INR', 'INR', 'success', 'failed', jsonb_build_object('number', number), 'open',
                  '2026-01-15T20:00:00.5Z', gen_random_uuid(), '2026-01-15T20:00:00.5Z'
             FROM generate_series(1, $1::int) AS number"#,
        count
    )
    .execute(&system.pool)
    .await
    .expect("the database accepts them");
}

/// Completed runs: two of one day, and one of another whose payments were of two currencies.
async fn runs(system: &TestSystem) {
    sqlx::query!(
        r#"INSERT INTO reconciliation_runs (id, recon_date, version, status, trigger, started_at, parameters, day_from,
                                            day_until, as_of, vima_watermark, vima_covered_from, payshack_watermark,
                                            payshack_covered_from, total_vima, total_payshack, matched,
                                            amount_discrepancies, pending, pending_vima, amounts)
           SELECT id::uuid, day, version, 'completed', 'schedule', day + 1, $1, day, day + 1, day + 2, day + read,
                  day - 5, day + 2, day - 5, matched + 2 + pending, matched + 2, matched, 2, pending, pending,
                  amounts::jsonb
             FROM (VALUES ('00000000-0000-0000-0000-000000000001', date '2026-01-10', 1, 2, 1, 0, '{}'),
                          ('00000000-0000-0000-0000-000000000002', '2026-01-10', 2, 2, 4, 0,
                           '{"INR": {"matched": "400.00", "amount": "1.25", "status": "2"}, "USD": {"matched": "7"}}'),
                          ('00000000-0000-0000-0000-000000000003', '2026-01-12', 1, 0, 1, 1, '{}'))
               AS runs (id, day, version, read, matched, pending, amounts)"#,
        json!(Parameters::default())
    )
    .execute(&system.pool)
    .await
    .expect("the database accepts them");
}

async fn asked(web: &Web, query: &str) -> Response {
    let client = crate::harness::http_client();
    let address = format!("http://127.0.0.1:{}{PATH}?{query}", web.port);
    client.get(address).header("x-api-key", VIEWER).send().await.expect("the web process responds")
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

async fn problem(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.expect("a response")).expect("JSON")
}

async fn file(web: &Web, query: &str) -> Vec<u8> {
    let response = asked(web, query).await;
    assert_eq!(response.status(), 200, "{query}");
    response.bytes().await.expect("a whole file").to_vec()
}

async fn sum_in_database(system: &TestSystem) -> Decimal {
    let sum = sqlx::query_scalar!(r#"SELECT sum(amount_diff) AS "sum!" FROM discrepancies"#);
    sum.fetch_one(&system.pool).await.expect("the database adds up")
}

#[tokio::test]
async fn every_format_holds_what_the_database_says() {
    let system = TestSystem::start(&[]).await;
    cases(&system, 25).await;
    let (web, total) = (system.start_web().await, sum_in_database(&system).await);

    let response = asked(&web, "from_date=2026-01-10&to_date=2026-01-31&state=open&type=amount").await;
    assert_eq!(header(&response, "content-type"), "text/csv; charset=utf-8");
    let name = "attachment; filename=\"reconciliation_2026-01-10_2026-01-31_amount_open.csv\"";
    assert_eq!((header(&response, "content-disposition"), header(&response, "x-total-count")), (name, "25"));
    let bytes = response.bytes().await.expect("a whole file");
    let names: Vec<&str> = DISCREPANCY_COLUMNS.iter().map(|column| column.name).collect();
    assert!(bytes.starts_with(format!("{}\r\n", names.join(",")).as_bytes()));
    let rows = csv_rows(&bytes);
    assert_eq!((rows.len(), sum_amounts(rows.iter().map(|row| row["amount_diff"].clone()))), (25, total));
    assert!(rows.is_sorted_by_key(|row| (row["recon_date"].clone(), row["id"].clone())));
    assert_eq!((&*rows[0]["types"], &*rows[0]["last_seen_at"]), ("amount,status", "2026-01-15T20:00:00.500Z"));

    let lines = file(&web, "format=ndjson&columns=amount_diff,types,details,first_seen_at&timezone=Asia/Kolkata").await;
    let lines = String::from_utf8(lines).expect("text");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told = sum_amounts(lines.iter().map(|line| line["amount_diff"].as_str().expect("text").to_owned()));
    assert_eq!((lines.len(), told), (25, total));
    assert_eq!(lines[0]["types"], json!(["amount", "status"]));
    assert_eq!(lines[0]["first_seen_at"], "2026-01-16T01:30:00.500+05:30");
    assert!(lines[0]["details"]["number"].is_number());

    let mut book = open_workbook(file(&web, "format=xlsx&timezone=Asia/Kolkata").await);
    let rows = sheet_rows(&mut book, "Discrepancies");
    let told = column_cells(&rows, "amount_diff").iter().map(|cell| cell.get_float().expect("a number")).sum::<f64>();
    assert_eq!((rows.len(), format!("{told:.2}")), (26, format!("{total:.2}")));
    let seen = column_cells(&rows, "first_seen_at")[0].as_datetime().expect("a time");
    assert_eq!(seen, "2026-01-16T01:30:00.5".parse::<NaiveDateTime>().expect("a time"));
    assert_eq!(column_cells(&rows, "recon_date")[0].as_date(), Some("2026-01-10".parse().expect("a day")));
}

#[tokio::test]
async fn the_summary_tells_each_day_and_what_was_asked() {
    let system = TestSystem::start(&[]).await;
    cases(&system, 3).await;
    runs(&system).await;
    let web = system.start_web_with(&[("RECONCILIATION_TIMEZONE", "Asia/Kolkata")]).await;
    let response = asked(&web, "format=xlsx&from_date=2026-01-10&project=91game,other&older_than_days=2").await;
    let name = "attachment; filename=\"reconciliation_from_2026-01-10.xlsx\"";
    assert_eq!((header(&response, "content-disposition"), header(&response, "x-total-count")), (name, "3"));
    assert!(header(&response, "content-length").parse::<u64>().is_ok_and(|bytes| bytes > 0));
    let mut book = open_workbook(response.bytes().await.expect("a whole file").to_vec());
    assert_eq!(book.sheet_names(), ["Discrepancies", "Summary"]);
    let rows = sheet_rows(&mut book, "Summary");
    let told = |name: &str| column_cells(&rows, name)[..3].to_vec();
    let text = |text: &str| Data::String(text.to_owned());
    let (number, empty) = (Data::Float, Data::Empty);
    let run = |last: u8| text(&format!("00000000-0000-0000-0000-00000000000{last}"));
    assert_eq!(told("run_id"), [run(2), empty.clone(), run(3)], "the last version of each day");
    assert_eq!(told("matched"), [number(4.0), empty.clone(), number(1.0)]);
    assert_eq!(told("matched_percentage"), [number(66.67), empty.clone(), number(25.0)]);
    assert_eq!(told("discrepancies_percentage"), [number(33.33), empty.clone(), number(50.0)]);
    assert_eq!(told("provisional"), [Data::Bool(false), empty.clone(), Data::Bool(true)]);
    assert_eq!(told("currency"), [text("INR"), text("USD"), empty.clone()]);
    assert_eq!(told("matched_amount"), [number(400.0), number(7.0), empty.clone()]);
    assert_eq!(told("discrepancies_amount"), [number(3.25), number(0.0), empty]);
    let notes: HashMap<String, Data> =
        rows[4..].iter().map(|row| (row[0].get_string().unwrap_or_default().to_owned(), row[1].clone())).collect();
    assert_eq!(notes["rows"], number(3.0));
    assert_eq!(notes["timezone"], text("Asia/Kolkata"));
    assert_eq!(notes["from_date"], text("2026-01-10"));
    assert_eq!(notes["project"], text("91game,other"));
    assert!(notes["snapshot_at"].as_datetime().is_some() && notes.contains_key("older_than_days: before"), "{notes:?}");
}

#[tokio::test]
async fn what_people_wrote_runs_nowhere_and_is_kept() {
    let system = TestSystem::start(&[]).await;
    cases(&system, 1).await;
    let note = "  =HYPERLINK(\"http://x\",\"y\")\r\nzweite Zeile, ₹";
    let written = sqlx::query!(
        "UPDATE discrepancies SET key = '@cmd', assignee = '+49', note = $1, vima_amount = 12345678901234567.89, amount_diff = -0.1, \
         state = 'resolved', resolved_at = '2026-01-14T12:00:00Z'",
        note
    );
    written.execute(&system.pool).await.expect("the database accepts it");
    let web = system.start_web().await;

    let bytes = file(&web, "excel=true").await;
    assert!(bytes.starts_with("\u{feff}id,".as_bytes()));
    let row = csv_rows(&bytes[3..]).remove(0);
    assert_eq!((&*row["recon_date"], &*row["age_days"]), ("2026-01-11", "3"), "what is closed ages no more");
    let told = ["client_operation_id", "assignee", "note", "vima_amount", "amount_diff"].map(|name| row[name].clone());
    assert_eq!(told, ["'@cmd", "'+49", &format!("'{note}"), "12345678901234567.89", "-0.10"]);

    let lines = file(&web, "format=ndjson").await;
    let line: Value = serde_json::from_slice(&lines).expect("JSON");
    assert_eq!((&line["note"], &line["vima_amount"]), (&json!(note), &json!("12345678901234567.89")));

    let mut book = open_workbook(file(&web, "format=xlsx").await);
    assert!(book.worksheet_formula("Discrepancies").expect("the sheet").is_empty(), "no cell is a formula");
    let rows = sheet_rows(&mut book, "Discrepancies");
    let cell = |name: &str| column_cells(&rows, name).remove(0);
    assert_eq!(cell("client_operation_id"), Data::String("@cmd".to_owned()));
    assert_eq!(cell("note").get_string().map(|text| text.replace("_x000D_", "\r")).as_deref(), Some(note));
    assert_eq!(cell("vima_amount"), Data::String("12345678901234567.89".to_owned()), "more digits than a number keeps");
    assert_eq!(cell("amount_diff"), Data::Float(-0.1));
}

#[tokio::test]
async fn what_cannot_be_had_is_refused_and_nothing_is_a_file_too() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    for (query, field, told) in [
        ("columns=id,colour", "columns", "there is no column \"colour\"; there are id, recon_date, run_id"),
        ("columns=id,id", "columns", "named twice"),
        ("format=pdf", "format", "csv, xlsx, ndjson"),
        ("timezone=Asia/Nowhere", "timezone", "IANA"),
        ("state=shut", "state", "open, acknowledged"),
        ("from_date=2026-01-02&to_date=2026-01-01", "from_date", "swap"),
    ] {
        let response = asked(&web, query).await;
        assert_eq!((response.status().as_u16(), header(&response, "content-type")), (422, "application/problem+json"));
        let problem = problem(response).await;
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
        assert!(problem["errors"][0]["message"].as_str().is_some_and(|message| message.contains(told)), "{problem}");
    }
    assert_eq!(file(&web, "columns=state,id&excel=false").await, b"state,id\r\n");
    assert!(file(&web, "format=ndjson").await.is_empty());
    let response = asked(&web, "format=xlsx").await;
    assert_eq!(header(&response, "content-disposition"), "attachment; filename=\"reconciliation_all.xlsx\"");
    let mut book = open_workbook(response.bytes().await.expect("a whole file").to_vec());
    assert_eq!(sheet_rows(&mut book, "Discrepancies").len(), 1, "the header alone");
}

#[tokio::test]
async fn rows_go_on_in_further_sheets() {
    let system = TestSystem::start(&[]).await;
    cases(&system, 25).await;
    let exporter = Exporter::new(system.pool.clone(), Arc::new(SystemClock));
    let (source, options) = export(Format::Xlsx);
    let written =
        exporter.write_workbook(&source, &options, &viewer(), 10, &RowCounter::default()).await.expect("a workbook");
    let mut bytes = vec![];
    std::io::Read::read_to_end(&mut &written.file, &mut bytes).expect("a readable file");
    assert_eq!((written.rows, written.bytes), (25, bytes.len() as u64));
    let mut book = open_workbook(bytes);
    assert_eq!(book.sheet_names(), ["Discrepancies", "Discrepancies 2", "Discrepancies 3", "Summary"]);
    let mut keys = vec![];
    for (name, rows) in [("Discrepancies", 10), ("Discrepancies 2", 10), ("Discrepancies 3", 5)] {
        let sheet = sheet_rows(&mut book, name);
        assert_eq!(sheet.len(), rows + 1, "{name}");
        keys.extend(column_cells(&sheet, "client_operation_id").into_iter().map(|key| key.to_string()));
    }
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 25, "each once");
}

fn export(format: Format) -> (ReconciliationExport, FileOptions) {
    let (filter, requested_at) = (DiscrepancyFilter::default(), SystemClock.now());
    let source = ReconciliationExport { filter, zone: Tz::UTC, requested_at };
    (source, FileOptions { format, columns: vec![], zone: Tz::UTC, excel: false })
}

fn viewer() -> Principal {
    Principal { name: "somebody".to_owned(), role: Role::Viewer }
}

/// So many KiB of the memory of a process: `VmRSS`, or `VmHWM` for the most there ever were.
fn memory(process: u32, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect(what);
    line.split_whitespace().find_map(|word| word.parse().ok()).expect("a number")
}

#[tokio::test]
async fn a_huge_file_comes_whole_and_takes_no_memory() {
    const ROWS: i32 = 50_000;
    let system = TestSystem::start(&[]).await;
    cases(&system, ROWS).await;
    let (web, total) = (system.start_web().await, sum_in_database(&system).await);
    let before = memory(web.program.id(), "VmRSS:");

    let rows = csv_rows(&file(&web, "").await);
    assert_eq!((rows.len(), sum_amounts(rows.iter().map(|row| row["amount_diff"].clone()))), (ROWS as usize, total));
    // Some columns: without optimization a cell takes ten times as long.
    let columns = "id,recon_date,client_operation_id,amount_diff,state,created_at";
    let mut book = open_workbook(file(&web, &format!("format=xlsx&columns={columns}")).await);
    assert_eq!(sheet_rows(&mut book, "Discrepancies").len(), ROWS as usize + 1);

    let most = memory(web.program.id(), "VmHWM:");
    assert!(most < before + 40 * 1024, "{} MiB more than before", (most - before) / 1024);
}

/// A reader that asks and has read nothing yet.
async fn silent_reader(web: &Web, query: &str, encoding: &str) -> TcpStream {
    let mut reader = TcpStream::connect(("127.0.0.1", web.port)).await.expect("the web process listens");
    let request = format!(
        "GET {PATH}?{query} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {VIEWER}\r\naccept-encoding: {encoding}\r\n\r\n"
    );
    reader.write_all(request.as_bytes()).await.expect("the web process reads");
    reader
}

/// A reader that asks for everything and then takes nothing.
async fn slow_reader(web: &Web) -> TcpStream {
    let mut reader = silent_reader(web, "", "identity").await;
    let mut first = [0; 8];
    reader.read_exact(&mut first).await.expect("the first bytes come at once");
    reader
}

async fn until(system: &TestSystem, what: &str, query: &'static str, expected: i64) {
    eventually(what, || async { (system.number(query).await == expected).then_some(()) }).await;
}

#[tokio::test]
async fn a_slow_reader_holds_the_database_back_and_one_that_leaves_ends_its_statement() {
    let system = TestSystem::start(&[]).await;
    cases(&system, 50_000).await;
    let web = system.start_web().await;
    let reader = slow_reader(&web).await;
    until(&system, "the database to wait for the reader", HELD_BACK, 1).await;
    drop(reader);
    until(&system, "the statement to end", READING, 0).await;
    // The statement ends a moment before the log says why.
    eventually("the log to say who has gone", || async {
        web.program.output().contains("the receiver closed the connection").then_some(())
    })
    .await;
    let reader = silent_reader(&web, "format=xlsx", "identity").await;
    let noted = "SELECT count(*) FROM audit_entries WHERE details->>'format' = 'xlsx'";
    until(&system, "the rows of a workbook to be read", noted, 1).await;
    drop(reader);
    eventually("the workbook to be given up", || async {
        web.program.output().contains("workbook aborted after").then_some(())
    })
    .await;
    let left = "SELECT count(*) FROM audit_entries
                 WHERE details->>'format' = 'xlsx' AND rows < 50000 AND outcome = 'the receiver closed the connection'";
    assert_eq!(system.number(left).await, 1, "the trail says how it ended");
    until(&system, "the statement to end", READING, 0).await;
    assert_eq!(csv_rows(&file(&web, "").await).len(), 50_000, "the next one is served");
}

#[tokio::test]
async fn whoever_would_have_brotli_gets_gzip_which_takes_no_time() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let mut reader = silent_reader(&web, "", "br, zstd, gzip;q=0.1").await;
    let mut head = vec![];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        assert!(reader.read_buf(&mut head).await.expect("the web process responds") > 0, "an response has a head");
    }
    assert!(String::from_utf8_lossy(&head).contains("content-encoding: gzip"), "{}", String::from_utf8_lossy(&head));
}

#[tokio::test]
async fn stalled_receiver_aborts_the_export() {
    let system = TestSystem::start(&[]).await;
    cases(&system, 50_000).await;
    let exporter =
        Exporter::with_receiver_timeout(system.pool.clone(), Arc::new(SystemClock), Duration::from_millis(200));
    let ((source, options), row_counter) = (export(Format::Ndjson), RowCounter::default());
    let lines =
        exporter.stream_lines(&source, &options, LineFormat::Ndjson, &viewer(), &row_counter).await.expect("it begins");
    until(&system, "the statement to begin", READING, 1).await;
    until(&system, "the statement to end", READING, 0).await;
    let mut parts = std::pin::pin!(lines.into_chunks());
    let mut last = None;
    while let Some(part) = futures_util::StreamExt::next(&mut parts).await {
        last = Some(part.is_err());
    }
    assert_eq!(last, Some(true), "what was waiting comes, and then an error");
}

#[tokio::test]
async fn a_file_that_fails_on_the_way_looks_broken() {
    let system = TestSystem::start(&[]).await;
    cases(&system, 50_000).await;
    let web = system.start_web().await;
    for encoding in ["identity", "gzip"] {
        let mut reader = silent_reader(&web, "", encoding).await;
        let mut text = vec![0; 100_000];
        reader.read_exact(&mut text).await.expect("it has begun");
        let killed = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'SELECT discrepancies.id%'
              AND state = 'active'";
        until(&system, "the backend to be killed", killed, 1).await;
        reader.read_to_end(&mut text).await.expect("the connection is closed");
        assert!(text.starts_with(b"HTTP/1.1 200 OK"), "{encoding}");
        assert!(!text.ends_with(b"\r\n0\r\n\r\n"), "{encoding}: the end of a body was sent");
    }
    let told = asked(&web, "").await.bytes().await;
    assert!(told.is_ok(), "the next one is served");
}

#[tokio::test]
async fn exports_leave_connections_to_others() {
    let system = TestSystem::start(&[]).await;
    cases(&system, 50_000).await;
    let web = system.start_web_with(&[("DATABASE_MAX_CONNECTIONS", "4")]).await;
    let _readers = [slow_reader(&web).await, slow_reader(&web).await];
    until(&system, "both to be held back", HELD_BACK, 2).await;
    let response = asked(&web, "").await;
    assert_eq!((response.status().as_u16(), header(&response, "retry-after")), (503, "5"));
    let problem = problem(response).await;
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("under way")), "{problem}");
    assert_eq!(web.get("/api/v1/transactions").await["total"], 0);
}
