//! Exports: how fast, beside `\copy` of the same rows by psql in the same run, and what they cost whoever asks meanwhile.
//!
//! `PSP_BENCH_PAYMENTS` says of how many payments, `1000000` where it says nothing: of the first number everything is taken,
//! of the others how long the first byte takes. psql, the web process, the worker and whoever reads share the processors.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use psp_dashboard::clock::{Clock, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use crate::figure::{self, Target, Waits};
use crate::harness::http_client;
use crate::harness::programs::Memory;
use crate::harness::test_system::{OPERATOR, TestSystem, Web};
use crate::metrics::counts;
use crate::payments::Payments;

/// Twenty columns, and the same ones in SQL.
const COLUMNS: &str = "id,source,kind,source_id,reference_id,client_operation_id,order_id,project,merchant_id,amount,currency,\
                       amount_usd,fee,status,user_email,country,utr,payment_method,created_at,updated_at";
/// Each is taken so often, and the median counts.
const TIMES: usize = 3;
/// How long the overview is asked for, and by how many.
const ASKED: Duration = Duration::from_secs(8);
const ASKING: usize = 2;

/// Measures and prints.
pub(crate) async fn measure() {
    for (place, count) in counts("1000000").into_iter().enumerate() {
        let system = TestSystem::start(&["--per-day", "0"]).await;
        Payments::up_to(SystemClock.now(), count).store(&system.pool).await;
        let web = system.start_web_with(&[("LOG_LEVEL", "warn")]).await;
        println!("exports of {count} payments, 20 columns:");
        measure_first_byte(&web).await;
        if place == 0 {
            measure_csv(&system, &web, count).await;
            measure_workbook(&system, &web, count).await;
            measure_others(&system, &web).await;
        }
    }
}

async fn measure_first_byte(web: &Web) {
    let mut waits = vec![];
    for _ in 0..10 {
        let began = Instant::now();
        let mut answer = file(web, "format=csv").await;
        answer.chunk().await.expect("a first chunk").expect("a header at least");
        waits.push(began.elapsed());
    }
    let waits = Waits::of(waits);
    figure::print("first byte of a CSV, p50", waits.percentile(50) * 1_000.0, "ms", Target::AtMost(200.0));
    figure::print("slowest", waits.percentile(100) * 1_000.0, "ms", Target::AtMost(200.0));
}

async fn measure_csv(system: &TestSystem, web: &Web, count: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let (by_psql, by_us) = (folder.path().join("copied.csv"), folder.path().join("exported.csv"));
    let (mut copying, mut exporting) = (vec![], vec![]);
    let before = web.program.memory_mib(Memory::Resident);
    for _ in 0..TIMES {
        let copy = format!(
            "\\copy (SELECT {COLUMNS} FROM transactions ORDER BY created_at DESC, id DESC) TO '{}' CSV HEADER",
            by_psql.display()
        );
        let began = Instant::now();
        let ended =
            Command::new("psql").args([&system.servers.database_url, "-qc", &copy]).status().expect("psql runs");
        assert!(ended.success());
        copying.push(began.elapsed());
        let began = Instant::now();
        save(web, &format!("format=csv&columns={COLUMNS}"), &by_us).await;
        exporting.push(began.elapsed());
    }
    for path in [&by_psql, &by_us] {
        let lines = BufReader::new(File::open(path).expect("a file")).lines().count() as u64;
        assert_eq!(lines, count + 1, "{}", path.display());
    }
    let rate = |took: Vec<Duration>| rows_a_second(count, Waits::of(took).percentile(50));
    let (copied, exported) = (rate(copying), rate(exporting));
    figure::print("psql \\copy to a file", copied, "rows/s", Target::None);
    figure::print("CSV over HTTP to a file", exported, "rows/s", Target::None);
    figure::print("ratio", exported / copied, "", Target::AtLeast(0.7));
    let grown = web.program.memory_mib(Memory::Peak) - before;
    figure::print("growth of the web process", grown, "MB", Target::AtMost(40.0));
}

