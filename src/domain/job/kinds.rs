//! The kinds of job.
//!
//! A kind is plain data: a new one needs a constant here and a handler in `jobs`, and tests can define their own kinds.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::backoff::Backoff;

use serde_json::Value;

use crate::domain::string_enum::string_enum;
use crate::domain::sync::SyncArgs;
use crate::domain::transaction::Source;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobKind {
    /// Must never change: rows outlive deployments.
    pub name: &'static str,
    pub queue: &'static str,
    /// The maximum duration of one attempt.
    pub timeout: Duration,
    pub max_attempts: u32,
    /// The delays between attempts.
    pub backoff: Backoff,
    /// Jobs with the same key run one at a time, across all workers.
    pub limit_key: Option<&'static str>,
    /// How its suspects run.
    pub suspects: SuspectPolicy,
}

/// How jobs of a kind run whose worker has died: alone in a process, and so one after another. Jobs that end within seconds
/// must not wait for jobs that take hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuspectPolicy {
    /// They end within seconds. One that runs for longer than `budget` is handed back, and continues after the other short
    /// suspects: whatever it commits must count for its next attempt.
    Short { budget: Duration },
    /// They may take as long as the timeout of the kind. The shortest timeout comes first.
    Long,
}

string_enum! {
    /// Which suspects a process runs.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum SuspectLength {
        Short = "short",
        Long = "long",
    }
}

const SHORT: SuspectPolicy = SuspectPolicy::Short { budget: Duration::from_mins(5) };

pub const SYNC_VIMA: JobKind = JobKind {
    name: "sync-vima",
    queue: "sync",
    timeout: Duration::from_hours(6),
    max_attempts: 8,
    // The cap is the interval between ticks: a provider that recovers is read as soon as it would be without the failure.
    backoff: Backoff { base: Duration::from_secs(2), cap: Duration::from_mins(1) },
    limit_key: Some("sync-vima"),
    suspects: SHORT,
};

pub const SYNC_PAYSHACK: JobKind = JobKind { name: "sync-payshack", limit_key: Some("sync-payshack"), ..SYNC_VIMA };

/// Syncs the `PayShack` directory: three requests, repeated at the next tick, so a long retry is not worth it.
pub const SYNC_PAYSHACK_METADATA: JobKind = JobKind {
    name: "sync-payshack-metadata",
    timeout: Duration::from_mins(10),
    max_attempts: 5,
    limit_key: Some("sync-payshack-metadata"),
    ..SYNC_VIMA
};

pub const REPLAY_QUARANTINE: JobKind = JobKind {
    name: "replay-quarantine",
    queue: "sync",
    timeout: Duration::from_hours(1),
    max_attempts: 5,
    backoff: Backoff { base: Duration::from_secs(2), cap: Duration::from_mins(1) },
    limit_key: Some("replay-quarantine"),
    suspects: SuspectPolicy::Long,
};

/// Reconciles a day. One at a time, because each reads all payments of several days.
pub const RECONCILE: JobKind = JobKind {
    name: "reconcile",
    queue: "reconciliation",
    timeout: Duration::from_hours(1),
    max_attempts: 6,
    backoff: Backoff { base: Duration::from_secs(2), cap: Duration::from_mins(2) },
    limit_key: Some("reconcile"),
    suspects: SuspectPolicy::Long,
};

/// Creates the file of an export. No limit: each reads its own snapshot.
pub const EXPORT: JobKind = JobKind {
    name: "export",
    queue: "export",
    timeout: Duration::from_hours(2),
    max_attempts: 5,
    backoff: Backoff { base: Duration::from_secs(2), cap: Duration::from_mins(2) },
    limit_key: None,
    suspects: SuspectPolicy::Long,
};

