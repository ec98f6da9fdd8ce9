//! Reconciliation: whether two providers agree about each payment of a day.
//!
//! Vima is the merchant's record, `PayShack` the processor's. The rules stand here as small functions over rows
//! ([`rules`]), where a person can read them; `db/reconciliation` says the same in one statement over a million rows, and
//! a property test holds the two against each other. What a run counts, and that nothing is lost in counting, is
//! [`tally`].

pub mod days;
pub mod last_finding;
pub mod rules;
pub mod tally;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::transaction::Source;
use crate::domain::string_enum::string_enum;

/// The most days that are reconciled by one request.
pub const MOST_DAYS: i64 = 92;

/// What a `reconcile` job is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ReconcileArgs {
    /// This day.
    Day(DayArgs),
    /// The day that ended with this night, and every day shortly before it that is not settled: a job for each.
    Nightly(NightlyArgs),
}

/// `{"date": "2026-01-15"}`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DayArgs {
    /// The day, in `RECONCILIATION_TIMEZONE`.
    pub date: NaiveDate,
}

/// `{"nightly": "2026-01-15"}`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NightlyArgs {
    /// The last day, in `RECONCILIATION_TIMEZONE`.
    pub nightly: NaiveDate,
}

impl ReconcileArgs {
    /// The arguments for a day.
    #[must_use]
    pub fn for_day(date: NaiveDate) -> Self {
        Self::Day(DayArgs { date })
    }

    /// The arguments for the night after a day.
    #[must_use]
    pub fn for_night_after(nightly: NaiveDate) -> Self {
        Self::Nightly(NightlyArgs { nightly })
    }
}

/// Whose payments are reconciled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub enum Projects {
    /// Everybody's, whoever told none too.
    All,
    /// Those of these projects.
    Named(Vec<String>),
}

impl Projects {
    /// The names; none where all are meant.
    #[must_use]
    pub fn names(&self) -> Option<&[String]> {
        match self {
            Self::All => None,
            Self::Named(names) => Some(names),
        }
    }

    /// Whether payments of `project` are reconciled.
    #[must_use]
    pub fn contains(&self, project: Option<&str>) -> bool {
        self.names().is_none_or(|names| project.is_some_and(|project| names.iter().any(|name| name == project)))
    }
}

impl From<Vec<String>> for Projects {
    fn from(names: Vec<String>) -> Self {
        if names.iter().any(|name| name == "*") { Self::All } else { Self::Named(names) }
    }
}

impl From<Projects> for Vec<String> {
    fn from(projects: Projects) -> Self {
        match projects {
            Projects::All => vec!["*".to_owned()],
            Projects::Named(names) => names,
        }
    }
}

/// The rules of a run that can be set. They are kept with the run: what it found is judged by them for ever.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// The zone whose days are reconciled (IANA name).
    pub timezone: String,
    /// Whose payments.
    pub projects: Projects,
    /// How far apart the two records of a payment may have come to be.
    pub window_hours: u32,
    /// Amounts that differ by no more are equal.
    pub amount_tolerance: Decimal,
    /// Nor by more than so many percent of Vima's amount.
    pub amount_tolerance_percent: Decimal,
    /// How long one side may know of the end of a payment before the other does.
    pub pending_grace_minutes: u32,
    /// How long after a payment the absent side must have been read, to say that it is missing there.
    pub settle_minutes: u32,
}

impl Parameters {
    /// How far apart the two records of a payment may have come to be.
    #[must_use]
    pub fn window(&self) -> TimeDelta {
        TimeDelta::hours(self.window_hours.into())
    }

    /// How long one side may know of the end of a payment before the other does.
    #[must_use]
    pub fn grace(&self) -> TimeDelta {
        TimeDelta::minutes(self.pending_grace_minutes.into())
    }

    /// How long after a payment the absent side must have been read.
    #[must_use]
    pub fn settle(&self) -> TimeDelta {
        TimeDelta::minutes(self.settle_minutes.into())
    }
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            timezone: "UTC".to_owned(),
            projects: Projects::Named(vec!["91game".to_owned()]),
            window_hours: 24,
            amount_tolerance: Decimal::new(1, 2),
            amount_tolerance_percent: Decimal::ZERO,
            pending_grace_minutes: 120,
            settle_minutes: 30,
        }
    }
}

