//! Jobs: what makes one, and the states that it goes through. Which kinds there are, and how each is treated, stands in `kinds`.

pub mod attempt;
mod kinds;

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
    EXPORT, HOUSEKEEPING, JobKind, KINDS, REBUILD_ROLLUPS, RECONCILE, REFRESH_FX_RATES, REPLAY_QUARANTINE,
    SYNC_PAYSHACK, SYNC_PAYSHACK_METADATA, SYNC_VIMA,
};

/// A job's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl fmt::Display for JobId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// The right to write in the name of a job: its id, and the epoch of the claim.
///
/// Every claim raises the epoch, so that a worker that was thought dead and comes back holds an old one and can write
/// nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The job.
    pub job_id: JobId,
    /// The claim's number.
    pub epoch: i64,
}

string_enum! {
    /// Where a job stands.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum JobState {
        /// It waits for a worker.
        Queued = "queued",
        /// It waits for its time.
        Scheduled = "scheduled",
        /// A worker has it.
        Running = "running",
        /// An attempt has failed; it waits for the next.
        Retrying = "retrying",
        /// It is done.
        Succeeded = "succeeded",
        /// It has failed for good.
        Failed = "failed",
        /// It was told to stop.
        Cancelled = "cancelled",
    }
}

impl JobState {
    /// Whether it has come to its end.
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

string_enum! {
    /// What made a job.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Trigger {
        /// A tick of the schedule.
        Schedule = "schedule",
        /// A request.
        Api = "api",
        /// A command.
        Cli = "cli",
        /// A person who wanted a finished one done again.
        Retry = "retry",
    }
}

impl Trigger {
    /// Who waits for it decides who comes first.
    #[must_use]
    pub fn priority(self) -> Priority {
        match self {
            Self::Schedule => Priority::Scheduled,
            Self::Api | Self::Cli | Self::Retry => Priority::Interactive,
        }
    }
}

/// Which of two due jobs is claimed first: the smaller number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody waits for it.
    Interactive = 0,
    /// Its time has come.
    Scheduled = 10,
    /// Old days, that nobody waits for.
    Backfill = 20,
}

impl Priority {
    /// Every priority, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Interactive, Self::Scheduled, Self::Backfill];
}

/// A job that is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Its kind.
    pub kind: &'static JobKind,
    /// What the handler is told.
    pub args: Value,
    /// A live job of the kind with the same key is joined.
    pub unique_key: Option<String>,
    /// Queue one behind a live one, rather than join it.
    pub force: bool,
    /// What made it.
    pub trigger: Trigger,
    /// Who asked for it, where somebody did.
    pub requested_by: Option<String>,
    /// The tick it stands for.
    pub scheduled_for: Option<DateTime<Utc>>,
    /// Which of two due jobs comes first.
    pub priority: Priority,
    /// How long it waits before it is due.
    pub delay: Duration,
    /// Jobs that share it run one at a time, across all workers.
    pub limit: Option<String>,
}

impl NewJob {
    /// A sync of `source`.
    #[must_use]
    pub fn sync(source: Source, args: &SyncArgs, trigger: Trigger) -> Self {
        let unique_key = Some(args.unique_key());
        Self { unique_key, ..Self::with_args(JobKind::sync_of(source), serde_json::json!(args), trigger) }
    }

    /// A replay of the quarantine.
    #[must_use]
    pub fn replay(replay: Replay, trigger: Trigger) -> Self {
        Self::with_args(&REPLAY_QUARANTINE, serde_json::json!(replay), trigger)
    }

    /// A reconciliation.
    #[must_use]
    pub fn reconcile(args: ReconcileArgs, trigger: Trigger) -> Self {
        Self::with_args(&RECONCILE, serde_json::json!(args), trigger)
    }

    /// A job of `kind` without arguments, one at a time.
    #[must_use]
    pub fn without_args(kind: &'static JobKind, trigger: Trigger) -> Self {
        Self::with_args(kind, serde_json::json!({}), trigger)
    }

    /// A job of `kind` that is told `args`; a live one that was told the same is joined.
    #[must_use]
    pub fn with_args(kind: &'static JobKind, args: Value, trigger: Trigger) -> Self {
        Self {
            kind,
            unique_key: Some(args.to_string()),
            limit: kind.limit_of(&args),
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
    fn old_days_have_a_lane_of_their_own() {
        let day = "2026-01-15".parse().expect("a day");
        for (args, limit) in [
            (SyncArgs::Incremental, "sync-payshack"),
            (SyncArgs::Full, "sync-payshack-days"),
            (SyncArgs::Range { from_date: day, to_date: day }, "sync-payshack-days"),
        ] {
            let job = NewJob::sync(Source::Payshack, &args, Trigger::Api);
            let anew = NewJob::with_args(job.kind, job.args.clone(), Trigger::Retry);
            assert_eq!((job.limit.as_deref(), anew.limit.as_deref()), (Some(limit), Some(limit)), "{args:?}");
        }
        assert_eq!(NewJob::without_args(&HOUSEKEEPING, Trigger::Cli).limit.as_deref(), Some("housekeeping"));
    }

    #[test]
    fn people_come_first() {
        assert!(Trigger::Api.priority() < Trigger::Schedule.priority());
        assert!(Trigger::Schedule.priority() < Priority::Backfill);
    }
}