/// Delivers the messages of one webhook, one after another, for some seconds; the receiver's failures are retried by the
/// schedule of the message, not of the job.
pub const DELIVER_WEBHOOK: JobKind = JobKind {
    name: "deliver-webhook",
    queue: "webhooks",
    timeout: Duration::from_mins(2),
    max_attempts: 5,
    backoff: Backoff { base: Duration::from_secs(2), cap: Duration::from_mins(1) },
    limit_key: Some("deliver-webhook"),
    suspects: SHORT,
};

/// Evaluates the alert rules. It is repeated at the next minute, so a long retry is not worth it.
pub const EVALUATE_ALERTS: JobKind = JobKind {
    name: "evaluate-alerts",
    queue: "alerts",
    timeout: Duration::from_mins(5),
    max_attempts: 3,
    backoff: Backoff { base: Duration::from_secs(5), cap: Duration::from_secs(20) },
    limit_key: Some("evaluate-alerts"),
    suspects: SHORT,
};

/// Sends a message about an alert to one channel, for some hours.
pub const DELIVER_NOTIFICATION: JobKind = JobKind {
    name: "deliver-notification",
    queue: "alerts",
    timeout: Duration::from_mins(1),
    max_attempts: 15,
    backoff: Backoff { base: Duration::from_secs(5), cap: Duration::from_mins(30) },
    limit_key: None,
    suspects: SHORT,
};

/// Turns the times of report schedules that have come into runs. It is repeated at the next minute, so a long retry is not worth it.
pub const RUN_REPORT_SCHEDULES: JobKind = JobKind {
    name: "run-report-schedules",
    queue: "reports",
    timeout: Duration::from_mins(5),
    max_attempts: 3,
    backoff: Backoff { base: Duration::from_secs(5), cap: Duration::from_secs(20) },
    limit_key: Some("run-report-schedules"),
    suspects: SHORT,
};

/// Creates a report and delivers it, for some hours. A large file is copied to an object store.
pub const DELIVER_REPORT: JobKind = JobKind {
    name: "deliver-report",
    queue: "reports",
    timeout: Duration::from_mins(30),
    max_attempts: 15,
    backoff: Backoff { base: Duration::from_secs(5), cap: Duration::from_mins(30) },
    limit_key: None,
    suspects: SuspectPolicy::Long,
};

/// Carries out a bulk action that a person has confirmed, a batch per transaction. Half a million jobs take some minutes.
pub const RUN_BULK_ACTION: JobKind = JobKind {
    name: "run-bulk-action",
    queue: "bulk-actions",
    timeout: Duration::from_hours(3),
    max_attempts: 5,
    backoff: Backoff { base: Duration::from_secs(2), cap: Duration::from_mins(2) },
    limit_key: None,
    suspects: SuspectPolicy::Long,
};

/// Deletes expired data.
pub const HOUSEKEEPING: JobKind = JobKind {
    name: "housekeeping",
    queue: "maintenance",
    timeout: Duration::from_mins(10),
    max_attempts: 3,
    backoff: Backoff { base: Duration::from_secs(10), cap: Duration::from_mins(2) },
    limit_key: Some("housekeeping"),
    suspects: SHORT,
};

/// Fetches exchange rates, and sets the missing US dollar amounts of payments.
pub const REFRESH_FX_RATES: JobKind = JobKind {
    name: "refresh-fx-rates",
    queue: "maintenance",
    timeout: Duration::from_mins(10),
    max_attempts: 4,
    backoff: Backoff { base: Duration::from_secs(10), cap: Duration::from_mins(5) },
    limit_key: Some("refresh-fx-rates"),
    suspects: SHORT,
};

/// Rebuilds the metric rollups from the payments, a day at a time. A day of a million payments takes a minute or two.
pub const REBUILD_ROLLUPS: JobKind = JobKind {
    name: "rebuild-rollups",
    queue: "maintenance",
    timeout: Duration::from_hours(6),
    max_attempts: 6,
    backoff: Backoff { base: Duration::from_secs(10), cap: Duration::from_mins(5) },
    limit_key: Some("rebuild-rollups"),
    suspects: SuspectPolicy::Long,
};

