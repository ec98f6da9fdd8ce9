//! Reading a provider: what a run reads, what it counts, and how it ends.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::transaction::{Kind, Source};

/// What a run reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SyncMode {
    /// What has come and changed since the last run.
    Incremental,
    /// Everything from `INITIAL_SYNC_DAYS` ago.
    Full,
    /// The days that were asked for.
    Range,
}

impl SyncMode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Incremental, Self::Full, Self::Range];

    /// The name in the contract and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incremental => "incremental",
            Self::Full => "full",
            Self::Range => "range",
        }
    }

    /// The mode of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }
}

/// What a sync job is asked to do: the arguments of its row in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase", deny_unknown_fields)]
pub enum SyncArgs {
    /// Go on from where the last run ended.
    Incremental,
    /// Read everything from `INITIAL_SYNC_DAYS` ago again.
    Full,
    /// Read these days (UTC, both included) again.
    Range {
        /// The first day.
        from_date: NaiveDate,
        /// The last day.
        to_date: NaiveDate,
    },
}

impl SyncArgs {
    /// What it reads.
    #[must_use]
    pub fn mode(&self) -> SyncMode {
        match self {
            Self::Incremental => SyncMode::Incremental,
            Self::Full => SyncMode::Full,
            Self::Range { .. } => SyncMode::Range,
        }
    }

    /// The days it was asked for, where it was asked for days.
    #[must_use]
    pub fn days(&self) -> Option<(NaiveDate, NaiveDate)> {
        match *self {
            Self::Incremental | Self::Full => None,
            Self::Range { from_date, to_date } => Some((from_date, to_date)),
        }
    }

    /// Two jobs of one kind that share it would do the same: the second joins the first.
    #[must_use]
    pub fn unique_key(&self) -> String {
        match self.days() {
            None => self.mode().as_str().to_owned(),
            Some((from, to)) => format!("range:{from}:{to}"),
        }
    }
}

/// A list of a provider that is read on its own, with a place of its own to go on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    /// Vima's operations in the order they were created.
    VimaCreations,
    /// Vima's operations in the order they were changed.
    VimaUpdates,
    /// Vima's operations of the first days, a day at a time.
    VimaHistory,
    /// `PayShack`'s pay-ins.
    PayshackPayins,
    /// `PayShack`'s pay-outs.
    PayshackPayouts,
}

impl Stream {
    /// Whose list it is.
    #[must_use]
    pub fn source(self) -> Source {
        match self {
            Self::VimaCreations | Self::VimaUpdates | Self::VimaHistory => Source::Vima,
            Self::PayshackPayins | Self::PayshackPayouts => Source::Payshack,
        }
    }

    /// What the list is made of.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::PayshackPayouts => Kind::Payout,
            _ => Kind::Payin,
        }
    }

    /// The name in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::VimaCreations => "creations",
            Self::VimaUpdates => "updates",
            Self::VimaHistory => "history",
            Self::PayshackPayins => "payins",
            Self::PayshackPayouts => "payouts",
        }
    }
}

/// What became of the records of a page or of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Stored for the first time.
    pub inserted: u64,
    /// Stored over an older version.
    pub updated: u64,
    /// Known already: the same, an older version, or a repeat.
    pub unchanged: u64,
    /// Unreadable, and kept aside.
    pub quarantined: u64,
}

impl Counts {
    /// Every record that came: none is ever dropped, so this is the sum.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.inserted + self.updated + self.unchanged + self.quarantined
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.inserted += more.inserted;
        self.updated += more.updated;
        self.unchanged += more.unchanged;
        self.quarantined += more.quarantined;
    }
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// It is at work.
    Running,
    /// It has read everything it was to read.
    Succeeded,
    /// It ended well, but could not be sure to have read everything: its watermark has not moved.
    Incomplete,
    /// It stopped on an error.
    Failed,
    /// It was told to stop.
    Cancelled,
}

impl RunStatus {
    /// Every status.
    pub const ALL: [Self; 5] = [Self::Running, Self::Succeeded, Self::Incomplete, Self::Failed, Self::Cancelled];

    /// The name in the contract and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}
