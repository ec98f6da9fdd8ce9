//! Jobs, their states and triggers. The kinds of job are in `kinds`.

pub mod attempt;
mod kinds;
pub mod waiting;

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::reconciliation::ReconcileArgs;
use super::replay::Replay;
use super::string_enum::string_enum;
use super::sync::SyncArgs;
use super::transaction::Source;

pub use kinds::{
    DELIVER_NOTIFICATION, DELIVER_REPORT, DELIVER_WEBHOOK, EVALUATE_ALERTS, EXPORT, HOUSEKEEPING, JobKind, KINDS,
    REBUILD_ROLLUPS, RECONCILE, REFRESH_FX_RATES, REPLAY_QUARANTINE, RUN_BULK_ACTION, RUN_REPORT_SCHEDULES,
    SYNC_PAYSHACK, SYNC_PAYSHACK_METADATA, SYNC_VIMA, SuspectLength, SuspectPolicy,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl fmt::Display for JobId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// A worker's claim on a job, which permits it to write the job's results.
///
/// Every claim increases the epoch: a worker that was presumed dead and resumes has an outdated epoch, and all its
/// writes are rejected (fencing).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    pub job_id: JobId,
    pub epoch: i64,
}

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum JobState {
        /// Due, and waiting for a worker.
        Queued = "queued",
        /// Not due yet.
        Scheduled = "scheduled",
        /// Claimed by a worker.
        Running = "running",
        /// An attempt failed; the next one is due later.
        Retrying = "retrying",
        Succeeded = "succeeded",
        /// Failed, and not retried.
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

impl JobState {
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

string_enum! {
    /// What created a job.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Trigger {
        Schedule = "schedule",
        /// A request of the API.
        Api = "api",
        /// A command of `psp-jobs`.
        Cli = "cli",
        /// A person who retried a finished job.
        Retry = "retry",
    }
}

impl Trigger {
    #[must_use]
    pub fn priority(self) -> Priority {
        match self {
            Self::Schedule => Priority::Scheduled,
            Self::Api | Self::Cli | Self::Retry => Priority::Interactive,
        }
    }
}

/// Due jobs with a smaller number are claimed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// A person waits for it.
    Interactive = 0,
    Scheduled = 10,
    /// Historical days, which can wait.
    Backfill = 20,
}

impl Priority {
    /// The most urgent first.
    pub const ALL: [Self; 3] = [Self::Interactive, Self::Scheduled, Self::Backfill];
}

/// The arguments of a `deliver-webhook` job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookArgs {
    pub webhook_id: Uuid,
    /// Only this delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<Uuid>,
}

/// The arguments of a `deliver-notification` job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotificationArgs {
    pub notification_id: Uuid,
}

/// The arguments of a `deliver-report` job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportArgs {
    pub run_id: Uuid,
}

/// The arguments of a `run-bulk-action` job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BulkActionArgs {
    pub bulk_action_id: Uuid,
}

/// A job to enqueue.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    pub kind: &'static JobKind,
    pub args: Value,
    /// If an unfinished job of the kind has the same key, no new job is created.
    pub unique_key: Option<String>,
    /// Create the job even then; it runs after the unfinished one.
    pub force: bool,
    pub trigger: Trigger,
    /// The person or key that requested it.
    pub requested_by: Option<String>,
    /// The tick of the schedule that it was created for.
    pub scheduled_for: Option<DateTime<Utc>>,
    pub priority: Priority,
    /// The time until it is due.
    pub delay: Duration,
    /// Jobs with the same key run one at a time, across all workers.
    pub limit_key: Option<String>,
}

impl NewJob {
    #[must_use]
    pub fn sync(source: Source, args: &SyncArgs, trigger: Trigger) -> Self {
        let unique_key = Some(args.unique_key());
        Self { unique_key, ..Self::with_args(JobKind::sync_of(source), serde_json::json!(args), trigger) }
    }

