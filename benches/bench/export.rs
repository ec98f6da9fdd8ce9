//! The throughput of exports, compared with `\copy` of the same rows by psql, and the latency of other requests meanwhile.
//!
//! `PSP_BENCH_PAYMENTS` lists numbers of payments (default `1000000`). With the first number everything is measured, with
//! the others only the time to the first byte. psql, the web process, the worker and the client share the processors.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::runtime::Handle;

use crate::harness::exports::{create_export, wait_for_export};
use crate::harness::programs::Memory;
use crate::harness::test_system::{OPERATOR, TestSystem, Web};
use crate::metrics::counts;
use crate::report::{self, Durations, Target};
use crate::stored_payments::shared_system;

/// Twenty columns, with the same names in SQL.
const COLUMNS: &str = "id,source,kind,source_id,reference_id,client_operation_id,order_id,project,merchant_id,amount,currency,\
                       amount_usd,fee,status,user_email,country,utr,payment_method,created_at,updated_at";
/// How often each measurement is taken; the median counts.
const TIMES: usize = 3;
/// How long and by how many connections the overview is requested.
const REQUESTED: Duration = Duration::from_secs(8);
const CONNECTIONS: usize = 2;
const EXPORT_TIMEOUT: Duration = Duration::from_mins(30);

pub(crate) async fn measure() {
    for (index, count) in counts("1000000").into_iter().enumerate() {
        let (system, _) = shared_system(count).await;
        let web = system.start_web_with(&[("LOG_LEVEL", "warn")]).await;
        report::heading(&format!("exports of {count} payments, 20 columns"));
        measure_first_byte(&web).await;
        if index == 0 {
            measure_csv(&system, &web, count).await;
            measure_workbook(&system, &web, count).await;
            measure_other_requests(&system, &web).await;
        }
    }
}

async fn measure_first_byte(web: &Web) {
    let mut waits = vec![];
    for _ in 0..10 {
        let started = Instant::now();
        let mut response = start_download(web, "format=csv").await;
        response.chunk().await.expect("a first chunk").expect("the header line");
        waits.push(started.elapsed());
    }
    let waits = Durations::new(waits);
    report::print("first byte of a CSV, p50", waits.percentile_ms(50), "ms", Target::AtMost(200.0));
    report::print("first byte, slowest of 10", waits.percentile_ms(100), "ms", Target::AtMost(200.0));
}

async fn measure_csv(system: &TestSystem, web: &Web, count: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let (by_psql, by_export) = (folder.path().join("copied.csv"), folder.path().join("exported.csv"));
    let (mut copying, mut exporting) = (vec![], vec![]);
    let before = web.program.memory_mib(Memory::Resident);
    for _ in 0..TIMES {
        let copy = format!(
            "\\copy (SELECT {COLUMNS} FROM transactions ORDER BY created_at DESC, id DESC) TO '{}' CSV HEADER",
            by_psql.display()
        );
        let started = Instant::now();
        let status =
            Command::new("psql").args([&system.servers.database_url, "-qc", &copy]).status().expect("psql runs");
        assert!(status.success());
        copying.push(started.elapsed());
        let started = Instant::now();
        save(web, &format!("format=csv&columns={COLUMNS}"), &by_export).await;
        exporting.push(started.elapsed());
    }
    for path in [&by_psql, &by_export] {
        let lines = BufReader::new(File::open(path).expect("a file")).lines().count() as u64;
        assert_eq!(lines, count + 1, "{}", path.display());
    }
    let rate = |durations: Vec<Duration>| rows_per_second(count, Durations::new(durations).percentile(50));
    let (copied, exported) = (rate(copying), rate(exporting));
    report::print("psql \\copy to a file", copied, "rows/s", Target::None);
    report::print("CSV over HTTP to a file", exported, "rows/s", Target::None);
    report::print("ratio to \\copy", exported / copied, "", Target::AtLeast(0.8));
    let growth = web.program.memory_mib(Memory::Peak) - before;
    report::print("growth of the web process", growth, "MB", Target::AtMost(40.0));
}

