//! Whole syncs: with a slow provider, over half a million records, and scheduled syncs over some time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Days, NaiveDate, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::config::{EnvVars, JobsConfig};
use psp_dashboard::db::process_connections::Process;
use psp_dashboard::operations::connect_servers::connect_job_servers;
use psp_jobs::job_context::JobContext;
use psp_jobs::kinds::sync_run::PageSender;
use psp_jobs::kinds::sync_vima::cursor_reader::KnownIds;
use psp_jobs::kinds::sync_vima::overlap_cursor::OverlapCursor;
use psp_jobs::kinds::{sync_payshack, sync_vima};
use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;

use crate::harness::programs::Memory;
use crate::harness::test_system::{TestSystem, Web};
use crate::report::{self, Durations, Target};

const SOURCES: [&str; 2] = ["vima", "payshack"];
const FULL: Option<&str> = Some(r#"{"mode":"full"}"#);
/// An idle session reports its statistics after 10 s (PostgreSQL's `PGSTAT_IDLE_INTERVAL`).
const STATISTICS_DELAY: Duration = Duration::from_secs(12);
/// How long payments arrive before their delays count.
const WARM_UP: Duration = Duration::from_mins(6);
/// More than two sync intervals of `PayShack`.
const MEASURED: Duration = Duration::from_mins(11);

/// Measures a run with a provider that responds after 50 ms, compared with fetching alone: the same code without storing the
/// pages.
pub(crate) async fn measure_overlap() {
    let system = TestSystem::start(&["--history-days", "3", "--per-day", "6000", "--fault", "latency-ms=50"]).await;
    let context = context(&system).await;
    let today = SystemClock.now().date_naive();
    let from = today - Days::new(4);
    let worker = system.start_jobs_with(&["worker"], &[("LOG_LEVEL", "warn")]);
    for source in SOURCES {
        system.run_job(&format!("sync-{source}"), FULL);
        let run = seconds_of_last_run(&system.pool, source).await;
        let started = Instant::now();
        let records = fetch_alone(&context, source, from, today).await;
        let alone = started.elapsed().as_secs_f64();
        report::heading(&format!("{source}: a full sync of {records} records, 50 ms latency"));
        report::print("fetch and store", run, "s", Target::None);
        report::print("fetch alone", alone, "s", Target::None);
        report::print("ratio", run / alone, "", Target::AtMost(1.1));
    }
    drop(worker);
}

async fn context(system: &TestSystem) -> Arc<JobContext> {
    let mut variables = EnvVars::from_pairs(system.settings());
    let read = JobsConfig::read(&mut variables);
    let config = variables.finish(read).expect("the settings of the system");
    let (pools, redis) =
        connect_job_servers(&config.servers, Process::Worker).await.expect("the servers of the system");
    JobContext::new(pools, redis, Arc::new(SystemClock), &config).expect("this machine speaks TLS")
}

/// Fetches days like a sync, and stores nothing.
async fn fetch_alone(context: &Arc<JobContext>, source: &str, from: NaiveDate, to: NaiveDate) -> usize {
    let (pages, mut waiting) = PageSender::queue();
    let fetching = async move {
        match source {
            "vima" => {
                sync_vima::fetch_days(
                    &context.vima,
                    from,
                    to,
                    None,
                    OverlapCursor::known(),
                    KnownIds::default(),
                    &pages,
                )
                .await
            }
            _ => sync_payshack::fetch_days(&context.payshack, from, to, to, &pages).await,
        }
    };
    let dropping = async {
        let mut records = 0;
        while let Some(page) = waiting.recv().await {
            records += page.records.len();
        }
        records
    };
    let (notes, records) = tokio::join!(fetching, dropping);
    assert_eq!(notes.expect("the sandbox responds"), Vec::<String>::new());
    records
}

async fn seconds_of_last_run(pool: &PgPool, source: &str) -> f64 {
    let seconds = sqlx::query_scalar!(
        r#"SELECT EXTRACT(EPOCH FROM finished_at - started_at)::float8 AS "seconds!"
             FROM sync_runs WHERE source = $1 ORDER BY started_at DESC LIMIT 1"#,
        source
    );
    seconds.fetch_one(pool).await.expect("the run exists")
}

/// Measures the peak memory of a worker in a full sync of half a million records, and what a second sync writes although
/// nothing has changed.
pub(crate) async fn measure_memory() {
    let system = TestSystem::start(&["--history-days", "5", "--per-day", "100000"]).await;
    let settings = [("INITIAL_SYNC_DAYS", "7"), ("LOG_LEVEL", "warn")];
    for source in SOURCES {
        let worker = system.start_jobs_with(&["worker"], &settings);
        system.run_job(&format!("sync-{source}"), FULL);
        let records = system.count_transactions(source).await;
        let seconds = seconds_of_last_run(&system.pool, source).await;
        report::heading(&format!("{source}: a full sync of {records} records"));
        report::print("duration", seconds, "s", Target::None);
        let peak = worker.memory_mib(Memory::Peak);
        report::print("peak memory of the worker", peak, "MB", Target::AtMost(120.0));
        let before = row_versions(&system.pool).await;
        system.run_job(&format!("sync-{source}"), FULL);
        let seconds = seconds_of_last_run(&system.pool, source).await;
        let written = row_versions(&system.pool).await - before;
        report::print("the same again, unchanged: duration", seconds, "s", Target::None);
        report::print(
            "the same again: row versions of payments and metrics written",
            report::count(written),
            "",
            Target::AtMost(0.0),
        );
    }
}

/// How many row versions of payments, changes and metrics PostgreSQL has written so far.
async fn row_versions(pool: &PgPool) -> i64 {
    let flushed = sqlx::query_scalar!("SELECT pg_stat_force_next_flush()::text").fetch_one(pool).await;
    flushed.expect("statistics can be flushed");
    tokio::time::sleep(STATISTICS_DELAY).await;
    let written = sqlx::query_scalar!(
        r#"SELECT sum(n_tup_ins + n_tup_upd)::bigint AS "written!" FROM pg_stat_user_tables
            WHERE relname IN ('transactions', 'transaction_changes', 'metric_cells')"#
    );
    written.fetch_one(pool).await.expect("statistics are kept")
}

/// Measures the time from a payment being visible at the provider to being visible in our API, with the default rate limits
/// and intervals, while historical days are read at the same time.
pub(crate) async fn measure_freshness() {
    let system = TestSystem::start(&["--history-days", "7", "--per-day", "2000", "--live-per-second", "1"]).await;
    let settings = [
        ("VIMA_REQUESTS_PER_SECOND", "2"),
        ("PAYSHACK_REQUEST_INTERVAL_MS", "300"),
        ("INITIAL_SYNC_DAYS", "7"),
        ("PAYSHACK_OVERLAP_DAYS", "2"),
        ("LOG_LEVEL", "warn"),
    ];
    let web = system.start_web().await;
    let _worker = system.start_jobs_with(&["worker", "--scheduler"], &settings);
    tokio::time::sleep(WARM_UP).await;
    let since = SystemClock.now();
    let mut delays: [HashMap<String, Duration>; 2] = [HashMap::new(), HashMap::new()];
    while SystemClock.now() < since + MEASURED {
        for (source, delays) in SOURCES.iter().zip(&mut delays) {
            record_new_payments(&web, source, since, delays).await;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    for ((source, interval), delays) in [("vima", 60.0), ("payshack", 300.0)].iter().zip(delays) {
        report::heading(&format!(
            "{source}: {} payments in {} min, from visible at the provider to visible in the API",
            delays.len(),
            MEASURED.as_secs() / 60
        ));
        let waits = Durations::new(delays.into_values().collect());
        report::print("p50", waits.percentile(50), "s", Target::None);
        report::print("p95", waits.percentile(95), "s", Target::AtMost(interval + 5.0));
    }
    system.sandbox.send(Method::PUT, "live", Some(json!({"per_second": 0}))).await;
}

/// Records the delay of each payment that was created after `since` and is listed for the first time.
async fn record_new_payments(web: &Web, source: &str, since: DateTime<Utc>, delays: &mut HashMap<String, Duration>) {
    let mut path = format!("/api/v1/transactions?source={source}&limit=100");
    loop {
        let page = web.get(&path).await;
        let now = SystemClock.now();
        let mut new = 0;
        for payment in page["items"].as_array().expect("items") {
            let created: DateTime<Utc> = serde_json::from_value(payment["created_at"].clone()).expect("a time");
            let id = payment["id"].as_str().expect("an id");
            if created > since && !delays.contains_key(id) {
                delays.insert(id.to_owned(), (now - created).to_std().unwrap_or_default());
                new += 1;
            }
        }
        let Some(cursor) = page["next_cursor"].as_str().filter(|_| new > 0) else { return };
        path = format!("/api/v1/transactions?source={source}&limit=100&cursor={cursor}");
    }
}
