//! Counts what happens in this process.
//!
//! A function per event, which takes the values of the labels as types or constants, so that no caller can mix them up or pass a
//! text of its own. The functions are cheap (a lookup by label) and cannot fail.

use std::sync::LazyLock;
use std::time::Duration;

use prometheus::Registry;

use super::catalog;
use super::family::{Counters, Gauges, Histograms};
use crate::domain::job::attempt::AttemptOutcome;
use crate::domain::job::{JobState, KINDS};
use crate::domain::sync::{Counts, RunStatus};
use crate::domain::transaction::Source;

/// The `http_route` of requests that match no operation.
pub const UNMATCHED: &str = "unmatched";
/// The `kind` of jobs that this release does not know.
pub const UNKNOWN_KIND: &str = "unknown";
/// The outcome of an attempt whose job another worker has taken over.
pub const CLAIM_LOST: &str = "claim_lost";

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"];
const FINISHED: [JobState; 3] = [JobState::Succeeded, JobState::Failed, JobState::Cancelled];

static INSTRUMENTS: LazyLock<Instruments> = LazyLock::new(Instruments::new);

struct Instruments {
    registry: Registry,
    database_errors: Counters,
    reads: Counters,
    redis_errors: Counters,
    audit_entries: Counters,
    audit_failures: Counters,
    exports: Counters,
    exported_rows: Counters,
    http_requests: Histograms,
    live_events: Counters,
    live_events_dropped: Counters,
    live_clients_dropped: Counters,
    provider_requests: Counters,
    provider_request_duration: Histograms,
    provider_retries: Counters,
    provider_response_bytes: Counters,
    jobs: Counters,
    job_attempts: Counters,
    job_queue_duration: Histograms,
    job_run_duration: Histograms,
    jobs_rescued: Counters,
    worker_slots: Gauges,
    worker_slots_used: Gauges,
    sync_records: Counters,
    sync_runs: Counters,
    scheduler_ticks: Counters,
    scheduler_tick_delay: Histograms,
}

impl Instruments {
    fn new() -> Self {
        let registry = Registry::new();
        register_process(&registry);
        let counters = |metric| Counters::register(&registry, metric);
        let gauges = |metric| Gauges::register(&registry, metric);
        let histograms = |metric| Histograms::register(&registry, metric);
        Self {
            database_errors: counters(&catalog::DATABASE_ERRORS),
            reads: counters(&catalog::DATABASE_READS),
            redis_errors: counters(&catalog::REDIS_ERRORS),
            audit_entries: counters(&catalog::AUDIT_ENTRIES),
            audit_failures: counters(&catalog::AUDIT_FAILURES),
            exports: counters(&catalog::EXPORTS),
            exported_rows: counters(&catalog::EXPORTED_ROWS),
            http_requests: histograms(&catalog::HTTP_REQUESTS),
            live_events: counters(&catalog::LIVE_EVENTS),
            live_events_dropped: counters(&catalog::LIVE_EVENTS_DROPPED),
            live_clients_dropped: counters(&catalog::LIVE_CLIENTS_DROPPED),
            provider_requests: counters(&catalog::PROVIDER_REQUESTS),
            provider_request_duration: histograms(&catalog::PROVIDER_REQUEST_DURATION),
            provider_retries: counters(&catalog::PROVIDER_RETRIES),
            provider_response_bytes: counters(&catalog::PROVIDER_RESPONSE_BYTES),
            jobs: counters(&catalog::JOBS),
            job_attempts: counters(&catalog::JOB_ATTEMPTS),
            job_queue_duration: histograms(&catalog::JOB_QUEUE_DURATION),
            job_run_duration: histograms(&catalog::JOB_RUN_DURATION),
            jobs_rescued: counters(&catalog::JOBS_RESCUED),
            worker_slots: gauges(&catalog::WORKER_SLOTS),
            worker_slots_used: gauges(&catalog::WORKER_SLOTS_USED),
            sync_records: counters(&catalog::SYNC_RECORDS),
            sync_runs: counters(&catalog::SYNC_RUNS),
            scheduler_ticks: counters(&catalog::SCHEDULER_TICKS),
            scheduler_tick_delay: histograms(&catalog::SCHEDULER_TICK_DELAY),
            registry,
        }
    }
}

/// CPU, memory and open files, which the library reads from `/proc`.
#[cfg(target_os = "linux")]
fn register_process(registry: &Registry) {
    let collector = prometheus::process_collector::ProcessCollector::for_self();
    if let Err(error) = registry.register(Box::new(collector)) {
        tracing::error!(%error, "the metrics of the process cannot be registered");
    }
}

#[cfg(not(target_os = "linux"))]
fn register_process(_registry: &Registry) {}

pub(super) fn registry() -> &'static Registry {
    &INSTRUMENTS.registry
}

