//! Every metric: its name, labels, meaning, and which processes export it.
//!
//! One list, because the instruments, the table in docs/observability.md, the dashboard and the tests must agree. Names follow
//! OpenTelemetry where it has one (`http_server_`, `process_`); `sync_` is about a source, and all else begins with `psp_`.

use self::ExportedBy::{EveryProcess, Installation, Scheduler, Web, Worker};

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MetricType {
    Counter,
    Gauge,
    /// With the upper bounds of its buckets.
    Histogram(&'static [f64]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportedBy {
    /// Each process exports its own value.
    EveryProcess,
    Web,
    Worker,
    Scheduler,
    /// Read from PostgreSQL by each web process: all of them export the same value.
    Installation,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    pub name: &'static str,
    pub metric_type: MetricType,
    pub labels: &'static [&'static str],
    pub exported_by: ExportedBy,
    pub help: &'static str,
}

/// Of requests: the web process answers most within a few milliseconds.
const REQUEST: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Of calls to providers, which take up to a minute.
const CALL: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// Of jobs: from milliseconds to the hours of a long sync.
const RUN: &[f64] = &[0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0];
/// Of what should happen at once.
const DELAY: &[f64] = &[0.01, 0.05, 0.25, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1_800.0];

type Labels = &'static [&'static str];

const fn counter(name: &'static str, labels: Labels, exported_by: ExportedBy, help: &'static str) -> Metric {
    Metric { name, metric_type: MetricType::Counter, labels, exported_by, help }
}

const fn gauge(name: &'static str, labels: Labels, exported_by: ExportedBy, help: &'static str) -> Metric {
    Metric { metric_type: MetricType::Gauge, ..counter(name, labels, exported_by, help) }
}

const fn histogram(
    name: &'static str,
    buckets: &'static [f64],
    labels: Labels,
    exported_by: ExportedBy,
    help: &'static str,
) -> Metric {
    Metric { metric_type: MetricType::Histogram(buckets), ..counter(name, labels, exported_by, help) }
}

/// Declares the constants and [`ALL`], so that no metric can be left out of the list.
macro_rules! metrics {
    ($($constant:ident = $metric:expr;)+) => {
        $(pub const $constant: Metric = $metric;)+
        pub const ALL: &[Metric] = &[$($constant),+];
    };
}

