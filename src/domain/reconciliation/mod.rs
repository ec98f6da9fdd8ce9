//! Reconciliation: whether the two providers agree about each payment of a day.
//!
//! Vima is the merchant's record, `PayShack` the processor's. [`rules`] defines the rules as small, readable functions
//! over rows; `db/reconciliation` implements the same rules as one statement over a million rows, and a property test
//! compares the two. [`tally`] holds the counts of a run and checks that no row is lost.

pub mod days;
pub mod last_finding;
pub mod rules;
pub mod tally;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::transaction::Source;
use crate::domain::day;
use crate::domain::string_enum::string_enum;

/// The most days that one request may reconcile.
pub const MAX_DAYS: i64 = 92;

/// The arguments of a `reconcile` job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ReconcileArgs {
    Day(DayArgs),
    /// Enqueues a job for the day that has just ended, and one for every recent day that is not settled.
    Nightly(NightlyArgs),
}

/// `{"date": "2026-01-15"}`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DayArgs {
    /// In `RECONCILIATION_TIMEZONE`.
    #[serde(deserialize_with = "day::deserialize")]
    pub date: NaiveDate,
}

/// `{"nightly": "2026-01-15"}`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NightlyArgs {
    /// The day that has just ended, in `RECONCILIATION_TIMEZONE`.
    #[serde(deserialize_with = "day::deserialize")]
    pub nightly: NaiveDate,
}

impl ReconcileArgs {
    #[must_use]
    pub fn for_day(date: NaiveDate) -> Self {
        Self::Day(DayArgs { date })
    }

    #[must_use]
    pub fn for_night_after(nightly: NaiveDate) -> Self {
        Self::Nightly(NightlyArgs { nightly })
    }
}

/// The projects whose payments are reconciled. In JSON a list of names, or `["*"]` for all.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub enum Projects {
    /// All payments, including those without a project.
    All,
    Named(Vec<String>),
}

impl Projects {
    /// `None` for all projects.
    #[must_use]
    pub fn names(&self) -> Option<&[String]> {
        match self {
            Self::All => None,
            Self::Named(names) => Some(names),
        }
    }

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

/// The configurable rules. They are stored with each run, because its findings depend on them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// The zone of the days (IANA name).
    pub timezone: String,
    pub projects: Projects,
    /// The longest time between the creation of the two records of a payment.
    pub window_hours: u32,
    /// Amounts are equal if they differ by at most this,
    pub amount_tolerance: Decimal,
    /// or by at most this percentage of Vima's amount.
    pub amount_tolerance_percent: Decimal,
    /// How long the final status of one side may precede that of the other.
    pub pending_grace_minutes: u32,
    /// A payment counts as missing only once the other side has been read up to this long after its creation.
    pub settle_minutes: u32,
}

impl Parameters {
    #[must_use]
    pub fn window(&self) -> TimeDelta {
        TimeDelta::hours(self.window_hours.into())
    }

    #[must_use]
    pub fn grace(&self) -> TimeDelta {
        TimeDelta::minutes(self.pending_grace_minutes.into())
    }

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

/// The period that has been read of a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Everything created since then, up to the watermark, has been read. `None` before the first run.
    pub covered_from: Option<DateTime<Utc>>,
    /// The start of the last complete, successful read of its pay-ins.
    pub watermark: Option<DateTime<Utc>>,
}

impl Coverage {
    /// Whether a payment created at that time would be stored by now if this side had it.
    #[must_use]
    pub fn settles(&self, created_at: DateTime<Utc>, settle: TimeDelta) -> bool {
        self.watermark.is_some_and(|watermark| watermark >= created_at + settle)
            && self.covered_from.is_some_and(|covered_from| covered_from <= created_at)
    }

    #[must_use]
    pub fn spans(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> bool {
        self.watermark.is_some_and(|watermark| watermark >= until)
            && self.covered_from.is_some_and(|covered_from| covered_from <= from)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverages {
    pub vima: Coverage,
    pub payshack: Coverage,
}

impl Coverages {
    #[must_use]
    pub fn of(&self, source: Source) -> Coverage {
        match source {
            Source::Vima => self.vima,
            Source::Payshack => self.payshack,
        }
    }
}

string_enum! {
    /// The result for a payment, or for a duplicate or unmatchable row.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum MatchStatus {
        Matched = "matched",
        /// Both sides have the payment but disagree.
        Discrepancy = "discrepancy",
        /// Only `PayShack` has the payment.
        MissingVima = "missing_vima",
        /// Only Vima has the payment.
        MissingPayshack = "missing_payshack",
        /// Too early to decide.
        Pending = "pending",
        /// The payment already has another row of the same side.
        Duplicate = "duplicate",
        /// The row has no key to match it by.
        Unmatchable = "unmatchable",
    }
}

impl MatchStatus {
    /// The results that open a discrepancy.
    pub const DISCREPANCIES: [Self; 4] = [Self::Discrepancy, Self::MissingVima, Self::MissingPayshack, Self::Duplicate];

    /// The result for a payment that only `source` has.
    #[must_use]
    pub fn known_only_to(source: Source) -> Self {
        match source {
            Source::Vima => Self::MissingPayshack,
            Source::Payshack => Self::MissingVima,
        }
    }
}

string_enum! {
    /// What the two sides disagree about.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum DiscrepancyType {
        /// The amount or the currency.
        Amount = "amount",
        Status = "status",
        /// One side does not have the payment.
        Missing = "missing",
        /// One side has it twice.
        Duplicate = "duplicate",
    }
}

string_enum! {
    /// The status of a run, from its own row and its job.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum RunStatus {
        /// Waits for its first or next attempt. Derived from the job; the run's row never has this status.
        Queued = "queued",
        Running = "running",
        /// The findings are stored and final.
        Completed = "completed",
        /// It failed, and stored no findings.
        Failed = "failed",
        /// It was cancelled, and stored no findings.
        Cancelled = "cancelled",
    }
}

string_enum! {
    /// The age of a discrepancy, in days.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum AgeBucket {
        Fresh = "0-1",
        Days = "2-3",
        Week = "4-7",
        Older = "8+",
    }
}

impl AgeBucket {
    #[must_use]
    pub fn from_days(days: u32) -> Self {
        Self::ALL.into_iter().rev().find(|bucket| bucket.ages().0 <= days).unwrap_or(Self::Fresh)
    }

    /// The lowest and the highest age in days; `None` if there is no highest.
    #[must_use]
    pub fn ages(self) -> (u32, Option<u32>) {
        match self {
            Self::Fresh => (0, Some(1)),
            Self::Days => (2, Some(3)),
            Self::Week => (4, Some(7)),
            Self::Older => (8, None),
        }
    }
}

/// The age of a discrepancy of `recon_date` on the day `on`; 0 if it is in the future.
#[must_use]
pub fn age_in_days(recon_date: NaiveDate, on: NaiveDate) -> u32 {
    u32::try_from((on - recon_date).num_days()).unwrap_or(0)
}