async fn measure_workbook(system: &TestSystem, web: &Web, count: u64) {
    let worker = system.start_jobs_with(&["worker"], &[("LOG_LEVEL", "warn")]);
    // A small export for warm-up.
    create_and_wait(web, "format=xlsx&columns=id&project=unknown-project").await;
    let before = worker.memory_mib(Memory::Resident);
    let started = Instant::now();
    let export = create_and_wait(web, &format!("format=xlsx&columns={COLUMNS}")).await;
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(export["rows"].as_u64(), Some(count));
    report::print("workbook by POST /exports", seconds, "s", Target::AtMost(60.0));
    report::print("workbook", rows_per_second(count, seconds), "rows/s", Target::None);
    report::print("workbook, size", export["bytes"].as_f64().unwrap_or_default() / 1e6, "MB", Target::None);
    let growth = worker.memory_mib(Memory::Peak) - before;
    report::print("growth of the worker", growth, "MB", Target::AtMost(40.0));
}

/// Measures the overview while nothing else happens, and while a CSV and a workbook are written.
async fn measure_other_requests(system: &TestSystem, web: &Web) {
    let _worker = system.start_jobs_with(&["worker"], &[("LOG_LEVEL", "warn")]);
    let idle = request_overview(web).await;
    let export = create_export(web, OPERATOR, &format!("format=xlsx&columns={COLUMNS}")).await;
    let path = tempfile::NamedTempFile::new().expect("a file");
    let query = format!("format=csv&columns={COLUMNS}");
    let (runtime, stop) = (Handle::current(), AtomicBool::new(false));
    // The file is saved in a thread of its own, so that it does not delay the requests of this one.
    let busy = tokio::task::block_in_place(|| {
        thread::scope(|threads| {
            threads.spawn(|| {
                runtime.block_on(async {
                    while !stop.load(Ordering::Relaxed) {
                        save(web, &query, path.path()).await;
                    }
                });
            });
            let busy = runtime.block_on(request_overview(web));
            stop.store(true, Ordering::Relaxed);
            busy
        })
    });
    wait_for_export(web, &export, EXPORT_TIMEOUT).await;
    for (load, waits) in [("idle", &idle), ("while a CSV and a workbook are written", &busy)] {
        report::print(&format!("overview {load}, p50"), waits.percentile_ms(50), "ms", Target::None);
        report::print(&format!("overview {load}, p95"), waits.percentile_ms(95), "ms", Target::None);
    }
    report::print("ratio of the p95", busy.percentile(95) / idle.percentile(95), "", Target::AtMost(3.0));
}

async fn request_overview(web: &Web) -> Durations {
    let clients = (0..CONNECTIONS).map(|_| async {
        let (started, mut waits) = (Instant::now(), vec![]);
        while started.elapsed() < REQUESTED {
            let sent = Instant::now();
            web.get("/api/v1/metrics/overview").await;
            waits.push(sent.elapsed());
            // Like a dashboard, not as fast as possible.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        waits
    });
    Durations::new(futures_util::future::join_all(clients).await.concat())
}

async fn start_download(web: &Web, query: &str) -> reqwest::Response {
    // Not compressed, like the file of psql.
    let path = format!("/api/v1/export/transactions?{query}");
    let response = web.download(OPERATOR, &path, &[("accept-encoding", "identity")]).await;
    assert_eq!(response.status(), 200);
    response
}

async fn save(web: &Web, query: &str, path: &std::path::Path) {
    let (mut response, mut file) = (start_download(web, query).await, File::create(path).expect("a file"));
    while let Some(chunk) = response.chunk().await.expect("the rest of the file") {
        file.write_all(&chunk).expect("disk space");
    }
}

/// Creates an export and waits for its file.
async fn create_and_wait(web: &Web, query: &str) -> Value {
    wait_for_export(web, &create_export(web, OPERATOR, query).await, EXPORT_TIMEOUT).await
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn rows_per_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}
