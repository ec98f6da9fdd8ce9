//! Large files, slow and disconnected receivers, and failures in the middle of a file.

use std::sync::Arc;
use std::time::Duration;

use psp_dashboard::clock::SystemClock;
use psp_dashboard::db::reads::ReadPools;
use psp_dashboard::operations::export::exporter::{Exporter, RowCounter};
use psp_dashboard::operations::export::receiver::ReceiverLimits;
use psp_dashboard::tabular::Format;
use psp_dashboard::tabular::lines::LineFormat;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{
    RECONCILIATION, export_reconciliation, insert_discrepancies, problem, reconciliation_export, reconciliation_file,
    sum_of_differences, viewer,
};
use crate::harness::eventually;
use crate::harness::exported_files::{csv_rows, open_workbook, sheet_rows, sum_amounts};
use crate::harness::programs::Memory;
use crate::harness::test_system::{TestSystem, VIEWER, Web, header};

/// The statement of an export, in another session.
const READING: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'SELECT discrepancies.id%'";
/// The same while it waits for the web process to read its rows.
const HELD_BACK: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event = 'ClientWrite' AND query LIKE 'SELECT discrepancies.id%'";

/// Sends a request, and reads nothing of the response.
async fn send_request(web: &Web, query: &str, encoding: &str) -> TcpStream {
    let mut reader = TcpStream::connect(("127.0.0.1", web.port)).await.expect("the web process listens");
    let request = format!(
        "GET {RECONCILIATION}?{query} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {VIEWER}\r\naccept-encoding: {encoding}\r\n\r\n"
    );
    reader.write_all(request.as_bytes()).await.expect("the web process reads");
    reader
}

/// A client that reads the first bytes of a file and then nothing more.
async fn stalled_reader(web: &Web) -> TcpStream {
    let mut reader = send_request(web, "", "identity").await;
    let mut first = [0; 8];
    reader.read_exact(&mut first).await.expect("the first bytes");
    reader
}

async fn wait_for_number(system: &TestSystem, condition: &str, query: &'static str, expected: i64) {
    eventually(condition, || async { (system.number(query).await == expected).then_some(()) }).await;
}

#[tokio::test]
async fn large_export_is_complete_and_uses_little_memory() {
    const ROWS: i32 = 50_000;
    let system = TestSystem::start(&[]).await;
    insert_discrepancies(&system, ROWS).await;
    let (web, total) = (system.start_web().await, sum_of_differences(&system).await);
    let before = web.program.memory_mib(Memory::Resident);

    let rows = csv_rows(&reconciliation_file(&web, "").await);
    assert_eq!((rows.len(), sum_amounts(rows.iter().map(|row| row["amount_diff"].clone()))), (ROWS as usize, total));
    // Only some columns, since a cell takes ten times as long in a debug build.
    let columns = "id,recon_date,client_operation_id,amount_diff,state,created_at";
    let mut book = open_workbook(reconciliation_file(&web, &format!("format=xlsx&columns={columns}")).await);
    assert_eq!(sheet_rows(&mut book, "Discrepancies").len(), ROWS as usize + 1);

    let peak = web.program.memory_mib(Memory::Peak);
    assert!(peak < before + 40.0, "{} MiB more than before", peak - before);
}

#[tokio::test]
async fn stalled_reader_stops_the_statement_and_a_disconnected_one_ends_it() {
    let system = TestSystem::start(&[]).await;
    insert_discrepancies(&system, 50_000).await;
    let web = system.start_web().await;
    let reader = stalled_reader(&web).await;
    wait_for_number(&system, "the statement to wait for the reader", HELD_BACK, 1).await;
    drop(reader);
    wait_for_number(&system, "the statement to end", READING, 0).await;
    // The reason is logged shortly after the statement ends.
    eventually("the disconnection to be logged", || async {
        web.program.output().contains("the receiver closed the connection").then_some(())
    })
    .await;
    let reader = send_request(&web, "format=xlsx", "identity").await;
    let audited = "SELECT count(*) FROM audit_log WHERE details->>'format' = 'xlsx'";
    wait_for_number(&system, "the workbook to be started", audited, 1).await;
    drop(reader);
    eventually("the workbook to be aborted", || async {
        web.program.output().contains("workbook aborted after").then_some(())
    })
    .await;
    let aborted = "SELECT count(*) FROM audit_log AS began JOIN audit_log AS ended ON ended.refers_to = began.id
                 WHERE began.details->>'format' = 'xlsx' AND ended.row_count < 50000
                   AND ended.outcome = 'the receiver closed the connection'";
    wait_for_number(&system, "the audit entry to state the outcome", aborted, 1).await;
    wait_for_number(&system, "the statement to end", READING, 0).await;
    assert_eq!(csv_rows(&reconciliation_file(&web, "").await).len(), 50_000, "the next request succeeds");
}