/// How far a side has been read: from when on, and up to when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Everything created since then has been read; none before the first run.
    pub covered_from: Option<DateTime<Utc>>,
    /// The start of the last complete, successful read of its pay-ins.
    pub watermark: Option<DateTime<Utc>>,
}

impl Coverage {
    /// Whether a payment of that time would be here by now, had this side known of it.
    #[must_use]
    pub fn settles(&self, created_at: DateTime<Utc>, settle: TimeDelta) -> bool {
        self.watermark.is_some_and(|watermark| watermark >= created_at + settle)
            && self.covered_from.is_some_and(|covered_from| covered_from <= created_at)
    }

    /// Whether everything between the two times has been read.
    #[must_use]
    pub fn spans(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> bool {
        self.watermark.is_some_and(|watermark| watermark >= until)
            && self.covered_from.is_some_and(|covered_from| covered_from <= from)
    }
}

/// How far both sides have been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverages {
    /// Of Vima.
    pub vima: Coverage,
    /// Of `PayShack`.
    pub payshack: Coverage,
}

impl Coverages {
    /// Of one of them.
    #[must_use]
    pub fn of(&self, source: Source) -> Coverage {
        match source {
            Source::Vima => self.vima,
            Source::Payshack => self.payshack,
        }
    }
}

string_enum! {
    /// What was found of a payment, or of a row too many.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum MatchStatus {
        /// Both sides agree.
        Matched = "matched",
        /// They do not.
        Discrepancy = "discrepancy",
        /// Only `PayShack` knows of it.
        MissingVima = "missing_vima",
        /// Only Vima knows of it.
        MissingPayshack = "missing_payshack",
        /// It is too early to say.
        Pending = "pending",
        /// Another row stands for the payment already.
        Duplicate = "duplicate",
        /// The row has no key to look for its partner by.
        Unmatchable = "unmatchable",
    }
}

impl MatchStatus {
    /// Those that become cases.
    pub const DISCREPANCIES: [Self; 4] = [Self::Discrepancy, Self::MissingVima, Self::MissingPayshack, Self::Duplicate];

    /// What is found of a payment that only `source` knows of.
    #[must_use]
    pub fn known_only_to(source: Source) -> Self {
        match source {
            Source::Vima => Self::MissingPayshack,
            Source::Payshack => Self::MissingVima,
        }
    }
}

string_enum! {
    /// In what two sides disagree.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum DiscrepancyType {
        /// In the amount, or in the currency.
        Amount = "amount",
        /// In what became of it.
        Status = "status",
        /// One of them does not know it.
        Missing = "missing",
        /// One of them tells it twice.
        Duplicate = "duplicate",
    }
}

string_enum! {
    /// How a run stands, by its own record and by its job.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum RunStatus {
        /// It waits for a worker: for its first attempt, or for the next. No record says so, for then it is the job's to say.
        Queued = "queued",
        /// A worker is at it.
        Running = "running",
        /// It has decided what could be decided, and never changes again.
        Completed = "completed",
        /// It stopped on an error, and left nothing.
        Failed = "failed",
        /// It was told to stop, and left nothing.
        Cancelled = "cancelled",
    }
}

string_enum! {
    /// How long ago a case's day was, as finance sorts what is open.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum AgeBucket {
        /// Of today or yesterday.
        Fresh = "0-1",
        /// Two or three days.
        Days = "2-3",
        /// Four to seven days.
        Week = "4-7",
        /// Eight days or more.
        Older = "8+",
    }
}

impl AgeBucket {
    /// The bucket of an age in days.
    #[must_use]
    pub fn from_days(days: u32) -> Self {
        match days {
            0..=1 => Self::Fresh,
            2..=3 => Self::Days,
            4..=7 => Self::Week,
            8.. => Self::Older,
        }
    }
}

/// How old a case of `recon_date` is on the day `on`, in whole days.
#[must_use]
pub fn age_in_days(recon_date: NaiveDate, on: NaiveDate) -> u32 {
    u32::try_from((on - recon_date).num_days()).unwrap_or(0)
}
