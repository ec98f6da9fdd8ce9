//! All provider faults at once and at random, while payments are created and changed and workers are killed. Afterwards the
//! database equals the providers exactly, and the run counts are consistent.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use chrono::{DateTime, Days, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use reqwest::Method;
use serde_json::json;

use crate::harness::consistency::assert_matches_sandbox;
use crate::harness::programs::RunningProgram;
use crate::harness::sentinels::MonitoredRedis;
use crate::harness::servers::Servers;
use crate::harness::test_system::TestSystem;
use crate::harness::{eventually, eventually_within, is_long};

const REQUEST_FAULTS: [&str; 13] = [
    "timeout",
    "reset",
    "500",
    "502",
    "503",
    "503-retry-after",
    "429-seconds",
    "429-date",
    "401",
    "success-false",
    "html",
    "truncated",
    "endless",
];
const OTHER_FAULTS: [&str; 8] =
    ["malformed", "nul", "duplicate", "stale", "login-refused", "compressed", "utf16", "bom"];
/// They damage some records, or write them in another form.
const RARE_RECORD_FAULTS: [&str; 13] = [
    "nan",
    "control-char",
    "bad-escape",
    "leading-zero",
    "stray-quote",
    "duplicate-key",
    "unreadable-paid-amount",
    "huge-amount",
    "outlier-id",
    "float-key",
    "invisible-key",
    "repeated-name",
    "leap-second",
];
/// How late a late record becomes visible.
const LATE: Duration = Duration::from_secs(3);
/// With faults a page takes seconds, and a failed attempt is retried after up to a minute.
const TIMEOUT: Duration = Duration::from_mins(5);
/// How often a job that the faults made fail is enqueued again.
const TRIES: usize = 40;

const SETTINGS: [(&str, &str); 8] = [
    ("VIMA_SYNC_INTERVAL_SECONDS", "2"),
    ("PAYSHACK_SYNC_INTERVAL_SECONDS", "3"),
    ("PAYSHACK_OVERLAP_DAYS", "1"),
    ("VIMA_OVERLAP_MINUTES", "1"),
    ("PAYSHACK_LOGIN_PAUSE_SECONDS", "1"),
    ("PROVIDER_TIMEOUT_SECONDS", "1"),
    ("PROVIDER_MAX_RESPONSE_BYTES", "2000000"),
    ("DATABASE_MAX_CONNECTIONS", "6"),
];

/// The behaviour of the providers, derived from a seed.
struct FaultProfile {
    seed: u64,
    rng: StdRng,
}

impl FaultProfile {
    fn new(seed: u64) -> Self {
        Self { seed, rng: StdRng::seed_from_u64(seed) }
    }

