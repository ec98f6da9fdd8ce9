//! How long the rows of each table are kept.
//!
//! One table says it of all tables, so that none is forgotten: a test fails for a table of the database that has no rule here
//! or no line in `docs/operations.md`. The job `housekeeping` deletes what a rule says.

use std::time::Duration;

use super::string_enum::string_enum;

/// How long a repeated request gets the response of the first one.
pub const IDEMPOTENT_REQUEST_AGE: Duration = Duration::from_hours(24);
/// How long an exported file can be downloaded.
pub const EXPORT_DOWNLOAD_TIME: Duration = Duration::from_hours(24);

/// How far back the history of the queues goes.
pub const QUEUE_HISTORY_AGE: Duration = Duration::from_hours(72);

/// What happens to the rows of a table as time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// No row is ever deleted, for this reason.
    Kept(&'static str),
    /// The number of rows does not grow with time; what limits it.
    Bounded(&'static str),
    /// Rows are deleted together with those of this table.
    DeletedWith(&'static str),
    /// Housekeeping deletes these rows.
    Expires(&'static [ExpiringRows]),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionRule {
    pub table: &'static str,
    pub retention: Retention,
}

string_enum! {
    /// Rows that housekeeping deletes. The names are those of the counts in its result.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ExpiringRows {
        /// Except the newest, whose id shows where new subscribers start.
        Events = "events",
        /// Succeeded and cancelled ones, with their attempts.
        Jobs = "jobs",
        FailedJobs = "failed_jobs",
        /// Except the last one of each schedule, from which missed ticks are counted.
        Ticks = "ticks",
        Processes = "processes",
        /// Except the last run, and the last successful one, of each source.
        SyncRuns = "sync_runs",
        /// Except the newest mark that a run may start from.
        CursorMarks = "cursor_marks",
        /// Since they were last received.
        Quarantine = "quarantine",
        UnreadablePages = "unreadable_pages",
        /// Runs that were never completed.
        ReconciliationRuns = "reconciliation_runs",
        /// Of runs that were superseded by a later completed run of the day; the age counts from its completion.
        SupersededResults = "superseded_results",
        IdempotentRequests = "idempotent_requests",
        /// Since they expired.
        Sessions = "sessions",
        ExchangeRates = "exchange_rates",
        /// Except the last record of each balance.
        Balances = "balances",
        /// Of earlier releases.
        Audit = "audit",
        /// The oldest entries.
        AuditLog = "audit_log",
        Exports = "exports",
        ExportedRows = "exported_rows",
        /// Since they ended, or have waited at a disabled endpoint.
        WebhookDeliveries = "webhook_deliveries",
        /// Since they fired, if they are resolved.
        Alerts = "alerts",
        ReportRuns = "report_runs",
        /// Personal ones, since their key was revoked or has expired.
        SavedViews = "saved_views",
        /// That were not confirmed.
        BulkPreviews = "bulk_previews",
        BulkActions = "bulk_actions",
        /// The bytes of exports, wherever they are stored.
        ExportFiles = "export_files",
    }
}

/// The ages that settings decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionSettings {
    pub jobs: Duration,
    pub failed_jobs: Duration,
    pub vima_overlap: Duration,
}

impl ExpiringRows {
    /// The age at which the rows are deleted.
    #[must_use]
    pub fn max_age(self, settings: &RetentionSettings) -> Duration {
        let days = |days: u64| Duration::from_hours(24 * days);
        match self {
            Self::Events | Self::Processes => days(1),
            Self::Jobs => settings.jobs,
            Self::FailedJobs => settings.failed_jobs,
            // Longer than the nightly sweep of Vima looks back, even if it runs late.
            Self::CursorMarks => days(4).max(settings.vima_overlap + Duration::from_hours(1)),
            Self::IdempotentRequests => IDEMPOTENT_REQUEST_AGE,
            // Much longer than they can be confirmed, so that a late confirmation is answered with "expired".
            Self::BulkPreviews => Duration::from_hours(2),
            // It counts from the first byte, which may be hours older than the completion of the file.
            Self::ExportFiles => EXPORT_DOWNLOAD_TIME + Duration::from_hours(3),
            // Exports: much longer than the file, so that a late download is answered with "expired" instead of "not found".
            // Results: until then, what two runs of a day have found can be compared.
            // Sessions: until then, who was signed in can be looked up. Names may be e-mail addresses, so not longer.
            // Deliveries: until then, they can be replayed. Bulk actions: until then, one that was stopped can be continued.
            // Views: no one can read them any more, but a key may have expired by mistake.
            Self::Ticks
            | Self::Exports
            | Self::ExportedRows
            | Self::SupersededResults
            | Self::Sessions
            | Self::SavedViews
            | Self::WebhookDeliveries
            | Self::BulkActions => days(30),
            // A record that could not be parsed may be a payment that is stored nowhere else, so a person gets 90 days to act.
            // It may also name a payer, so it is not kept longer. The runs that it names are kept as long.
            // Alerts and reports are compared over a quarter of a year.
            Self::Quarantine
            | Self::UnreadablePages
            | Self::SyncRuns
            | Self::ReconciliationRuns
            | Self::Alerts
            | Self::ReportRuns => days(90),
            // Rates are still needed for payments of a year ago, if a person syncs old days.
            Self::ExchangeRates => days(400),
            // An audit covers a year, and takes place some months after it.
            Self::Audit | Self::AuditLog | Self::Balances => days(500),
        }
    }
}

const fn rule(table: &'static str, retention: Retention) -> RetentionRule {
    RetentionRule { table, retention }
}

/// The rule of every table. Rows are deleted in this order: those of the object store last, because it may be unavailable
/// while the database is not.
pub const RETENTION: [RetentionRule; 63] = {
    use ExpiringRows as Rows;
    use Retention::{Bounded, DeletedWith, Expires, Kept};
    [
        rule("transactions", Kept("the payments, which providers list only for a limited time")),
        rule("transaction_changes", Kept("the history of each payment, which no provider has")),
        rule("metric_cells", Kept("the sums of all payments, from which metrics of any period are answered")),
        rule("packed_days", Kept("two short rows per day, which tell whether its packed cells are current")),
        rule("packed_cells", Kept("a copy of the cells of finished days, which is read faster")),
        rule("payment_day_versions", Kept("two short rows per day, which keep cached answers valid")),
        rule("discrepancies", Kept("the decisions of people, with what they were about")),
        rule("discrepancy_changes", Kept("who decided what, when and why")),
        rule("reconciliation_runs", Expires(&[Rows::ReconciliationRuns])),
        rule("reconciliation_results", Expires(&[Rows::SupersededResults])),
        rule("payment_versions", Bounded("the sources")),
        rule("rollup_cells", Bounded("no longer written; a later release drops it")),
        rule("sync_streams", Bounded("the sources")),
        rule("sync_cursor_marks", Expires(&[Rows::CursorMarks])),
        rule("sync_runs", Expires(&[Rows::SyncRuns])),
        rule("payment_rechecks", Bounded("the open payments of the last 30 days; each run deletes the others")),
        rule("rules_generations", Kept("one short row per release and setting that reads records differently")),
        rule("provider_sessions", Bounded("the accounts in use; a login deletes the expired sessions of others")),
        rule("login_locks", Bounded("the accounts that log in")),
        rule("refused_logins", Bounded("the accounts in use; a refusal deletes those of others that are over")),
        rule("request_slots", Bounded("the providers with a rate limit")),
        rule("quarantine", Expires(&[Rows::Quarantine])),
        rule("unreadable_pages", Expires(&[Rows::UnreadablePages])),
        rule("jobs", Expires(&[Rows::Jobs, Rows::FailedJobs])),
        rule("job_attempts", DeletedWith("jobs")),
        rule("job_leases", Bounded("the running jobs")),
        rule("queue_pauses", Bounded("the queues")),
        rule("queue_minutes", Bounded("the queues, and the minutes of three days; each minute deletes older ones")),
        rule("schedules", Bounded("the schedule; schedulers delete entries that none of them has")),
        rule("schedule_ticks", Expires(&[Rows::Ticks])),
        rule("processes", Expires(&[Rows::Processes])),
        rule("events", Expires(&[Rows::Events])),
        rule("exchange_rates", Expires(&[Rows::ExchangeRates])),
        rule("payshack_lists", Bounded("the lists of the directory")),
        rule("payshack_clients", Bounded("PayShack's clients")),
        rule("payshack_resellers", Bounded("PayShack's resellers")),
        rule("payshack_service_providers", Bounded("PayShack's service providers")),
        rule("payshack_balances", Expires(&[Rows::Balances])),
        rule("api_keys", Bounded("the keys that people create; a revoked key stays, for the audit")),
        rule("sessions", Expires(&[Rows::Sessions])),
        rule("idempotent_requests", Expires(&[Rows::IdempotentRequests])),
        rule("cursor_key", Bounded("one row")),
        rule("audit_entries", Expires(&[Rows::Audit])),
        rule("audit_log", Expires(&[Rows::AuditLog])),
        rule("audit_anchors", Kept("one short row per removal of expired audit entries, to verify the others")),
        rule("audit_head", Bounded("one row")),
        rule("erased_identifiers", Kept("short digests, so that a person who was erased is not stored again")),
        rule("erasure_key", Bounded("one row")),
        rule("webhooks", Bounded("the endpoints that people create")),
        rule("webhook_deliveries", Expires(&[Rows::WebhookDeliveries])),
        rule("alert_rules", Bounded("the rules that people create")),
        rule("alert_states", Bounded("the rules, and the projects and sources that they watch")),
        rule("alerts", Expires(&[Rows::Alerts])),
        rule("alert_notifications", DeletedWith("alerts")),
        rule("bulk_actions", Expires(&[Rows::BulkPreviews, Rows::BulkActions])),
        rule("bulk_action_batches", DeletedWith("bulk_actions")),
        rule("bulk_action_skips", DeletedWith("bulk_actions")),
        rule("report_schedules", Bounded("the schedules that people create")),
        rule("report_runs", Expires(&[Rows::ReportRuns])),
        rule("saved_views", Expires(&[Rows::SavedViews])),
        rule("exports", Expires(&[Rows::Exports])),
        rule("exported_rows", Expires(&[Rows::ExportedRows])),
        rule("export_pieces", Expires(&[Rows::ExportFiles])),
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_expiring_rows_belong_to_one_table() {
        let named = |rows: ExpiringRows| {
            let of_table =
                |rule: &&RetentionRule| matches!(rule.retention, Retention::Expires(all) if all.contains(&rows));
            RETENTION.iter().filter(of_table).count()
        };
        for rows in ExpiringRows::ALL {
            assert_eq!(named(rows), 1, "{rows:?}");
        }
    }

    #[test]
    fn cursor_marks_are_kept_longer_than_the_overlap() {
        let settings = |hours| RetentionSettings {
            jobs: Duration::ZERO,
            failed_jobs: Duration::ZERO,
            vima_overlap: Duration::from_hours(hours),
        };
        for (overlap_hours, expected_hours) in [(0, 96), (95, 96), (96, 97), (200, 201)] {
            let age = ExpiringRows::CursorMarks.max_age(&settings(overlap_hours));
            assert_eq!(age, Duration::from_hours(expected_hours), "{overlap_hours}");
        }
    }
}