#[tokio::test]
async fn client_that_prefers_brotli_gets_gzip() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let mut reader = send_request(&web, "", "br, zstd, gzip;q=0.1").await;
    let mut headers = vec![];
    while !headers.windows(4).any(|end| end == b"\r\n\r\n") {
        assert!(reader.read_buf(&mut headers).await.expect("the web process responds") > 0, "the response has headers");
    }
    assert!(
        String::from_utf8_lossy(&headers).contains("content-encoding: gzip"),
        "{}",
        String::from_utf8_lossy(&headers)
    );
}

#[tokio::test]
async fn stalled_receiver_aborts_the_export() {
    let system = TestSystem::start(&[]).await;
    insert_discrepancies(&system, 50_000).await;
    let limits = ReceiverLimits { stall: Duration::from_millis(200), ..ReceiverLimits::DEFAULT };
    let exporter =
        Exporter::new(ReadPools::only(system.pool.clone()), Arc::new(SystemClock)).with_receiver_limits(limits);
    let ((source, options), row_counter) = (reconciliation_export(Format::Ndjson), RowCounter::default());
    let lines = exporter
        .stream_lines(&source, &options, LineFormat::Ndjson, &viewer(), &row_counter)
        .await
        .expect("the export starts");
    wait_for_number(&system, "the statement to begin", READING, 1).await;
    wait_for_number(&system, "the statement to end", READING, 0).await;
    let mut parts = std::pin::pin!(lines.into_chunks());
    let mut last = None;
    while let Some(part) = futures_util::StreamExt::next(&mut parts).await {
        last = Some(part.is_err());
    }
    assert_eq!(last, Some(true), "the queued chunks are followed by an error");
}

#[tokio::test]
async fn file_that_fails_in_the_middle_ends_without_a_final_chunk() {
    let system = TestSystem::start(&[]).await;
    insert_discrepancies(&system, 50_000).await;
    let web = system.start_web().await;
    for encoding in ["identity", "gzip"] {
        let mut reader = send_request(&web, "", encoding).await;
        let mut text = vec![0; 100_000];
        reader.read_exact(&mut text).await.expect("the file has started");
        let terminate = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'SELECT discrepancies.id%'
              AND state = 'active'";
        wait_for_number(&system, "the backend to be terminated", terminate, 1).await;
        reader.read_to_end(&mut text).await.expect("the connection is closed");
        assert!(text.starts_with(b"HTTP/1.1 200 OK"), "{encoding}");
        assert!(!text.ends_with(b"\r\n0\r\n\r\n"), "{encoding}: the final chunk was sent");
    }
    let next = export_reconciliation(&web, "").await.bytes().await;
    assert!(next.is_ok(), "the next request succeeds");
}

#[tokio::test]
async fn concurrent_exports_are_limited_to_half_the_connections() {
    let system = TestSystem::start(&[]).await;
    insert_discrepancies(&system, 50_000).await;
    let web = system.start_web_with(&[("DATABASE_MAX_CONNECTIONS", "5")]).await;
    let _readers = [stalled_reader(&web).await, stalled_reader(&web).await];
    wait_for_number(&system, "both statements to wait", HELD_BACK, 2).await;
    let response = export_reconciliation(&web, "").await;
    assert_eq!((response.status().as_u16(), header(response.headers(), "retry-after")), (503, "5"));
    let problem = problem(response).await;
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("too many exports")), "{problem}");
    assert_eq!(web.get("/api/v1/transactions").await["total"], 0);
}
