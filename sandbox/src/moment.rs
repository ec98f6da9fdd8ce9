//! Points in time as both providers see them: UTC, to the millisecond, eight bytes each.
//!
//! Half a million records keep three of these apiece, and every page compares and prints hundreds, so a plain number of
//! milliseconds is held and the calendar is asked only when a record is written out.

use std::time::{Instant, SystemTime};

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Moment(i64);

impl Moment {
    pub(crate) fn of(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_millis())
    }

    /// The machine's own time: tokens must expire by the clock their holders look at, whatever `--now` says.
    #[expect(clippy::disallowed_methods, reason = "this is where the sandbox's own clock is set by the machine's")]
    pub(crate) fn on_the_wall() -> Self {
        Self::of(DateTime::<Utc>::from(SystemTime::now()))
    }

    /// Reads either of the forms the providers write; a time without a zone is UTC.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Some(Self::of(time.to_utc()));
        }
        let naive = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
            .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f"));
        naive.ok().map(|time| Self::of(time.and_utc()))
    }

    pub(crate) fn millis(self) -> i64 {
        self.0
    }

    pub(crate) fn plus(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    pub(crate) fn day(self) -> Day {
        Day(self.0.div_euclid(DAY_MS))
    }

    pub(crate) fn hour(self) -> usize {
        usize::try_from(self.0.rem_euclid(DAY_MS) / 3_600_000).unwrap_or_default()
    }

    pub(crate) fn calendar(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or_default()
    }

    /// `2026-01-15T15:46:20.195Z`
    pub(crate) fn iso(self) -> String {
        self.calendar().to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// `2026-01-15 15:46:20.195000`, Vima's form inside `card_start` and `card_finish`.
    pub(crate) fn spaced(self) -> String {
        let mut text = self.iso().replace('T', " ");
        text.truncate(text.len().saturating_sub(1));
        text.push_str("000");
        text
    }
}

/// A UTC day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(i64);

impl Day {
    /// Reads `2026-01-15`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some(Moment::of(date.and_time(chrono::NaiveTime::MIN).and_utc()).day())
    }

    pub(crate) fn start(self) -> Moment {
        Moment(self.0 * DAY_MS)
    }

    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The sandbox's own time: it begins at the end of the history and runs on from there.
#[derive(Debug)]
pub(crate) struct Clock {
    began: Moment,
    started: Instant,
}

impl Clock {
    pub(crate) fn starting_at(began: Moment) -> Self {
        Self { began, started: Instant::now() }
    }

    pub(crate) fn now(&self) -> Moment {
        self.began.plus(i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_written_and_read_back() {
        let moment = Moment::parse("2026-01-15T15:46:20.195Z").unwrap();
        assert_eq!(moment.iso(), "2026-01-15T15:46:20.195Z");
        assert_eq!(moment.spaced(), "2026-01-15 15:46:20.195000");
        assert_eq!(Moment::parse(&moment.spaced()), Some(moment));
        assert_eq!(Day::parse("2026-01-15"), Some(moment.day()));
        assert_eq!(Moment::parse("yesterday"), None);
    }
}