async fn measure_workbook(system: &TestSystem, web: &Web, count: u64) {
    let worker = system.start_jobs_with(&["worker"], &[("LOG_LEVEL", "warn")]);
    // One to warm up, so that what the worker needs anyhow is there.
    until_made(web, order(web, "format=xlsx&columns=id&project=nobody").await).await;
    let before = worker.memory_mib(Memory::Resident);
    let began = Instant::now();
    let made = until_made(web, order(web, &format!("format=xlsx&columns={COLUMNS}")).await).await;
    let took = began.elapsed().as_secs_f64();
    assert_eq!(made["rows"].as_u64(), Some(count));
    figure::print("workbook by POST /exports", took, "s", Target::AtMost(60.0));
    figure::print("", rows_a_second(count, took), "rows/s", Target::None);
    figure::print("its size", made["bytes"].as_f64().unwrap_or_default() / 1e6, "MB", Target::None);
    let grown = worker.memory_mib(Memory::Peak) - before;
    figure::print("growth of the worker", grown, "MB", Target::AtMost(40.0));
}

/// The overview while nothing else happens, and while a CSV and a workbook are written.
async fn measure_others(system: &TestSystem, web: &Web) {
    let _worker = system.start_jobs_with(&["worker"], &[("LOG_LEVEL", "warn")]);
    let idle = ask(web).await;
    let order = order(web, &format!("format=xlsx&columns={COLUMNS}")).await;
    let path = tempfile::NamedTempFile::new().expect("a file");
    let query = format!("format=csv&columns={COLUMNS}");
    let (runtime, enough) = (Handle::current(), AtomicBool::new(false));
    // Whoever saves the file has a thread of its own, so that it does not hold up whoever asks.
    let busy = tokio::task::block_in_place(|| {
        thread::scope(|threads| {
            threads.spawn(|| {
                runtime.block_on(async {
                    while !enough.load(Ordering::Relaxed) {
                        save(web, &query, path.path()).await;
                    }
                });
            });
            let busy = runtime.block_on(ask(web));
            enough.store(true, Ordering::Relaxed);
            busy
        })
    });
    until_made(web, order).await;
    for (what, waits) in [("idle", &idle), ("while a CSV and a workbook are written", &busy)] {
        figure::print(&format!("overview {what}, p50"), waits.percentile(50) * 1_000.0, "ms", Target::None);
        figure::print(&format!("overview {what}, p95"), waits.percentile(95) * 1_000.0, "ms", Target::None);
    }
    figure::print("ratio of the p95", busy.percentile(95) / idle.percentile(95), "", Target::AtMost(3.0));
}

async fn ask(web: &Web) -> Waits {
    let asking = (0..ASKING).map(|_| async {
        let (began, mut waits) = (Instant::now(), vec![]);
        while began.elapsed() < ASKED {
            let sent = Instant::now();
            web.get("/api/v1/metrics/overview").await;
            waits.push(sent.elapsed());
            // As a dashboard asks, and not as fast as can be.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        waits
    });
    Waits::of(futures_util::future::join_all(asking).await.concat())
}

async fn file(web: &Web, query: &str) -> reqwest::Response {
    let address = format!("http://127.0.0.1:{}/api/v1/export/transactions?{query}", web.port);
    // As psql has it: not compressed.
    let asked = http_client().get(address).header("x-api-key", OPERATOR).header("accept-encoding", "identity");
    let answer = asked.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    answer
}

async fn save(web: &Web, query: &str, path: &std::path::Path) {
    let (mut answer, mut to) = (file(web, query).await, File::create(path).expect("a file"));
    while let Some(chunk) = answer.chunk().await.expect("the file goes on") {
        to.write_all(&chunk).expect("room");
    }
}

async fn order(web: &Web, query: &str) -> String {
    let body = json!({"export": "transactions", "query": query}).to_string();
    let answer = web.request(Method::POST, "/api/v1/exports", Some(OPERATOR), Some(&body)).await.expect("an answer");
    format!("/api/v1/exports/{}", answer.json()["id"].as_str().expect("an id"))
}

async fn until_made(web: &Web, order: String) -> Value {
    loop {
        let order = web.get(&order).await;
        assert_ne!(order["state"], "failed", "{order}");
        if !order["download"].is_null() {
            return order;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn rows_a_second(count: u64, seconds: f64) -> f64 {
    count as f64 / seconds
}