metrics! {
    BUILD_INFO = gauge("psp_build_info", &["process", "version"], EveryProcess,
        "Always 1; which program this is (web, worker, scheduler), and its version.");
    DATABASE_UP = gauge("psp_database_up", &[], EveryProcess,
        "1 if PostgreSQL accepts writes of this process, else 0.");
    DATABASE_CONNECTIONS = gauge("psp_database_connections", &["pool", "state"], EveryProcess,
        "Connections to PostgreSQL by pool, idle or used.");
    DATABASE_CONNECTIONS_MAX = gauge("psp_database_connections_max", &["pool"], EveryProcess,
        "The most connections that a pool opens.");
    DATABASE_ERRORS = counter("psp_database_errors_total", &["reason"], EveryProcess,
        "Failed calls to PostgreSQL: no free connection in time, unavailable, conflict (retried), timeout of the statement, refused.");
    DATABASE_READS = counter("psp_database_reads_total", &["server"], EveryProcess,
        "Reads that a replica may answer, by the server that answered and, if it was the primary, why.");
    REDIS_UP = gauge("psp_redis_up", &[], EveryProcess, "1 if Redis accepts writes of this process, else 0.");
    REDIS_ERRORS = counter("psp_redis_errors_total", &[], EveryProcess, "Failed commands to Redis.");
    AUDIT_ENTRIES = counter("psp_audit_entries_total", &[], EveryProcess, "Entries written to the audit log.");
    AUDIT_FAILURES = counter("psp_audit_failures_total", &[], EveryProcess,
        "Entries that could not be written to the audit log.");
    EXPORTS = counter("psp_exports_total", &["export", "format", "outcome"], EveryProcess,
        "Exported files by outcome; of downloads in the web process, of ordered files in workers.");
    EXPORTED_ROWS = counter("psp_exported_rows_total", &["export", "format"], EveryProcess,
        "Rows of exported files, incomplete ones too.");

    HTTP_REQUESTS = histogram("http_server_request_duration_seconds", REQUEST,
        &["http_request_method", "http_route", "http_response_status_code"], Web,
        "Time until the head of the response, by route template; the route is \"unmatched\" if there is none.");
    LIVE_CLIENTS = gauge("psp_live_clients", &[], Web, "Open connections for live events.");
    LIVE_EVENTS = counter("psp_live_events_total", &[], Web, "Events delivered to the clients of this process.");
    LIVE_EVENTS_DROPPED = counter("psp_live_events_dropped_total", &[], Web,
        "Progress messages dropped for a slow client, because a newer one supersedes them.");
    LIVE_CLIENTS_DROPPED = counter("psp_live_clients_dropped_total", &[], Web,
        "Clients disconnected because they read too slowly (close code 1013).");
    INSTALLATION_UP = gauge("psp_installation_up", &[], Web,
        "1 if the metrics of the installation were read from PostgreSQL, else 0; they are then absent.");

    QUEUE_JOBS = gauge("psp_queue_jobs", &["queue", "state"], Installation,
        "Unfinished jobs: queued, scheduled, running, retrying.");
    QUEUE_OLDEST_WAITING = gauge("psp_queue_oldest_waiting_seconds", &["queue"], Installation,
        "How long the oldest due job has waited; 0 if none is due.");
    QUEUE_PAUSED = gauge("psp_queue_paused", &["queue"], Installation, "1 if the queue is paused, else 0.");
    WORKERS_ALIVE = gauge("psp_workers_alive", &["queue"], Installation,
        "Workers that serve the queue and sent a heartbeat within 30 s.");
    SCHEDULERS_ALIVE = gauge("psp_schedulers_alive", &[], Installation,
        "Schedulers that sent a heartbeat within 30 s.");
    SCHEDULE_LAST_TICK = gauge("psp_schedule_last_tick_timestamp_seconds", &["schedule"], Installation,
        "The time of the last tick that was enqueued.");
    SCHEDULE_NEXT_TICK = gauge("psp_schedule_next_tick_timestamp_seconds", &["schedule"], Installation,
        "When the next tick is due; in the past if no scheduler runs.");
    SYNC_LAST_SUCCESS = gauge("sync_last_success_timestamp_seconds", &["source"], Installation,
        "When the last complete run of the source finished; absent before the first.");
    SYNC_LAG = gauge("sync_lag_seconds", &["source"], Installation,
        "The age of the data, as in /sync/status; absent until the source has been read completely once.");
    SYNC_WATERMARK = gauge("sync_watermark_timestamp_seconds", &["source", "stream"], Installation,
        "Up to when each list of the source has been read completely.");
    SYNC_INTERVAL = gauge("sync_interval_seconds", &["source"], Installation,
        "The configured time between two syncs of the source.");
    QUARANTINE_RECORDS = gauge("psp_quarantine_records", &["source"], Installation,
        "Records in the quarantine.");
    RECONCILIATION_LAST_COMPLETED = gauge("psp_reconciliation_last_completed_timestamp_seconds", &[], Installation,
        "When the last reconciliation completed; absent before the first.");
    RECONCILIATION_NEWEST_DAY = gauge("psp_reconciliation_newest_day_timestamp_seconds", &[], Installation,
        "The beginning of the newest day that has been reconciled.");
    RECONCILIATION_PAYMENTS = gauge("psp_reconciliation_payments", &["verdict"], Installation,
        "Verdicts of the last run of the newest reconciled day: payments; duplicate and unmatchable: rows.");
    DISCREPANCIES_UNRESOLVED = gauge("psp_discrepancies_unresolved", &["match_status"], Installation,
        "Discrepancies that are open or acknowledged.");
    VALUE_AT_RISK = gauge("psp_discrepancies_value_at_risk", &["currency"], Installation,
        "The value of unresolved discrepancies, in units of the currency; the 20 currencies with the most of them.");
    EXPORTS_UNFINISHED = gauge("psp_exports_unfinished", &[], Installation, "Ordered exports that wait or run.");
    EXPORTS_STORED_BYTES = gauge("psp_exports_stored_bytes", &[], Installation,
        "The size of the exported files that can be downloaded.");

    PROVIDER_REQUESTS = counter("psp_provider_requests_total", &["provider", "endpoint", "outcome"], Worker,
        "Requests to providers, repeated ones too, by outcome.");
    PROVIDER_REQUEST_DURATION = histogram("psp_provider_request_duration_seconds", CALL, &["provider", "endpoint"], Worker,
        "Time from the request to the last byte of the response, without waiting for the rate limit.");
    PROVIDER_RETRIES = counter("psp_provider_retries_total", &["provider", "endpoint"], Worker,
        "Requests that repeat a failed one.");
    PROVIDER_RESPONSE_BYTES = counter("psp_provider_response_bytes_total", &["provider", "endpoint"], Worker,
        "Bytes of responses, decompressed.");
    JOBS = counter("psp_jobs_total", &["kind", "outcome"], Worker, "Finished jobs: succeeded, failed, cancelled.");
    JOB_ATTEMPTS = counter("psp_job_attempts_total", &["kind", "outcome"], Worker,
        "Attempts of jobs by outcome; claim_lost if another worker has taken the job over.");
    JOB_QUEUE_DURATION = histogram("psp_job_queue_duration_seconds", DELAY, &["kind"], Worker,
        "Time from when a job is due until an attempt starts.");
    JOB_RUN_DURATION = histogram("psp_job_run_duration_seconds", RUN, &["kind"], Worker, "Time that an attempt runs.");
    JOBS_RESCUED = counter("psp_jobs_rescued_total", &["kind"], Worker, "Jobs taken over from a dead worker.");
    WORKER_SLOTS = gauge("psp_worker_slots", &[], Worker, "How many jobs this worker runs at a time.");
    WORKER_SLOTS_USED = gauge("psp_worker_slots_used", &[], Worker, "Jobs that this worker runs now.");
    SYNC_RECORDS = counter("sync_records_total", &["source", "outcome"], Worker,
        "Records received and committed: inserted, updated, unchanged, quarantined.");
    SYNC_RUNS = counter("sync_runs_total", &["source", "status"], Worker,
        "Sync runs that ended: succeeded, incomplete (may have missed records), failed (cancelled ones too).");

    SCHEDULER_TICKS = counter("psp_scheduler_ticks_total", &["schedule", "outcome"], Scheduler,
        "Ticks recorded by this scheduler: enqueued, or joined to a job that was still unfinished.");
    SCHEDULER_TICK_DELAY = histogram("psp_scheduler_tick_delay_seconds", DELAY, &["schedule"], Scheduler,
        "Time from a tick until its job is enqueued.");

    PROCESS_CPU = counter("process_cpu_seconds_total", &[], EveryProcess, "CPU time of the process, in the kernel too.");
    PROCESS_MEMORY = gauge("process_resident_memory_bytes", &[], EveryProcess, "Memory in RAM.");
    PROCESS_VIRTUAL_MEMORY = gauge("process_virtual_memory_bytes", &[], EveryProcess, "Address space.");
    PROCESS_OPEN_FILES = gauge("process_open_fds", &[], EveryProcess, "Open files and sockets.");
    PROCESS_MAX_FILES = gauge("process_max_fds", &[], EveryProcess, "The limit of open files and sockets.");
    PROCESS_START = gauge("process_start_time_seconds", &[], EveryProcess, "When the process started.");
    PROCESS_THREADS = gauge("process_threads", &[], EveryProcess, "Threads.");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Labels with these names would have a value for each project, merchant, key or payment.
    const UNBOUNDED: [&str; 8] = ["project", "merchant", "key", "id", "path", "url", "error", "user"];

    #[test]
    fn names_are_unique_have_units_and_bounded_labels() {
        let names: BTreeSet<&str> = ALL.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), ALL.len());
        for Metric { name, metric_type, labels, help, .. } in ALL {
            assert_eq!(name.ends_with("_total"), *metric_type == MetricType::Counter, "{name}");
            assert!(!name.ends_with("_ms") && !name.contains("milli"), "{name} is in base units");
            assert!(!labels.iter().any(|label| UNBOUNDED.contains(label)), "{name}");
            assert!(help.ends_with('.'), "{name}");
        }
    }

    #[test]
    fn documented_table_is_current() {
        let document = include_str!("../../docs/observability.md");
        let table = document.split("<!-- metrics: begin -->\n").nth(1);
        let table = table.and_then(|rest| rest.split("<!-- metrics: end -->").next()).expect("both marks");
        let expected = ALL.iter().fold(
            "| metric | type | labels | exported by | meaning |\n| --- | --- | --- | --- | --- |\n".to_owned(),
            |table, metric| table + &row(metric),
        );
        assert!(table == expected, "docs/observability.md needs this table:\n{expected}");
    }

    fn row(metric: &Metric) -> String {
        let Metric { name, metric_type, labels, exported_by, help } = metric;
        let metric_type = match metric_type {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram(_) => "histogram",
        };
        let exported_by = match exported_by {
            EveryProcess => "each process",
            Web => "web",
            Worker => "worker",
            Scheduler => "scheduler",
            Installation => "web, for the installation",
        };
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        format!("| `{name}` | {metric_type} | {} | {exported_by} | {help} |\n", labels.join(", "))
    }
}