    fn one_of(&mut self, values: &[&'static str]) -> &'static str {
        values[self.rng.random_range(0..values.len())]
    }

    /// The arguments of a sandbox with this profile. About every second request fails: one in twenty with each fault.
    fn arguments(&mut self) -> Vec<String> {
        let mut arguments: Vec<String> =
            ["--history-days", "3", "--per-day", "300", "--live-per-second", "12", "--seed"].map(str::to_owned).into();
        arguments.push(self.seed.to_string());
        let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        for fault in REQUEST_FAULTS {
            add("--fault", format!("{fault}={:.3}", self.rng.random_range(0.05..0.06)));
        }
        for fault in OTHER_FAULTS {
            add("--fault", format!("{fault}={:.3}", self.rng.random_range(0.05..0.20)));
        }
        for fault in RARE_RECORD_FAULTS {
            add("--fault", format!("{fault}={:.3}", self.rng.random_range(0.01..0.04)));
        }
        add("--fault", "timeout-seconds=2".to_owned());
        add("--switch", format!("vima_late_visible_share={:.3}", self.rng.random_range(0.05..0.20)));
        add("--switch", format!("vima_late_visible_seconds={}", LATE.as_secs()));
        for (name, values) in [
            ("vima_cursor", &["exclusive", "inclusive"][..]),
            ("vima_envelope", &["array", "wrapped"]),
            ("vima_page_overrun", &["0", "3"]),
            ("vima_wide_ids", &["false", "true"]),
            ("vima_empty_list", &["list", "null", "operations-null", "data-list", "204"]),
            ("payshack_order", &["newest", "oldest"]),
            ("payshack_date_filter", &["created", "modified"]),
            ("payshack_amounts", &["number", "string"]),
            ("payshack_single_session", &["false", "true"]),
            ("payshack_token_seconds", &["1800", "20"]),
            ("payshack_empty_list", &["list", "data-null", "data-list", "204", "404", "400", "success-false"]),
            ("payshack_unknown_payment", &["list", "data-null", "404", "422", "success-false"]),
        ] {
            let value = self.one_of(values);
            add("--switch", format!("{name}={value}"));
        }
        arguments
    }
}

/// Kills a worker after some further pages, until this many had a job, and replaces it.
async fn kill_workers(system: &TestSystem, profile: &mut FaultProfile, workers: &mut [RunningProgram], kills: usize) {
    let (mut hits, mut killed) = (0, 0);
    while hits < kills {
        let pages = pages(system).await + profile.rng.random_range(5..40);
        eventually_within(TIMEOUT, "some more pages to be stored", || async {
            (self::pages(system).await >= pages).then_some(())
        })
        .await;
        let victim = &mut workers[profile.rng.random_range(0..2)];
        let name = victim.worker_name().await;
        victim.kill();
        killed += 1;
        let lost = sqlx::query_scalar!("SELECT job_id FROM job_leases WHERE starts_with(worker, $1)", name);
        hits += usize::from(lost.fetch_optional(&system.pool).await.expect("the leases can be read").is_some());
        *victim = system.start_jobs_with(&["worker"], &SETTINGS);
    }
    println!("{killed} workers killed, {hits} of which had a job");
}

async fn pages(system: &TestSystem) -> i64 {
    system.number("SELECT COALESCE(sum(pages), 0)::bigint FROM sync_runs").await
}

/// Enqueues a sync until one that started after `since` is complete.
async fn read_to_the_end(system: &TestSystem, source: &str, args: Option<&str>, since: DateTime<Utc>) {
    let mode = if args.is_some() { "range" } else { "incremental" };
    let mut outputs = Vec::new();
    for tries in 1..=TRIES {
        let output = system.try_run_job(&format!("sync-{source}"), args);
        outputs.push(output.stderr);
        let read = sqlx::query_scalar!(
            r#"SELECT count(*) AS "count!" FROM sync_runs
                WHERE source = $1 AND mode = $2 AND status = 'succeeded' AND started_at > $3"#,
            source,
            mode,
            since
        );
        if read.fetch_one(&system.pool).await.expect("the runs can be read") > 0 {
            println!("{source} read to the end ({mode}): {tries} tries");
            return;
        }
    }
    let runs = sqlx::query_scalar!(
        r#"SELECT concat_ws(' ', source, mode, status, error) AS "run!" FROM sync_runs WHERE started_at > $1
            ORDER BY started_at"#,
        since
    );
    let runs = runs.fetch_all(&system.pool).await.expect("the runs can be read");
    panic!("{source} could not be read to the end in {TRIES} tries ({mode}): {outputs:#?}; the runs: {runs:#?}");
}

/// `during` happens while workers are killed.
async fn run_seed(seed: u64, servers: Servers, during: impl Future<Output = Infallible>) {
    let mut profile = FaultProfile::new(seed);
    let arguments = profile.arguments();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let system = TestSystem::start_on(servers, &arguments).await;
    let scheduler = system.start_jobs_with(&["scheduler"], &SETTINGS);
    let mut workers = [system.start_jobs_with(&["worker"], &SETTINGS), system.start_jobs_with(&["worker"], &SETTINGS)];
    tokio::select! {
        () = kill_workers(&system, &mut profile, &mut workers, if is_long() { 8 } else { 3 }) => {}
        never = during => match never {},
    }
    system.sandbox.send(Method::PUT, "live", Some(json!({"per_second": 0}))).await;
    // Every run of Vima that sees an id far beyond the others is incomplete.
    system.sandbox.set_faults(json!({"outlier-id": 0})).await;
    // No payment changes from here on; the other faults continue. Late records become visible.
    let still_at = SystemClock.now() + LATE;
    eventually("every payment to be visible", || async { (SystemClock.now() > still_at).then_some(()) }).await;
    drop(scheduler);
    // The range that the hourly pass covers in thirty hours.
    let today = still_at.date_naive();
    let days = json!({"mode": "range", "from_date": today - Days::new(3), "to_date": today}).to_string();
    read_to_the_end(&system, "vima", None, still_at).await;
    read_to_the_end(&system, "payshack", None, still_at).await;
    read_to_the_end(&system, "payshack", Some(&days), still_at).await;
    eventually_within(TIMEOUT, "every job to be finished", || async {
        (system.number("SELECT count(*) FROM jobs WHERE finished_at IS NULL").await == 0).then_some(())
    })
    .await;
    assert_matches_sandbox(&system).await;
    assert_counts_are_consistent(&system).await;
}

/// Every stored record was counted once as inserted, also by killed runs, and no run is shown as running.
async fn assert_counts_are_consistent(system: &TestSystem) {
    let inserted = system.number("SELECT sum(inserted)::bigint FROM sync_runs").await;
    assert_eq!(inserted, system.number("SELECT count(*) FROM transactions").await, "inserted once, and counted");
    let inconsistent = "SELECT count(*) FROM sync_runs
                WHERE status = 'running' OR records_seen <> inserted + updated + unchanged + quarantined
                   OR (status = 'incomplete') <> (status <> 'failed' AND error IS NOT NULL AND status <> 'cancelled')";
    assert_eq!(system.number(inconsistent).await, 0, "runs with inconsistent counts");
    assert!(system.number("SELECT count(*) FROM quarantine").await > 0, "some records are broken");
    assert!(system.number("SELECT count(*) FROM job_attempts WHERE outcome = 'lost'").await > 0, "workers were killed");
}

/// Runs these seeds one after another; only the first unless there is time.
async fn run_seeds(seeds: impl Iterator<Item = u64>) {
    for seed in seeds.take(if is_long() { usize::MAX } else { 1 }) {
        println!("seed {seed}");
        run_seed(seed, Servers::start().await, pending()).await;
    }
}

#[tokio::test]
async fn database_equals_providers_after_random_faults() {
    run_seeds((1..=19).step_by(2)).await;
}

#[tokio::test]
async fn database_equals_providers_after_other_random_faults() {
    run_seeds((2..=20).step_by(2)).await;
}

#[tokio::test]
async fn database_equals_providers_after_random_faults_and_failovers_of_redis() {
    for seed in (21..=24).take(if is_long() { usize::MAX } else { 1 }) {
        println!("seed {seed}");
        let mut redis = MonitoredRedis::start().await;
        let servers = Servers::with_sentinels(&redis).await;
        run_seed(seed, servers, redis.fail_over_again_and_again()).await;
    }
}
