//! Calendar days of a time zone.
//!
//! A zone may skip or repeat an hour, even at midnight: a day starts at its first instant that exists.

use chrono::{DateTime, Days, Duration, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Deserializer, Serialize};

use super::time_range::TimeRange;

/// The first day that a caller may name: before any payment of the providers.
pub const FIRST_DAY: NaiveDate = match NaiveDate::from_ymd_opt(2000, 1, 1) {
    Some(day) => day,
    None => NaiveDate::MIN,
};
/// The last one: far in the future, and far from the end of what PostgreSQL and `chrono` can calculate with.
pub const LAST_DAY: NaiveDate = match NaiveDate::from_ymd_opt(2200, 1, 1) {
    Some(day) => day,
    None => NaiveDate::MAX,
};

/// The most days that one request may span.
pub const MAX_DAYS: i64 = 400;

/// Days from `from` to `to`, both inclusive, in one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DayRange {
    from: NaiveDate,
    to: NaiveDate,
    zone: Tz,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DayRangeError {
    #[error("from_date {from} is after to_date {to}: swap them")]
    Reversed { from: NaiveDate, to: NaiveDate },
    #[error("from_date {from} to to_date {to} are more than {MAX_DAYS} days: request fewer days at once")]
    TooLong { from: NaiveDate, to: NaiveDate },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a day from {FIRST_DAY} to {LAST_DAY}, written YYYY-MM-DD")]
pub struct InvalidDay;

/// Reads a day that a caller names in a request, a command or the arguments of a job.
pub fn parse_day(text: &str) -> Result<NaiveDate, InvalidDay> {
    // chrono alone also accepts 2026-1-5, blanks, and years of any length.
    let is_written_in_full = text.len() == "YYYY-MM-DD".len()
        && text
            .bytes()
            .enumerate()
            .all(|(index, byte)| byte.is_ascii_digit() || (byte == b'-' && matches!(index, 4 | 7)));
    let day = text.parse().ok().filter(|_| is_written_in_full);
    day.filter(|day| (FIRST_DAY..=LAST_DAY).contains(day)).ok_or(InvalidDay)
}

/// [`parse_day`] for a field of a serde type.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NaiveDate, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_day(&text).map_err(serde::de::Error::custom)
}

/// [`deserialize`] for a field that may be absent.
pub fn deserialize_optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NaiveDate>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse_day(&text)).transpose().map_err(serde::de::Error::custom)
}

impl DayRange {
    pub fn new(from: NaiveDate, to: NaiveDate, zone: Tz) -> Result<Self, DayRangeError> {
        if from > to {
            return Err(DayRangeError::Reversed { from, to });
        }
        if (to - from).num_days() >= MAX_DAYS {
            return Err(DayRangeError::TooLong { from, to });
        }
        Ok(Self { from, to, zone })
    }

    /// The last `days` days, up to and including the day of `now`.
    #[must_use]
    pub fn last(days: u64, now: DateTime<Utc>, zone: Tz) -> Self {
        let to = day_of(now, zone);
        Self { from: to.checked_sub_days(Days::new(days.saturating_sub(1))).unwrap_or(to), to, zone }
    }

    #[must_use]
    pub fn single(day: NaiveDate, zone: Tz) -> Self {
        Self { from: day, to: day, zone }
    }

    #[must_use]
    pub fn from(&self) -> NaiveDate {
        self.from
    }

    #[must_use]
    pub fn to(&self) -> NaiveDate {
        self.to
    }

    #[must_use]
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The same number of days, immediately before these.
    #[must_use]
    pub fn previous(&self) -> Self {
        let days = Days::new((self.to - self.from).num_days().unsigned_abs() + 1);
        Self {
            from: self.from.checked_sub_days(days).unwrap_or(self.from),
            to: self.to.checked_sub_days(days).unwrap_or(self.to),
            zone: self.zone,
        }
    }

    #[must_use]
    pub fn time_range(&self) -> TimeRange {
        let (from, until) = self.instants();
        TimeRange { from, until }
    }

