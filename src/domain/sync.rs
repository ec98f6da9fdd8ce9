//! Reading a provider: what a run reads, what it counts, and how it ends.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::string_enum::string_enum;
use super::transaction::{Kind, Source};
use super::version::SequenceId;

string_enum! {
    /// What a run reads.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum SyncMode {
        /// What has come and changed since the last run.
        Incremental = "incremental",
        /// Everything from `INITIAL_SYNC_DAYS` ago.
        Full = "full",
        /// The days that were asked for.
        Range = "range",
    }
}

/// What a sync job is asked to do: the arguments of its row in the jobs table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "lowercase", deny_unknown_fields)]
pub enum SyncArgs {
    /// Go on from where the last run ended.
    Incremental,
    /// Read everything from `INITIAL_SYNC_DAYS` ago again, newest day first.
    Full,
    /// Read these days (UTC, both included) again, newest first.
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

    /// The days that are read; none where what is new is followed. `today` is the last of the `initial` days that a full
    /// read begins with.
    #[must_use]
    pub fn days_of(&self, today: NaiveDate, initial: u32) -> Option<(NaiveDate, NaiveDate)> {
        match self {
            Self::Full => Some((first_of_last(initial, today), today)),
            Self::Incremental | Self::Range { .. } => self.days(),
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

string_enum! {
    /// A list of a provider that is read on its own, with a place of its own to go on from.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Stream {
        /// Vima's operations in the order they were created.
        VimaCreations = "creations",
        /// Vima's operations in the order they were changed.
        VimaUpdates = "updates",
        /// `PayShack`'s pay-ins.
        PayshackPayins = "payins",
        /// `PayShack`'s pay-outs.
        PayshackPayouts = "payouts",
    }
}

impl Stream {
    /// The lists that tell what is new at `source`.
    #[must_use]
    pub fn all_of(source: Source) -> [Self; 2] {
        match source {
            Source::Vima => [Self::VimaCreations, Self::VimaUpdates],
            Source::Payshack => [Self::PayshackPayins, Self::PayshackPayouts],
        }
    }

    /// Whose list it is.
    #[must_use]
    pub fn source(self) -> Source {
        match self {
            Self::VimaCreations | Self::VimaUpdates => Source::Vima,
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
}

/// How far back a source is read: what the first run owes, and what has been read of it, newest day first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// The first day (UTC) that is owed.
    pub backlog_from: NaiveDate,
    /// Everything created since then has been read, without a hole.
    pub covered_from: DateTime<Utc>,
    /// When the source began to be followed.
    pub followed_from: DateTime<Utc>,
}

impl History {
    /// The days that are still to be read, as a job reads them; none where all are.
    #[must_use]
    pub fn backlog(&self) -> Option<SyncArgs> {
        let from_date = self.backlog_from;
        // A day that is covered from its first moment on is not owed.
        let to_date = (self.covered_from - TimeDelta::microseconds(1)).date_naive();
        (to_date >= from_date).then_some(SyncArgs::Range { from_date, to_date })
    }
}

/// A place in days that are read newest first, which a later attempt of the job goes on from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayCheckpoint {
    /// The day that is being read.
    pub day: NaiveDate,
    /// How far within it, where its list has a cursor.
    pub cursor: Option<SequenceId>,
    /// Records read until here, by all attempts.
    pub seen: u64,
}

/// The days from `from` to `to`, both included, oldest first.
pub fn days(from: NaiveDate, to: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    from.iter_days().take_while(move |day| *day <= to)
}

/// The same, newest first.
pub fn days_back(from: NaiveDate, to: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    std::iter::successors(Some(to), NaiveDate::pred_opt).take_while(move |day| *day >= from)
}

/// The first of the last `days` days, of which `today` is the last.
#[must_use]
pub fn first_of_last(days: u32, today: NaiveDate) -> NaiveDate {
    today.checked_sub_days(Days::new(u64::from(days.saturating_sub(1)))).unwrap_or(today)
}

/// The first moment of a day (UTC).
#[must_use]
pub fn day_start(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
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

string_enum! {
    /// How a run stands.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum RunStatus {
        /// It is at work.
        Running = "running",
        /// It has read everything it was to read.
        Succeeded = "succeeded",
        /// It ended well, but could not be sure to have read everything: its watermark has not moved.
        Incomplete = "incomplete",
        /// It stopped on an error.
        Failed = "failed",
        /// It was told to stop.
        Cancelled = "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_go_both_ways() {
        let day = |text: &str| text.parse::<NaiveDate>().expect(text);
        for (from, to, count) in
            [("2026-02-27", "2026-03-02", 4), ("2026-03-02", "2026-03-02", 1), ("2026-03-03", "2026-03-02", 0)]
        {
            let forth: Vec<NaiveDate> = days(day(from), day(to)).collect();
            let back: Vec<NaiveDate> = days_back(day(from), day(to)).collect();
            assert_eq!((forth.len(), forth.iter().rev().copied().collect::<Vec<_>>()), (count, back), "{from} {to}");
        }
    }

    #[test]
    fn history_is_owed_until_its_first_day_is_covered() {
        let day = |text: &str| text.parse::<NaiveDate>().expect(text);
        for (covered_from, owed) in [
            ("2026-01-15T15:46:20Z", Some("2026-01-15")),
            ("2026-01-12T00:00:00Z", Some("2026-01-11")),
            ("2026-01-09T00:00:01Z", Some("2026-01-09")),
            ("2026-01-09T00:00:00Z", None),
            ("2025-12-01T00:00:00Z", None),
        ] {
            let covered_from = covered_from.parse().expect("a time");
            let history = History { backlog_from: day("2026-01-09"), covered_from, followed_from: covered_from };
            let expected = owed.map(|to| SyncArgs::Range { from_date: day("2026-01-09"), to_date: day(to) });
            assert_eq!(history.backlog(), expected, "{covered_from}");
        }
    }
}
