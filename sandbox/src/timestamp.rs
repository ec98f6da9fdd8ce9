//! Timestamps with the providers' precision: UTC milliseconds.
//!
//! Half a million records have three timestamps each and every page compares hundreds, so a timestamp is a plain integer
//! and is converted to a calendar date only when a record is written.

use std::time::{Instant, SystemTime};

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, Utc};

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Timestamp(i64);

impl Timestamp {
    pub(crate) fn from_utc(time: DateTime<Utc>) -> Self {
        Self(time.timestamp_millis())
    }

    /// The system clock, independent of `--now`: clients compare the expiry of their tokens with it.
    #[expect(clippy::disallowed_methods, reason = "the sandbox reads the system clock only here")]
    pub(crate) fn system_now() -> Self {
        Self::from_utc(DateTime::<Utc>::from(SystemTime::now()))
    }

    /// Parses both of the providers' formats; a time without a zone is UTC.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Some(Self::from_utc(time.to_utc()));
        }
        let naive = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f")
            .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f"));
        naive.ok().map(|time| Self::from_utc(time.and_utc()))
    }

    pub(crate) fn millis(self) -> i64 {
        self.0
    }

    pub(crate) fn plus_millis(self, milliseconds: i64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    pub(crate) fn day(self) -> Day {
        Day(self.0.div_euclid(DAY_MS))
    }

    pub(crate) fn hour(self) -> usize {
        usize::try_from(self.0.rem_euclid(DAY_MS) / 3_600_000).unwrap_or_default()
    }

    pub(crate) fn to_utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or_default()
    }

    /// `2026-01-15T15:46:20.195Z`
    pub(crate) fn iso(self) -> String {
        self.to_utc().to_rfc3339_opts(SecondsFormat::Millis, true)
    }

    /// Like [`Self::iso`], but the first second of a minute is the leap second of the minute before: `…:45:60.195Z`.
    pub(crate) fn iso_with_leap_second(self) -> String {
        let (text, before) = (self.iso(), self.plus_millis(-1000).iso());
        if text.get(17..19) == Some("00") { format!("{}60{}", &before[..17], &before[19..]) } else { text }
    }

    /// `2026-01-15 15:46:20.195000`, Vima's format in `card_start` and `card_finish`.
    pub(crate) fn space_separated(self) -> String {
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
    /// Parses `2026-01-15`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some(Timestamp::from_utc(date.and_time(chrono::NaiveTime::MIN).and_utc()).day())
    }

    pub(crate) fn start(self) -> Timestamp {
        Timestamp(self.0 * DAY_MS)
    }

    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The sandbox's clock: starts at the end of the history.
#[derive(Debug)]
pub(crate) struct Clock {
    start: Timestamp,
    started_at: Instant,
}

impl Clock {
    pub(crate) fn starting_at(start: Timestamp) -> Self {
        Self { start, started_at: Instant::now() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.start.plus_millis(i64::try_from(self.started_at.elapsed().as_millis()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_round_trip() {
        let timestamp = Timestamp::parse("2026-01-15T15:46:20.195Z").unwrap();
        assert_eq!(timestamp.iso(), "2026-01-15T15:46:20.195Z");
        assert_eq!(timestamp.space_separated(), "2026-01-15 15:46:20.195000");
        assert_eq!(Timestamp::parse(&timestamp.space_separated()), Some(timestamp));
        assert_eq!(Day::parse("2026-01-15"), Some(timestamp.day()));
        assert_eq!(Timestamp::parse("yesterday"), None);
        assert_eq!(timestamp.iso_with_leap_second(), timestamp.iso());
        let midnight = Timestamp::parse("2026-01-16T00:00:00.195Z").unwrap();
        assert_eq!(midnight.iso_with_leap_second(), "2026-01-15T23:59:60.195Z");
    }
}
