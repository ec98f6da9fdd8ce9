//! Syncs: what a run reads, its counts, and its status.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::day;
use super::string_enum::string_enum;
use super::transaction::{Kind, Source};
use super::version::SequenceId;

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum SyncMode {
    /// Records created or changed since the last run.
        Incremental = "incremental",
    /// The last `INITIAL_SYNC_DAYS` days.
        Full = "full",
    /// The requested days.
        Range = "range",
    }
}

/// The arguments of a sync job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase", deny_unknown_fields)]
pub enum SyncArgs {
    /// Continue after the last run.
    Incremental,
    /// Read the last `INITIAL_SYNC_DAYS` days again, newest first.
    Full,
    /// Read these days (UTC, both inclusive) again, newest first.
    Range {
        #[serde(deserialize_with = "day::deserialize")]
        from_date: NaiveDate,
        #[serde(deserialize_with = "day::deserialize")]
        to_date: NaiveDate,
    },
}

impl SyncArgs {
    #[must_use]
    pub fn mode(&self) -> SyncMode {
        match self {
            Self::Incremental => SyncMode::Incremental,
            Self::Full => SyncMode::Full,
            Self::Range { .. } => SyncMode::Range,
        }
    }

    /// The days of a `Range`.
    #[must_use]
    pub fn days(&self) -> Option<(NaiveDate, NaiveDate)> {
        match *self {
            Self::Incremental | Self::Full => None,
            Self::Range { from_date, to_date } => Some((from_date, to_date)),
        }
    }

    /// The days to read, or `None` for an incremental sync. A full sync reads the last `initial` days, including `today`.
    #[must_use]
    pub fn days_of(&self, today: NaiveDate, initial: u32) -> Option<(NaiveDate, NaiveDate)> {
        match self {
            Self::Full => Some((first_of_last(initial, today), today)),
            Self::Incremental | Self::Range { .. } => self.days(),
        }
    }

    /// Jobs of one kind with the same key do the same work: the second is deduplicated.
    #[must_use]
    pub fn unique_key(&self) -> String {
        match self.days() {
            None => self.mode().as_str().to_owned(),
            Some((from, to)) => format!("range:{from}:{to}"),
        }
    }
}

string_enum! {
    /// A list of a provider that is read separately and has its own cursor or watermark.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Stream {
        /// Vima's operations in order of creation.
        VimaCreations = "creations",
        /// Vima's operations in order of change.
        VimaUpdates = "updates",
        PayshackPayins = "payins",
        PayshackPayouts = "payouts",
    }
}

impl Stream {
    /// The lists that an incremental sync of `source` reads.
    #[must_use]
    pub fn all_of(source: Source) -> [Self; 2] {
        match source {
            Source::Vima => [Self::VimaCreations, Self::VimaUpdates],
            Source::Payshack => [Self::PayshackPayins, Self::PayshackPayouts],
        }
    }

    #[must_use]
    pub fn source(self) -> Source {
        match self {
            Self::VimaCreations | Self::VimaUpdates => Source::Vima,
            Self::PayshackPayins | Self::PayshackPayouts => Source::Payshack,
        }
    }

    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::PayshackPayouts => Kind::Payout,
            _ => Kind::Payin,
        }
    }
}

/// The backlog of historical days that remain after the first run, read newest day first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// The first day (UTC) of the backlog.
    pub backlog_from: NaiveDate,
    /// Everything created since then has been read, without gaps.
    pub covered_from: DateTime<Utc>,
    /// Since when new records are read incrementally.
    pub followed_from: DateTime<Utc>,
}

impl History {
    /// The days that remain to be read, as arguments of a job; `None` if there are none.
    #[must_use]
    pub fn backlog(&self) -> Option<SyncArgs> {
        let from_date = self.backlog_from;
        // A day that is covered from its first instant is complete.
        let to_date = (self.covered_from - TimeDelta::microseconds(1)).date_naive();
        (to_date >= from_date).then_some(SyncArgs::Range { from_date, to_date })
    }
}

/// A position within days that are read newest first, from which a later attempt of the job resumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayCheckpoint {
    pub day: NaiveDate,
    /// The position within the day, if the list has a cursor.
    pub cursor: Option<SequenceId>,
    /// Records read so far, by all attempts.
    pub seen: u64,
}

/// From `from` to `to`, both inclusive, oldest first.
pub fn days(from: NaiveDate, to: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    from.iter_days().take_while(move |day| *day <= to)
}

/// From `to` to `from`, both inclusive, newest first.
pub fn days_back(from: NaiveDate, to: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    std::iter::successors(Some(to), NaiveDate::pred_opt).take_while(move |day| *day >= from)
}

/// The first of the last `days` days, including `today`.
#[must_use]
pub fn first_of_last(days: u32, today: NaiveDate) -> NaiveDate {
    today.checked_sub_days(Days::new(u64::from(days.saturating_sub(1)))).unwrap_or(today)
}

/// In UTC.
#[must_use]
pub fn day_start(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// The outcomes of the records of a page or a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Stored as new payments.
    pub inserted: u64,
    /// Stored as newer versions of payments.
    pub updated: u64,
    /// Not stored: the same or an older version, or a repetition within the page.
    pub unchanged: u64,
    /// Unreadable, and stored in quarantine.
    pub quarantined: u64,
    /// Of those updated: the version was stored before, and newer rules make other content of it.
    pub replaced: u64,
}

impl Counts {
    /// All records received: the sum, because none is dropped.
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
        self.replaced += more.replaced;
    }
}

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum RunStatus {
        Running = "running",
    /// Everything was read.
        Succeeded = "succeeded",
    /// It ended without an error but may have missed records, so its watermark was not advanced.
        Incomplete = "incomplete",
        Failed = "failed",
        Cancelled = "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_days_back_are_reverse() {
        let day = |text: &str| text.parse::<NaiveDate>().expect(text);
        for (from, to, count) in
            [("2026-02-27", "2026-03-02", 4), ("2026-03-02", "2026-03-02", 1), ("2026-03-03", "2026-03-02", 0)]
        {
            let forward: Vec<NaiveDate> = days(day(from), day(to)).collect();
            let back: Vec<NaiveDate> = days_back(day(from), day(to)).collect();
            assert_eq!(
                (forward.len(), forward.iter().rev().copied().collect::<Vec<_>>()),
                (count, back),
                "{from} {to}"
            );
        }
    }

    #[test]
    fn backlog_remains_until_its_first_day_is_covered() {
        let day = |text: &str| text.parse::<NaiveDate>().expect(text);
        for (covered_from, last_day) in [
            ("2026-01-15T15:46:20Z", Some("2026-01-15")),
            ("2026-01-12T00:00:00Z", Some("2026-01-11")),
            ("2026-01-09T00:00:01Z", Some("2026-01-09")),
            ("2026-01-09T00:00:00Z", None),
            ("2025-12-01T00:00:00Z", None),
        ] {
            let covered_from = covered_from.parse().expect("a time");
            let history = History { backlog_from: day("2026-01-09"), covered_from, followed_from: covered_from };
            let expected = last_day.map(|to| SyncArgs::Range { from_date: day("2026-01-09"), to_date: day(to) });
            assert_eq!(history.backlog(), expected, "{covered_from}");
        }
    }
}