/// Makes the counters of every process exist.
pub fn prepare_process() {
    for reason in DatabaseFailure::ALL {
        INSTRUMENTS.database_errors.prepare(&[reason.as_str()]);
    }
    for server in ReadFrom::ALL {
        INSTRUMENTS.reads.prepare(&[server.as_str()]);
    }
    for counters in [&INSTRUMENTS.redis_errors, &INSTRUMENTS.audit_entries, &INSTRUMENTS.audit_failures] {
        counters.prepare(&[]);
    }
}

/// Makes the counters of a web process exist.
pub fn prepare_web() {
    let Instruments { live_events, live_events_dropped, live_clients_dropped, .. } = &*INSTRUMENTS;
    for counters in [live_events, live_events_dropped, live_clients_dropped] {
        counters.prepare(&[]);
    }
}

/// Makes the counters of a worker with `slots` exist; `endpoints` are those of the providers, with the outcomes of a request.
pub fn prepare_worker(slots: u32, endpoints: &[(&'static str, &'static str)], outcomes: &[&'static str]) {
    let instruments = &*INSTRUMENTS;
    instruments.worker_slots.set(&[], slots.into());
    instruments.worker_slots_used.set(&[], 0.0);
    for kind in KINDS {
        instruments.jobs_rescued.prepare(&[kind.name]);
        for state in FINISHED {
            instruments.jobs.prepare(&[kind.name, state.as_str()]);
        }
        for outcome in AttemptOutcome::ALL.into_iter().filter(|outcome| *outcome != AttemptOutcome::Lost) {
            instruments.job_attempts.prepare(&[kind.name, outcome.as_str()]);
        }
        instruments.job_attempts.prepare(&[kind.name, CLAIM_LOST]);
    }
    for (provider, endpoint) in endpoints {
        instruments.provider_retries.prepare(&[provider, endpoint]);
        instruments.provider_response_bytes.prepare(&[provider, endpoint]);
        for outcome in outcomes {
            instruments.provider_requests.prepare(&[provider, endpoint, outcome]);
        }
    }
    for source in Source::ALL {
        sync_records(source, &Counts::default());
        for status in [RunStatus::Succeeded, RunStatus::Incomplete, RunStatus::Failed] {
            instruments.sync_runs.prepare(&[source.as_str(), status.as_str()]);
        }
    }
}

/// Makes the counters of a scheduler exist.
pub fn prepare_scheduler<'a>(schedules: impl Iterator<Item = &'a str>) {
    for schedule in schedules {
        for outcome in TickRecorded::ALL {
            INSTRUMENTS.scheduler_ticks.prepare(&[schedule, outcome.as_str()]);
        }
    }
}

/// Counts a request of the API; `route` is the template, or [`UNMATCHED`].
pub fn http_request(method: &str, route: &'static str, status: &str, duration: Duration) {
    INSTRUMENTS.http_requests.observe(&[method_name(method), route, status], duration.as_secs_f64());
}

/// The method, or the name that OpenTelemetry gives to one that a client may have made up.
#[must_use]
pub fn method_name(method: &str) -> &'static str {
    METHODS.into_iter().find(|known| *known == method).unwrap_or("_OTHER")
}

pub fn live_events(number: usize) {
    INSTRUMENTS.live_events.add(&[], number as u64);
}

pub fn live_events_dropped(number: usize) {
    INSTRUMENTS.live_events_dropped.add(&[], number as u64);
}

pub fn live_client_dropped() {
    INSTRUMENTS.live_clients_dropped.add(&[], 1);
}

crate::domain::string_enum::string_enum! {
    /// Why a call to PostgreSQL failed.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum DatabaseFailure {
        /// No connection of the pool was free in time, or none could be opened.
        PoolTimeout = "pool_timeout",
        Unavailable = "unavailable",
        Conflict = "conflict",
        StatementTimeout = "statement_timeout",
        Refused = "refused",
    }
}

crate::domain::string_enum::string_enum! {
    /// Which server answers a read that need not come from the primary, and why not a replica.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ReadFrom {
        Replica = "replica",
        /// There are no replicas.
        PrimaryOnly = "primary",
        PrimaryAsBehind = "primary_replica_behind",
        PrimaryAsBusy = "primary_replica_busy",
        PrimaryAsFailing = "primary_replica_failing",
    }
}

pub fn read(from: ReadFrom) {
    INSTRUMENTS.reads.add(&[from.as_str()], 1);
}

pub fn database_error(reason: DatabaseFailure) {
    INSTRUMENTS.database_errors.add(&[reason.as_str()], 1);
}

pub fn redis_error() {
    INSTRUMENTS.redis_errors.add(&[], 1);
}

pub fn audit_entry() {
    INSTRUMENTS.audit_entries.add(&[], 1);
}

pub fn audit_failure() {
    INSTRUMENTS.audit_failures.add(&[], 1);
}

