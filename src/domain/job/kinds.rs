//! Which kinds of job there are, and how each is treated.
//!
//! A kind is plain data, so that a new one is a constant here and a handler in `jobs`, and so that a test can bring kinds
//! of its own that production never knows.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::domain::backoff::Backoff;

use serde_json::Value;

use crate::domain::sync::SyncArgs;
use crate::domain::transaction::Source;

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

/// Makes a file to download. As many at a time as there are workers for them: each reads a snapshot of its own.
pub const EXPORT: JobKind = JobKind {
    name: "export",
    queue: "export",
    timeout: Duration::from_hours(2),
    max_attempts: 5,
    backoff: Backoff { base: Duration::from_secs(2), cap: Duration::from_mins(2) },
    limit: None,
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

/// Counts the metrics anew from the payments. A day at a time, and a day of a million payments takes a minute or two.
pub const REBUILD_ROLLUPS: JobKind = JobKind {
    name: "rebuild-rollups",
    queue: "maintenance",
    timeout: Duration::from_hours(6),
    max_attempts: 6,
    backoff: Backoff { base: Duration::from_secs(10), cap: Duration::from_mins(5) },
    limit: Some("rebuild-rollups"),
};

/// Every kind of job there is in production.
pub const KINDS: [&JobKind; 9] = [
    &SYNC_VIMA,
    &SYNC_PAYSHACK,
    &SYNC_PAYSHACK_METADATA,
    &REPLAY_QUARANTINE,
    &RECONCILE,
    &EXPORT,
    &REFRESH_FX_RATES,
    &REBUILD_ROLLUPS,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_their_names() {
        for kind in KINDS {
            assert_eq!(JobKind::from_name(kind.name), Some(kind));
        }
    }
}
