//! The settings of each program.

use std::time::Duration;

use chrono_tz::Tz;

use super::{
    AccessConfig, EnvVars, HttpConfig, LimitsConfig, MetricsListenerConfig, NetworkConfig, NotificationsConfig,
    ProvidersConfig, ReconciliationConfig, ReportsConfig, ServersConfig, Setting, SyncConfig, TelemetryConfig,
    WebhooksConfig, access, events, export_quota, export_store, number_in, reports, seconds,
};
use crate::domain::event_names::EventNames;
use crate::domain::export_quota::ExportQuota;
use crate::domain::reports::recipients::AllowedRecipients;
use crate::objects::ObjectSettings;

const FAILED_JOB_RETENTION: Duration = Duration::from_hours(30 * 24);
/// Ten years.
const MAX_RETENTION_DAYS: u32 = 3_650;

/// The settings of `psp web`.
#[derive(Debug, Clone)]
pub struct WebConfig {
    pub host: String,
    pub port: u16,
    pub http: HttpConfig,
    pub network: NetworkConfig,
    pub limits: LimitsConfig,
    pub servers: ServersConfig,
    pub access: AccessConfig,
    /// Needed to report when the next sync is due.
    pub sync: SyncConfig,
    pub reconciliation: ReconciliationConfig,
    /// The default time zone of requests.
    pub report_timezone: Tz,
    /// `None` stores exported files in the database.
    pub export_store: Option<ObjectSettings>,
    pub export_quota: ExportQuota,
    pub webhooks: WebhooksConfig,
    pub report_recipients: AllowedRecipients,
    pub event_names: EventNames,
    pub shutdown_grace: Duration,
    pub telemetry: TelemetryConfig,
    /// `None` serves metrics only to admins, beside the API.
    pub metrics: Option<MetricsListenerConfig>,
}

impl WebConfig {
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let port = env.optional(Setting::open("PORT", "8000"), 8000);
        let http = HttpConfig::read(env);
        let network = NetworkConfig::read(env);
        let limits = LimitsConfig::read(env);
        let servers = ServersConfig::read(env);
        let access = AccessConfig::read(env);
        let host = access::read_host(env, access.as_ref());
        let metrics = MetricsListenerConfig::read(env, host.as_deref().unwrap_or_default(), port);
        let sync = SyncConfig::read(env);
        let reconciliation = ReconciliationConfig::read(env);
        let report_timezone = env.optional(Setting::open("REPORT_TIMEZONE", "Asia/Kolkata"), Tz::UTC);
        let export_store = export_store::read(env);
        let export_quota = export_quota::read(env);
        let webhooks = WebhooksConfig::read(env);
        let report_recipients = reports::read_recipients(env);
        let event_names = events::read_names(env);
        let shutdown_grace = shutdown_grace(env);
        let telemetry = TelemetryConfig::read(env);
        Some(Self {
            host: host?,
            port: port?,
            http: http?,
            network: network?,
            limits: limits?,
            servers: servers?,
            access: access?,
            sync: sync?,
            reconciliation: reconciliation?,
            report_timezone: report_timezone?,
            export_store: export_store?,
            export_quota: export_quota?,
            webhooks: webhooks?,
            report_recipients: report_recipients?,
            event_names: event_names?,
            shutdown_grace: shutdown_grace?,
            telemetry: telemetry?,
            metrics: metrics?,
        })
    }
}

#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// The number of jobs that run at the same time.
    pub concurrency: u32,
    /// How long after a worker's death its jobs are rescued.
    pub rescue: Duration,
}

impl WorkerConfig {
    /// Reads `WORKER_CONCURRENCY` and `JOB_RESCUE_SECONDS`.
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let concurrency = env.optional(Setting::open("WORKER_CONCURRENCY", "8"), 8_u32);
        let rescue = seconds(env, "JOB_RESCUE_SECONDS", "15", 15);
        Some(Self { concurrency: concurrency?.max(1), rescue: rescue? })
    }
}

/// How long finished jobs are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionConfig {
    /// For succeeded and cancelled jobs.
    pub jobs: Duration,
    /// Longer, because failed jobs may still have to be investigated.
    pub failed_jobs: Duration,
}

impl RetentionConfig {
    /// Reads `JOB_RETENTION_DAYS`. Failed jobs are kept for at least 30 days.
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let days = number_in(env, Setting::open("JOB_RETENTION_DAYS", "7"), 7, 0..=MAX_RETENTION_DAYS)?;
        let jobs = Duration::from_hours(24) * days;
        Some(Self { jobs, failed_jobs: jobs.max(FAILED_JOB_RETENTION) })
    }
}

/// The settings of `psp-jobs`.
#[derive(Debug, Clone)]
pub struct JobsConfig {
    pub servers: ServersConfig,
    pub providers: ProvidersConfig,
    pub sync: SyncConfig,
    pub reconciliation: ReconciliationConfig,
    pub worker: WorkerConfig,
    pub retention: RetentionConfig,
    /// `None` stores exported files in the database.
    pub export_store: Option<ObjectSettings>,
    pub export_quota: ExportQuota,
    pub webhooks: WebhooksConfig,
    pub notifications: NotificationsConfig,
    pub reports: ReportsConfig,
    pub shutdown_grace: Duration,
    pub telemetry: TelemetryConfig,
    /// `None` serves no metrics.
    pub metrics: Option<MetricsListenerConfig>,
}

impl JobsConfig {
    pub fn read(env: &mut EnvVars) -> Option<Self> {
        let servers = ServersConfig::read(env);
        let providers = ProvidersConfig::read(env);
        let sync = SyncConfig::read(env);
        let reconciliation = ReconciliationConfig::read(env);
        let worker = WorkerConfig::read(env);
        let retention = RetentionConfig::read(env);
        let export_store = export_store::read(env);
        let export_quota = export_quota::read(env);
        let webhooks = WebhooksConfig::read(env);
        let notifications = NotificationsConfig::read(env);
        let reports = ReportsConfig::read(env);
        let shutdown_grace = shutdown_grace(env);
        let telemetry = TelemetryConfig::read(env);
        let metrics = MetricsListenerConfig::read(env, &access::read_listening_host(env), None);
        Some(Self {
            servers: servers?,
            providers: providers?,
            sync: sync?,
            reconciliation: reconciliation?,
            worker: worker?,
            retention: retention?,
            export_store: export_store?,
            export_quota: export_quota?,
            webhooks: webhooks?,
            notifications: notifications?,
            reports: reports?,
            shutdown_grace: shutdown_grace?,
            telemetry: telemetry?,
            metrics: metrics?,
        })
    }
}

fn shutdown_grace(env: &mut EnvVars) -> Option<Duration> {
    seconds(env, "SHUTDOWN_GRACE_SECONDS", "25", 25)
}
