//! Jobs: which kinds there are, how each is treated, and the states one goes through.
//!
//! A kind is plain data, so that a new one is a constant here and a handler in `jobs`, and so that a test can bring kinds
//! of its own that production never knows.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::reconciliation::ReconcileArgs;
use super::replay::Replay;
use super::sync::SyncArgs;
use super::transaction::Source;

/// How a kind of job is treated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobKind {
    /// Its name, for ever: rows outlive deployments.
    pub name: &'static str,
    /// The queue it waits in.
    pub queue: &'static str,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How many attempts it gets.
    pub max_attempts: u32,
    /// How long it waits between them.
    pub backoff: Backoff,
    /// Jobs that share it run one at a time, across all workers.
    pub limit: Option<&'static str>,
}

/// Reads Vima.
pub const SYNC_VIMA: JobKind = JobKind {
    name: "sync-vima",
    queue: "sync",
    timeout: Duration::from_hours(6),
    max_attempts: 8,
    // No longer than the ticks are apart: a provider that is back is read as soon as it would be without the failure.
    backoff: Backoff { base: Duration::from_secs(2), cap: Duration::from_mins(1) },
    limit: Some("sync-vima"),
};

/// Reads `PayShack`'s pay-ins and pay-outs.
pub const SYNC_PAYSHACK: JobKind = JobKind { name: "sync-payshack", limit: Some("sync-payshack"), ..SYNC_VIMA };

/// Reads who takes part at `PayShack`. Three answers, read again at the next tick: a long wait for them is in vain.
pub const SYNC_PAYSHACK_METADATA: JobKind = JobKind {
    name: "sync-payshack-metadata",
    timeout: Duration::from_mins(10),
    max_attempts: 5,
    limit: Some("sync-payshack-metadata"),
    ..SYNC_VIMA
};

/// Reads again what could not be read.
pub const REPLAY_QUARANTINE: JobKind = JobKind {
    name: "replay-quarantine",
    queue: "sync",
    timeout: Duration::from_hours(1),
    max_attempts: 5,
    backoff: Backoff { base: Duration::from_secs(2), cap: Duration::from_mins(1) },
    limit: Some("replay-quarantine"),
};

/// Reconciles a day. One at a time: each reads all the payments of days.
pub const RECONCILE: JobKind = JobKind {
    name: "reconcile",
    queue: "reconciliation",
    timeout: Duration::from_hours(1),
    max_attempts: 6,
    backoff: Backoff { base: Duration::from_secs(2), cap: Duration::from_mins(2) },
    limit: Some("reconcile"),
};

/// Clears away what is no longer needed.
pub const HOUSEKEEPING: JobKind = JobKind {
    name: "housekeeping",
    queue: "maintenance",
    timeout: Duration::from_mins(10),
    max_attempts: 3,
    backoff: Backoff { base: Duration::from_secs(10), cap: Duration::from_mins(2) },
    limit: Some("housekeeping"),
};

/// Fetches exchange rates, and values the payments that waited for one.
pub const REFRESH_FX_RATES: JobKind = JobKind {
    name: "refresh-fx-rates",
    queue: "maintenance",
    timeout: Duration::from_mins(10),
    max_attempts: 4,
    backoff: Backoff { base: Duration::from_secs(10), cap: Duration::from_mins(5) },
    limit: Some("refresh-fx-rates"),
};

/// Every kind of job there is in production.
pub const KINDS: [&JobKind; 7] = [
    &SYNC_VIMA,
    &SYNC_PAYSHACK,
    &SYNC_PAYSHACK_METADATA,
    &REPLAY_QUARANTINE,
    &RECONCILE,
    &REFRESH_FX_RATES,
    &HOUSEKEEPING,
];