pub fn export(name: &'static str, format: &'static str, rows: u64, complete: bool) {
    let outcome = if complete { "complete" } else { "aborted" };
    INSTRUMENTS.exports.add(&[name, format, outcome], 1);
    INSTRUMENTS.exported_rows.add(&[name, format], rows);
}

/// Counts one attempt of a request to a provider.
pub fn provider_request(
    (provider, endpoint): (&'static str, &'static str),
    outcome: &'static str,
    duration: Duration,
    bytes: usize,
) {
    let instruments = &*INSTRUMENTS;
    instruments.provider_requests.add(&[provider, endpoint, outcome], 1);
    instruments.provider_request_duration.observe(&[provider, endpoint], duration.as_secs_f64());
    instruments.provider_response_bytes.add(&[provider, endpoint], bytes as u64);
}

pub fn provider_retry((provider, endpoint): (&'static str, &'static str)) {
    INSTRUMENTS.provider_retries.add(&[provider, endpoint], 1);
}

/// A job that runs now, until it is dropped.
#[derive(Debug)]
#[must_use]
pub struct RunningJob(());

impl Drop for RunningJob {
    fn drop(&mut self) {
        INSTRUMENTS.worker_slots_used.add(&[], -1.0);
    }
}

/// Counts the start of an attempt, `waited` after the job was due.
pub fn job_started(kind: &'static str, waited: Duration) -> RunningJob {
    INSTRUMENTS.job_queue_duration.observe(&[kind], waited.as_secs_f64());
    INSTRUMENTS.worker_slots_used.add(&[], 1.0);
    RunningJob(())
}

pub fn job_attempt(kind: &'static str, outcome: &'static str, duration: Duration) {
    INSTRUMENTS.job_attempts.add(&[kind, outcome], 1);
    INSTRUMENTS.job_run_duration.observe(&[kind], duration.as_secs_f64());
}

/// Counts a job whose outcome is recorded, if it has ended.
pub fn job_recorded(kind: &'static str, state: JobState) {
    if FINISHED.contains(&state) {
        INSTRUMENTS.jobs.add(&[kind, state.as_str()], 1);
    }
}

pub fn job_rescued(kind: &'static str) {
    INSTRUMENTS.jobs_rescued.add(&[kind], 1);
}

/// Counts the records of a page that is committed.
pub fn sync_records(source: Source, counts: &Counts) {
    let Counts { inserted, updated, unchanged, quarantined, replaced: _ } = *counts;
    for (outcome, number) in
        [("inserted", inserted), ("updated", updated), ("unchanged", unchanged), ("quarantined", quarantined)]
    {
        INSTRUMENTS.sync_records.add(&[source.as_str(), outcome], number);
    }
}

pub fn sync_run(source: Source, status: RunStatus) {
    INSTRUMENTS.sync_runs.add(&[source.as_str(), status.as_str()], 1);
}

crate::domain::string_enum::string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum TickRecorded {
        Enqueued = "enqueued",
        /// The job of an earlier tick was still unfinished.
        Joined = "joined",
    }
}

/// Counts a tick that this scheduler has recorded, `delay` after its time.
pub fn scheduler_tick(schedule: &str, outcome: TickRecorded, delay: Duration) {
    INSTRUMENTS.scheduler_ticks.add(&[schedule, outcome.as_str()], 1);
    INSTRUMENTS.scheduler_tick_delay.observe(&[schedule], delay.as_secs_f64());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::observability::catalog::ALL;
    use crate::observability::exposition::Exposition;

    /// A label that is missing or too many would be noticed only when an event is counted.
    #[test]
    fn every_event_is_counted_under_its_name() {
        prepare_process();
        prepare_web();
        prepare_worker(8, &[("vima", "operations")], &["ok"]);
        prepare_scheduler(["sync-vima"].into_iter());
        let second = Duration::from_secs(1);
        http_request("BREW", "/api/v1/jobs/{id}", "200", second);
        database_error(DatabaseFailure::Conflict);
        export("transactions", "csv", 7, true);
        provider_request(("vima", "operations"), "ok", second, 100);
        drop(job_started("sync-vima", second));
        job_attempt("sync-vima", CLAIM_LOST, second);
        scheduler_tick("sync-vima", TickRecorded::Enqueued, second);
        let text = Exposition::default().render();
        let names: BTreeSet<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
        // Those that are read at each scrape are not here.
        let own = registry().gather();
        let own: BTreeSet<&str> = own.iter().map(prometheus::proto::MetricFamily::name).collect();
        assert_eq!(names, own);
        assert!(own.iter().all(|name| ALL.iter().any(|metric| metric.name == *name)), "{own:?}");
        assert!(own.len() > 25, "{own:?}");
        let line = r#"http_server_request_duration_seconds_count{http_request_method="_OTHER",http_response_status_code="200",http_route="/api/v1/jobs/{id}"} 1"#;
        assert!(text.contains(line), "{text}");
    }
}