/// Every kind of job in production.
pub const KINDS: [&JobKind; 15] = [
    &SYNC_VIMA,
    &SYNC_PAYSHACK,
    &SYNC_PAYSHACK_METADATA,
    &REPLAY_QUARANTINE,
    &RECONCILE,
    &EXPORT,
    &DELIVER_WEBHOOK,
    &EVALUATE_ALERTS,
    &DELIVER_NOTIFICATION,
    &RUN_REPORT_SCHEDULES,
    &DELIVER_REPORT,
    &RUN_BULK_ACTION,
    &REFRESH_FX_RATES,
    &REBUILD_ROLLUPS,
    &HOUSEKEEPING,
];

impl JobKind {
    #[must_use]
    pub fn sync_of(source: Source) -> &'static Self {
        match source {
            Source::Vima => &SYNC_VIMA,
            Source::Payshack => &SYNC_PAYSHACK,
        }
    }

    /// The source that the kind syncs.
    #[must_use]
    pub fn source(&self) -> Option<Source> {
        Source::ALL.into_iter().find(|source| Self::sync_of(*source) == self)
    }

    /// The source that the kind of this name syncs.
    #[must_use]
    pub fn source_of(name: &str) -> Option<Source> {
        Self::from_name(name).and_then(Self::source)
    }

    /// The limit key of a job with these arguments. A sync of historical days has another key than the incremental sync of
    /// the source, which must never wait for it. Each webhook, and each test delivery, has a key of its own.
    #[must_use]
    pub fn limit_key_for(&self, args: &Value) -> Option<String> {
        if *self == DELIVER_WEBHOOK {
            let id = ["delivery_id", "webhook_id"].iter().find_map(|name| args.get(name)?.as_str());
            return self.limit_key.map(|key| format!("{key}-{}", id.unwrap_or_default()));
        }
        let is_incremental = || matches!(serde_json::from_value(args.clone()), Ok(SyncArgs::Incremental));
        let days = self.source().is_some() && !is_incremental();
        self.limit_key.map(|key| if days { days_key(key) } else { key.to_owned() })
    }

    /// The limit keys (or the names, if they have none) of the jobs of `kinds` that are long as suspects, the shortest timeout
    /// first. Syncs of historical days are, whatever their kind says.
    #[must_use]
    pub fn long_keys(kinds: impl Iterator<Item = &'static Self>) -> Vec<String> {
        let mut kinds: Vec<&Self> = kinds.collect();
        kinds.sort_by_key(|kind| kind.timeout);
        let key = |kind: &Self| {
            let key = kind.limit_key.unwrap_or(kind.name);
            let days = kind.source().map(|_| days_key(key));
            days.or_else(|| (kind.suspects == SuspectPolicy::Long).then(|| key.to_owned()))
        };
        kinds.into_iter().filter_map(key).collect()
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<&'static Self> {
        KINDS.into_iter().find(|kind| kind.name == name)
    }

    /// The queues of all kinds, without duplicates.
    #[must_use]
    pub fn queues() -> BTreeSet<&'static str> {
        KINDS.into_iter().map(|kind| kind.queue).collect()
    }
}

/// The limit key of syncs of historical days, from that of the source's incremental syncs.
fn days_key(key: &str) -> String {
    format!("{key}-days")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_suspects_are_those_that_take_minutes_shortest_timeout_first() {
        let expected = [
            "deliver-report",
            "replay-quarantine",
            "reconcile",
            "export",
            "run-bulk-action",
            "sync-vima-days",
            "sync-payshack-days",
            "rebuild-rollups",
        ];
        assert_eq!(JobKind::long_keys(KINDS.into_iter()), expected);
    }

    #[test]
    fn kinds_are_found_by_their_names() {
        for kind in KINDS {
            assert_eq!(JobKind::from_name(kind.name), Some(kind));
        }
    }
}
