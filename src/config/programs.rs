//! What each program reads.

use std::time::Duration;

use chrono_tz::Tz;

use super::{
    AccessConfig, EnvVars, ProvidersConfig, ReconciliationConfig, ServersConfig, Setting, SyncConfig, TelemetryConfig,
    export_store, seconds,
};
use crate::objects::ObjectSettings;

const FAILED_JOBS_KEPT: Duration = Duration::from_hours(30 * 24);

/// What `psp web` reads.
#[derive(Debug, Clone)]
pub struct WebConfig {
    /// The address to listen on.
    pub host: String,
    /// The port to listen on.
    pub port: u16,
    /// PostgreSQL and Redis.
    pub servers: ServersConfig,
    /// Who may ask.
    pub access: AccessConfig,
    /// How often syncs run: the status says when the next one is due.
    pub sync: SyncConfig,
    /// How days are reconciled.
    pub reconciliation: ReconciliationConfig,
    /// The zone that days are in where a request names none.
    pub report_timezone: Tz,
    /// Where files that were exported are kept; none for the database.
    pub export_store: Option<ObjectSettings>,
    /// How long a stop may take.
    pub shutdown_grace: Duration,
    /// Log lines.
    pub telemetry: TelemetryConfig,
}

impl WebConfig {
    /// Reads what `psp web` needs.
    pub fn read(environment: &mut EnvVars) -> Option<Self> {
        let host = environment.optional(Setting::open("HOST", "0.0.0.0"), "0.0.0.0".to_owned());
        let port = environment.optional(Setting::open("PORT", "8000"), 8000);
        let servers = ServersConfig::read(environment);
        let access = AccessConfig::read(environment);
        let sync = SyncConfig::read(environment);
        let reconciliation = ReconciliationConfig::read(environment);
        let report_timezone = environment.optional(Setting::open("REPORT_TIMEZONE", "Asia/Kolkata"), Tz::UTC);
        let export_store = export_store::read(environment);
        let shutdown_grace = shutdown_grace(environment);
        let telemetry = TelemetryConfig::read(environment);
        Some(Self {
            host: host?,
            port: port?,
            servers: servers?,
            access: access?,
            sync: sync?,
            reconciliation: reconciliation?,
            report_timezone: report_timezone?,
            export_store: export_store?,
            shutdown_grace: shutdown_grace?,
            telemetry: telemetry?,
        })
    }
}

/// How jobs are run.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// How many jobs run at a time.
    pub concurrency: u32,
    /// How long after a worker's death its jobs are taken over.
    pub rescue: Duration,
}

impl WorkerConfig {
    /// Reads `WORKER_CONCURRENCY` and `JOB_RESCUE_SECONDS`.
    pub fn read(environment: &mut EnvVars) -> Option<Self> {
        let concurrency = environment.optional(Setting::open("WORKER_CONCURRENCY", "8"), 8_u32);
        let rescue = seconds(environment, "JOB_RESCUE_SECONDS", "15", 15);
        Some(Self { concurrency: concurrency?.max(1), rescue: rescue? })
    }
}

/// How long what is done with is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Jobs that succeeded or were cancelled.
    pub jobs: Duration,
    /// Jobs that failed: somebody may still have to look into them.
    pub failed_jobs: Duration,
}

impl RetentionConfig {
    /// Reads `JOB_RETENTION_DAYS`. What failed is kept for 30 days, or for as long as the others where that is longer.
    pub fn read(environment: &mut EnvVars) -> Option<Self> {
        let days = environment.optional(Setting::open("JOB_RETENTION_DAYS", "7"), 7_u32)?;
        let jobs = Duration::from_hours(24) * days;
        Some(Self { jobs, failed_jobs: jobs.max(FAILED_JOBS_KEPT) })
    }
}

/// What `psp-jobs` reads.
#[derive(Debug, Clone)]
pub struct JobsConfig {
    /// PostgreSQL and Redis.
    pub servers: ServersConfig,
    /// The providers.
    pub providers: ProvidersConfig,
    /// How often and how far syncs read.
    pub sync: SyncConfig,
    /// How and when days are reconciled.
    pub reconciliation: ReconciliationConfig,
    /// How jobs are run.
    pub worker: WorkerConfig,
    /// How long what is done with is kept.
    pub retention: RetentionConfig,
    /// Where files that were exported are kept; none for the database.
    pub export_store: Option<ObjectSettings>,
    /// How long a stop may take.
    pub shutdown_grace: Duration,
    /// Log lines.
    pub telemetry: TelemetryConfig,
}

impl JobsConfig {
    /// Reads what `psp-jobs` needs.
    pub fn read(environment: &mut EnvVars) -> Option<Self> {
        let servers = ServersConfig::read(environment);
        let providers = ProvidersConfig::read(environment);
        let sync = SyncConfig::read(environment);
        let reconciliation = ReconciliationConfig::read(environment);
        let worker = WorkerConfig::read(environment);
        let retention = RetentionConfig::read(environment);
        let export_store = export_store::read(environment);
        let shutdown_grace = shutdown_grace(environment);
        let telemetry = TelemetryConfig::read(environment);
        Some(Self {
            servers: servers?,
            providers: providers?,
            sync: sync?,
            reconciliation: reconciliation?,
            worker: worker?,
            retention: retention?,
            export_store: export_store?,
            shutdown_grace: shutdown_grace?,
            telemetry: telemetry?,
        })
    }
}

fn shutdown_grace(environment: &mut EnvVars) -> Option<Duration> {
    seconds(environment, "SHUTDOWN_GRACE_SECONDS", "25", 25)
}
