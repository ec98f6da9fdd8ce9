//! The syncs as a whole: beside a provider that takes its time, over half a million records, and as they run all day.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Days, NaiveDate, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::config::{EnvVars as Variables, JobsConfig};
use psp_dashboard::operations::connect_servers::connect_job_servers;
use psp_jobs::job_context::JobContext;
use psp_jobs::kinds::sync_run::PageSender;
use psp_jobs::kinds::sync_vima::overlap_cursor::OverlapCursor;
use psp_jobs::kinds::{sync_payshack, sync_vima};
use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;

use crate::figure::{self, Target, Waits};
use crate::harness::programs::Memory;
use crate::harness::test_system::{TestSystem, Web};

const SOURCES: [&str; 2] = ["vima", "payshack"];
const FULL: Option<&str> = Some(r#"{"mode":"full"}"#);
/// A session that has become idle reports what it wrote 10 s later (PostgreSQL's `PGSTAT_IDLE_INTERVAL`).
const STATISTICS_ARE_LATE: Duration = Duration::from_secs(12);
/// How long payments come before their waits count, and how long these are counted: more than two intervals of `PayShack`.
const SETTLED: Duration = Duration::from_mins(6);
const WATCHED: Duration = Duration::from_mins(11);

/// Measures how long a run takes with a provider that takes 50 ms for each answer, beside the same fetching alone: the same
/// code, whose pages nobody stores.
pub(crate) async fn measure_overlap() {
    let system = TestSystem::start(&["--history-days", "3", "--per-day", "6000", "--fault", "latency-ms=50"]).await;
    let environment = environment(&system).await;
    let today = SystemClock.now().date_naive();
    let from = today - Days::new(4);
    let worker = system.start_jobs_with(&["worker"], &[("LOG_LEVEL", "warn")]);
    println!("a full sync, 50 ms latency, beside the fetching alone:");
    for source in SOURCES {
        system.run_job(&format!("sync-{source}"), FULL);
        let run = seconds_of_last_run(&system.pool, source).await;
        let began = Instant::now();
        let records = fetch_alone(&environment, source, from, today).await;
        let alone = began.elapsed().as_secs_f64();
        println!("  {source}: {records} records");
        figure::print("fetch and store", run, "s", Target::None);
        figure::print("fetch alone", alone, "s", Target::None);
        figure::print("ratio", run / alone, "", Target::AtMost(1.1));
    }
    drop(worker);
}

async fn environment(system: &TestSystem) -> Arc<JobContext> {
    let mut variables = Variables::from_pairs(system.settings());
    let read = JobsConfig::read(&mut variables);
    let config = variables.finish(read).expect("the settings of the system");
    let (pools, redis) = connect_job_servers(&config.servers).await.expect("the servers of the system");
    JobContext::new(pools, redis, Arc::new(SystemClock), &config).expect("this machine speaks TLS")
}

/// Fetches days as a sync does, and stores nothing.
async fn fetch_alone(environment: &Arc<JobContext>, source: &str, from: NaiveDate, to: NaiveDate) -> usize {
    let (pages, mut waiting) = PageSender::queue();
    let fetching = async move {
        match source {
            "vima" => sync_vima::fetch_days(&environment.vima, from, to, None, OverlapCursor::known(), &pages).await,
            _ => sync_payshack::fetch_days(&environment.payshack, from, to, to, &pages).await,
        }
    };
    let dropping = async {
        let mut records = 0;
        while let Some(page) = waiting.recv().await {
            records += page.records.len();
        }
        records
    };
    let (odd, records) = tokio::join!(fetching, dropping);
    assert_eq!(odd.expect("the sandbox answers"), Vec::<String>::new());
    records
}

async fn seconds_of_last_run(pool: &PgPool, source: &str) -> f64 {
    let seconds = sqlx::query_scalar!(
        r#"SELECT EXTRACT(EPOCH FROM finished_at - started_at)::float8 AS "seconds!"
             FROM sync_runs WHERE source = $1 ORDER BY started_at DESC LIMIT 1"#,
        source
    );
    seconds.fetch_one(pool).await.expect("the run is recorded")
}

/// Measures the most memory that a worker ever holds in a full sync of half a million records, and what it writes where it
/// is read again and nothing has changed.
pub(crate) async fn measure_memory() {
    let system = TestSystem::start(&["--history-days", "5", "--per-day", "100000"]).await;
    let settings = [("INITIAL_SYNC_DAYS", "7"), ("LOG_LEVEL", "warn")];
    println!("a full sync of half a million records:");
    for source in SOURCES {
        let worker = system.start_jobs_with(&["worker"], &settings);
        system.run_job(&format!("sync-{source}"), FULL);
        let records = system.count_transactions(source).await;
        let seconds = seconds_of_last_run(&system.pool, source).await;
        println!("  {source}: {records} records in {seconds:.0} s");
        let most = worker.memory_mib(Memory::Peak);
        figure::print("most memory of the worker", most, "MB", Target::AtMost(120.0));
        let before = row_versions(&system.pool).await;
        system.run_job(&format!("sync-{source}"), FULL);
        let seconds = seconds_of_last_run(&system.pool, source).await;
        let written = row_versions(&system.pool).await - before;
        println!("  the same again, unchanged, in {seconds:.0} s");
        figure::print("row versions of payments and metrics written", figure::count(written), "", Target::AtMost(0.0));
    }
}

/// How many row versions of payments, their changes and their metrics were ever written, as PostgreSQL counts them.
async fn row_versions(pool: &PgPool) -> i64 {
    let flushed = sqlx::query_scalar!("SELECT pg_stat_force_next_flush()::text").fetch_one(pool).await;
    flushed.expect("statistics can be flushed");
    tokio::time::sleep(STATISTICS_ARE_LATE).await;
    let written = sqlx::query_scalar!(
        r#"SELECT sum(n_tup_ins + n_tup_upd)::bigint AS "written!" FROM pg_stat_user_tables
            WHERE relname IN ('transactions', 'transaction_changes', 'metric_cells')"#
    );
    written.fetch_one(pool).await.expect("statistics are kept")
}

/// Measures how long it takes from a payment being visible at the provider to it being visible in our API, at the default
/// pace and the default intervals, while the days before are read as well.
pub(crate) async fn measure_freshness() {
    let system = TestSystem::start(&["--history-days", "7", "--per-day", "2000", "--live-per-second", "1"]).await;
    let pace = [
        ("VIMA_REQUESTS_PER_SECOND", "2"),
        ("PAYSHACK_REQUEST_INTERVAL_MS", "300"),
        ("INITIAL_SYNC_DAYS", "7"),
        ("PAYSHACK_OVERLAP_DAYS", "2"),
        ("LOG_LEVEL", "warn"),
    ];
    let web = system.start_web().await;
    let _worker = system.start_jobs_with(&["worker", "--scheduler"], &pace);
    println!("from visible at the provider to visible in the API, default pace, {} min:", WATCHED.as_secs() / 60);
    tokio::time::sleep(SETTLED).await;
    let since = SystemClock.now();
    let mut met: [HashMap<String, Duration>; 2] = [HashMap::new(), HashMap::new()];
    while SystemClock.now() < since + WATCHED {
        for (source, met) in SOURCES.iter().zip(&mut met) {
            look(&web, source, since, met).await;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    for ((source, interval), met) in [("vima", 60.0), ("payshack", 300.0)].iter().zip(met) {
        println!("  {source}: {} payments", met.len());
        let waits = Waits::of(met.into_values().collect());
        figure::print("p50", waits.percentile(50), "s", Target::None);
        figure::print("p95", waits.percentile(95), "s", Target::AtMost(interval + 5.0));
    }
    system.sandbox.send(Method::PUT, "live", Some(json!({"per_second": 0}))).await;
}

/// Looks which payments that came to be after `since` are shown, and notes how long those waited that are met first.
async fn look(web: &Web, source: &str, since: DateTime<Utc>, met: &mut HashMap<String, Duration>) {
    let mut path = format!("/api/v1/transactions?source={source}&limit=100");
    loop {
        let page = web.get(&path).await;
        let now = SystemClock.now();
        let mut new = 0;
        for payment in page["items"].as_array().expect("items") {
            let created: DateTime<Utc> = serde_json::from_value(payment["created_at"].clone()).expect("a time");
            let id = payment["id"].as_str().expect("an id");
            if created > since && !met.contains_key(id) {
                met.insert(id.to_owned(), (now - created).to_std().unwrap_or_default());
                new += 1;
            }
        }
        let Some(cursor) = page["next_cursor"].as_str().filter(|_| new > 0) else { return };
        path = format!("/api/v1/transactions?source={source}&limit=100&cursor={cursor}");
    }
}