impl JobKind {
    /// The kind that reads `source`.
    #[must_use]
    pub fn sync_of(source: Source) -> &'static Self {
        match source {
            Source::Vima => &SYNC_VIMA,
            Source::Payshack => &SYNC_PAYSHACK,
        }
    }

    /// The source that it reads, if it reads one.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        Source::ALL.into_iter().find(|source| Self::sync_of(*source) == self)
    }

    /// The source that jobs of the kind of this name read, if they read one.
    #[must_use]
    pub fn source_of(name: &str) -> Option<Source> {
        Self::from_name(name).and_then(Self::source)
    }

    /// What a job that is told `args` shares with those that it must not run beside. A sync that reads old days runs beside
    /// the one that follows what is new, which must never wait for it: each has a lane of its own.
    #[must_use]
    pub fn limit_of(&self, args: &Value) -> Option<String> {
        let follows = || matches!(serde_json::from_value(args.clone()), Ok(SyncArgs::Incremental));
        let days = self.source().is_some() && !follows();
        self.limit.map(|limit| if days { format!("{limit}-days") } else { limit.to_owned() })
    }

    /// The kind of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<&'static Self> {
        KINDS.into_iter().find(|kind| kind.name == name)
    }

    /// The queues of all kinds, each once.
    #[must_use]
    pub fn queues() -> BTreeSet<&'static str> {
        KINDS.into_iter().map(|kind| kind.queue).collect()
    }
}

/// Exponential, with full jitter: the wait before try n is anything up to `base * 2^(n-1)`, at most `cap`.
///
/// Full jitter spreads the tries of many jobs better than any other (AWS Architecture Blog, "Exponential Backoff And
/// Jitter").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The longest first wait.
    pub base: Duration,
    /// The longest wait of all.
    pub cap: Duration,
}

impl Backoff {
    /// The wait after `attempt` attempts, where `chance` is in 0..1.
    #[must_use]
    pub fn delay(&self, attempt: u32, chance: f64) -> Duration {
        let doublings = attempt.saturating_sub(1).min(30);
        self.base.saturating_mul(1 << doublings).min(self.cap).mul_f64(chance.clamp(0.0, 1.0))
    }
}

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

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// It waits for a worker.
    Queued,
    /// It waits for its time.
    Scheduled,
    /// A worker has it.
    Running,
    /// An attempt has failed; it waits for the next.
    Retrying,
    /// It is done.
    Succeeded,
    /// It has failed for good.
    Failed,
    /// It was told to stop.
    Cancelled,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 7] =
        [Self::Queued, Self::Scheduled, Self::Running, Self::Retrying, Self::Succeeded, Self::Failed, Self::Cancelled];

    /// The name in the contract and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether it has come to its end.
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// What made a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// A tick of the schedule.
    Schedule,
    /// A request.
    Api,
    /// A command.
    Cli,
    /// A person who wanted a finished one done again.
    Retry,
}

impl Trigger {
    /// Everything that makes jobs.
    pub const ALL: [Self; 4] = [Self::Schedule, Self::Api, Self::Cli, Self::Retry];

    /// The name in the contract and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Api => "api",
            Self::Cli => "cli",
            Self::Retry => "retry",
        }
    }

    /// The trigger of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|trigger| trigger.as_str() == name)
    }

    /// Who waits for it decides who comes first.
    #[must_use]
    pub fn priority(self) -> Priority {
        match self {
            Self::Schedule => Priority::Scheduled,
            Self::Api | Self::Cli | Self::Retry => Priority::Person,
        }
    }
}

/// Which of two due jobs is claimed first: the smaller number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody waits for it.
    Person = 0,
    /// Its time has come.
    Scheduled = 10,
    /// Old days, that nobody waits for.
    Backfill = 20,
}

impl Priority {
    /// Every priority, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Person, Self::Scheduled, Self::Backfill];
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
    pub fn plain(kind: &'static JobKind, trigger: Trigger) -> Self {
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
    fn the_backoff_doubles_up_to_its_cap() {
        let backoff = Backoff { base: Duration::from_secs(2), cap: Duration::from_mins(1) };
        let longest: Vec<u64> = (1..8).map(|attempt| backoff.delay(attempt, 1.0).as_secs()).collect();
        assert_eq!(longest, [2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff.delay(u32::MAX, 0.5), Duration::from_secs(30));
        assert_eq!(backoff.delay(3, 0.0), Duration::ZERO);
    }

    #[test]
    fn kinds_are_found_by_their_names() {
        for kind in KINDS {
            assert_eq!(JobKind::from_name(kind.name), Some(kind));
        }
    }

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
        assert_eq!(NewJob::plain(&HOUSEKEEPING, Trigger::Cli).limit.as_deref(), Some("housekeeping"));
    }

    #[test]
    fn people_come_first() {
        assert!(Trigger::Api.priority() < Trigger::Schedule.priority());
        assert!(Trigger::Schedule.priority() < Priority::Backfill);
    }
}