    /// The first instant of the first day, and the first instant after the last day.
    #[must_use]
    pub fn instants(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        let after = self.to.checked_add_days(Days::new(1)).unwrap_or(self.to);
        (start_of_day(self.from, self.zone), start_of_day(after, self.zone))
    }
}

#[must_use]
pub fn day_of(now: DateTime<Utc>, zone: Tz) -> NaiveDate {
    now.with_timezone(&zone).date_naive()
}

/// The day before the one that `now` falls on in `zone`.
#[must_use]
pub fn day_before(now: DateTime<Utc>, zone: Tz) -> NaiveDate {
    let today = day_of(now, zone);
    today.pred_opt().unwrap_or(today)
}

#[must_use]
pub fn start_of_day(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    first_instant(day.and_time(NaiveTime::MIN), zone)
}

/// The first instant at which the clocks of `zone` show `local`, or the first one after the gap if they skip it.
#[must_use]
pub fn first_instant(mut local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    // The longest known gap is a whole day (Samoa, 2011); all known gaps are multiples of 15 minutes.
    for _ in 0..=96 {
        match zone.from_local_datetime(&local) {
            MappedLocalTime::Single(instant) | MappedLocalTime::Ambiguous(instant, _) => {
                return instant.to_utc();
            }
            MappedLocalTime::None => local += Duration::minutes(15),
        }
    }
    local.and_utc()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect(text)
    }

    #[test]
    fn days_of_callers_are_written_in_full_and_lie_within_two_centuries() {
        for text in ["2000-01-01", "2026-01-05", "2024-02-29", "2199-12-31", "2200-01-01"] {
            assert_eq!(parse_day(text), Ok(day(text)));
        }
        for text in [
            "",
            "2026-1-5",
            "05.01.2026",
            "2026-02-30",
            "20260105",
            "1999-12-31",
            "2200-01-02",
            "9999-12-31",
            "-9999-1-01",
            "-999-01-01",
            "+999-01-01",
            "+12026-1-1",
            " 2026-1-05",
            "2026-01-5 ",
            "２０２６-0",
            "0000-01-01",
        ] {
            assert_eq!(parse_day(text), Err(InvalidDay), "{text}");
        }
    }

    #[test]
    fn day_starts_at_its_first_existing_instant() {
        for (zone, date, expected) in [
            (Tz::UTC, "2026-01-15", "2026-01-15T00:00:00Z"),
            (Tz::Asia__Kolkata, "2026-01-15", "2026-01-14T18:30:00Z"),
            (Tz::Asia__Kathmandu, "2026-01-15", "2026-01-14T18:15:00Z"),
            (Tz::Europe__Berlin, "2026-03-29", "2026-03-28T23:00:00Z"),
            // Midnight does not exist on that day in Santiago: clocks go from 23:59 to 01:00.
            (Tz::America__Santiago, "2024-09-08", "2024-09-08T04:00:00Z"),
        ] {
            assert_eq!(
                start_of_day(day(date), zone),
                expected.parse::<DateTime<Utc>>().expect(expected),
                "{zone} {date}"
            );
        }
    }

    #[test]
    fn day_of_a_clock_change_may_have_23_hours() {
        let range = DayRange::new(day("2026-03-29"), day("2026-03-29"), Tz::Europe__Berlin).expect("a range");
        let (start, end) = range.instants();
        assert_eq!((end - start).num_hours(), 23);
    }

    #[test]
    fn reversed_and_too_long_ranges_are_rejected() {
        assert!(matches!(
            DayRange::new(day("2026-01-02"), day("2026-01-01"), Tz::UTC),
            Err(DayRangeError::Reversed { .. })
        ));
        assert!(matches!(
            DayRange::new(day("2025-01-01"), day("2026-02-05"), Tz::UTC),
            Err(DayRangeError::TooLong { .. })
        ));
        assert!(DayRange::new(day("2025-01-01"), day("2026-02-04"), Tz::UTC).is_ok());
    }

    #[test]
    fn previous_range_has_the_same_length() {
        let range = DayRange::new(day("2026-01-08"), day("2026-01-14"), Tz::UTC).expect("a range");
        assert_eq!((range.previous().from(), range.previous().to()), (day("2026-01-01"), day("2026-01-07")));
    }
}