    #[must_use]
    pub fn replay(replay: Replay, trigger: Trigger) -> Self {
        Self::with_args(&REPLAY_QUARANTINE, serde_json::json!(replay), trigger)
    }

    #[must_use]
    pub fn reconcile(args: ReconcileArgs, trigger: Trigger) -> Self {
        Self::with_args(&RECONCILE, serde_json::json!(args), trigger)
    }

    /// Delivers what is due for a webhook.
    #[must_use]
    pub fn deliver_webhook(webhook_id: Uuid) -> Self {
        let args = WebhookArgs { webhook_id, delivery_id: None };
        Self::with_args(&DELIVER_WEBHOOK, serde_json::json!(args), Trigger::Schedule)
    }

    /// Sends a message about an alert to one channel.
    #[must_use]
    pub fn deliver_notification(notification_id: Uuid) -> Self {
        Self::with_args(
            &DELIVER_NOTIFICATION,
            serde_json::json!(NotificationArgs { notification_id }),
            Trigger::Schedule,
        )
    }

    /// Creates and delivers the report of a run.
    #[must_use]
    pub fn deliver_report(run_id: Uuid, trigger: Trigger) -> Self {
        Self::with_args(&DELIVER_REPORT, serde_json::json!(ReportArgs { run_id }), trigger)
    }

    /// Makes one test delivery, without waiting for others.
    #[must_use]
    pub fn test_webhook(webhook_id: Uuid, delivery_id: Uuid) -> Self {
        let args = WebhookArgs { webhook_id, delivery_id: Some(delivery_id) };
        Self::with_args(&DELIVER_WEBHOOK, serde_json::json!(args), Trigger::Api)
    }

    /// Deduplicated with any unfinished job of the kind.
    #[must_use]
    pub fn without_args(kind: &'static JobKind, trigger: Trigger) -> Self {
        Self::with_args(kind, serde_json::json!({}), trigger)
    }

    /// Deduplicated with an unfinished job of the kind that has the same arguments.
    #[must_use]
    pub fn with_args(kind: &'static JobKind, args: Value, trigger: Trigger) -> Self {
        Self {
            kind,
            unique_key: Some(args.to_string()),
            limit_key: kind.limit_key_for(&args),
            args,
            force: false,
            trigger,
            requested_by: None,
            scheduled_for: None,
            priority: trigger.priority(),
            delay: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_that_read_days_have_a_separate_limit_key() {
        let day = "2026-01-15".parse().expect("a day");
        for (args, limit_key) in [
            (SyncArgs::Incremental, "sync-payshack"),
            (SyncArgs::Full, "sync-payshack-days"),
            (SyncArgs::Range { from_date: day, to_date: day }, "sync-payshack-days"),
        ] {
            let job = NewJob::sync(Source::Payshack, &args, Trigger::Api);
            let retried = NewJob::with_args(job.kind, job.args.clone(), Trigger::Retry);
            assert_eq!(
                (job.limit_key.as_deref(), retried.limit_key.as_deref()),
                (Some(limit_key), Some(limit_key)),
                "{args:?}"
            );
        }
        assert_eq!(NewJob::without_args(&HOUSEKEEPING, Trigger::Cli).limit_key.as_deref(), Some("housekeeping"));
    }

    #[test]
    fn webhooks_do_not_wait_for_each_other() {
        let [first, second, test] = [1, 2, 3].map(Uuid::from_u128);
        let keys = [
            NewJob::deliver_webhook(first),
            NewJob::deliver_webhook(second),
            NewJob::test_webhook(first, test),
            NewJob::test_webhook(second, test),
        ];
        let keys = keys.map(|job| job.limit_key.expect("a limit"));
        assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[2] == keys[3], "{keys:?}");
    }

    #[test]
    fn interactive_jobs_have_priority() {
        assert!(Trigger::Api.priority() < Trigger::Schedule.priority());
        assert!(Trigger::Schedule.priority() < Priority::Backfill);
    }
}
