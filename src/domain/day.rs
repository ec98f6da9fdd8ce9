//! Days as people mean them: calendar days of a time zone, both ends included.
//!
//! A zone may skip or repeat an hour, even at midnight: a day begins at its first instant that exists.

use chrono::{DateTime, Days, Duration, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::time_range::TimeRange;

/// The most days that an answer in buckets may span.
pub const MOST_DAYS: i64 = 400;

/// Days from `from` to `to`, both included, in one zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayRange {
    from: NaiveDate,
    to: NaiveDate,
    zone: Tz,
}

/// Why two days are no range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DayRangeError {
    /// The first day is after the last.
    #[error("from_date {from} is after to_date {to}: swap them")]
    Reversed {
        /// The first day.
        from: NaiveDate,
        /// The last day.
        to: NaiveDate,
    },
    /// More days than an answer may span.
    #[error("from_date {from} to to_date {to} are more than {MOST_DAYS} days: ask for less at once")]
    TooLong {
        /// The first day.
        from: NaiveDate,
        /// The last day.
        to: NaiveDate,
    },
}

impl DayRange {
    /// A range of at most [`MOST_DAYS`].
    ///
    /// # Errors
    /// [`DayRangeError`] where the days are reversed or too many.
    pub fn new(from: NaiveDate, to: NaiveDate, zone: Tz) -> Result<Self, DayRangeError> {
        if from > to {
            return Err(DayRangeError::Reversed { from, to });
        }
        if (to - from).num_days() >= MOST_DAYS {
            return Err(DayRangeError::TooLong { from, to });
        }
        Ok(Self { from, to, zone })
    }

    /// The day that `now` falls on in `zone`, and the days before it: `days` in all.
    #[must_use]
    pub fn last(days: u64, now: DateTime<Utc>, zone: Tz) -> Self {
        let to = day_of(now, zone);
        Self { from: to.checked_sub_days(Days::new(days.saturating_sub(1))).unwrap_or(to), to, zone }
    }

    /// One day.
    #[must_use]
    pub fn single(day: NaiveDate, zone: Tz) -> Self {
        Self { from: day, to: day, zone }
    }

    /// The first day.
    #[must_use]
    pub fn from(&self) -> NaiveDate {
        self.from
    }

    /// The last day.
    #[must_use]
    pub fn to(&self) -> NaiveDate {
        self.to
    }

    /// The zone whose days they are.
    #[must_use]
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// As many days, right before these.
    #[must_use]
    pub fn previous(&self) -> Self {
        let days = Days::new((self.to - self.from).num_days().unsigned_abs() + 1);
        Self {
            from: self.from.checked_sub_days(days).unwrap_or(self.from),
            to: self.to.checked_sub_days(days).unwrap_or(self.to),
            zone: self.zone,
        }
    }

    /// From the first instant of the first day to the end of the last.
    #[must_use]
    pub fn time_range(&self) -> TimeRange {
        let (from, until) = self.instants();
        TimeRange { from, until }
    }

    /// The instants: from the first, included, to the last, excluded.
    #[must_use]
    pub fn instants(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        let after = self.to.checked_add_days(Days::new(1)).unwrap_or(self.to);
        (start_of_day(self.from, self.zone), start_of_day(after, self.zone))
    }
}

/// The day that `now` falls on in `zone`.
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

/// The first instant of `day` in `zone`.
#[must_use]
pub fn start_of_day(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    first_instant(day.and_time(NaiveTime::MIN), zone)
}

/// The first instant at which the clocks of `zone` show `local`; where they skip it, the first one after the gap.
#[must_use]
pub fn first_instant(mut local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    // The longest gap known is a whole day (Samoa, 2011); a quarter of an hour divides every gap there has been.
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
    fn a_day_begins_at_its_first_instant() {
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
    fn a_day_of_a_zone_with_daylight_saving_may_have_23_hours() {
        let range = DayRange::new(day("2026-03-29"), day("2026-03-29"), Tz::Europe__Berlin).expect("a range");
        let (start, end) = range.instants();
        assert_eq!((end - start).num_hours(), 23);
    }

    #[test]
    fn ranges_are_checked() {
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
    fn the_days_before_are_as_many() {
        let range = DayRange::new(day("2026-01-08"), day("2026-01-14"), Tz::UTC).expect("a range");
        assert_eq!((range.previous().from(), range.previous().to()), (day("2026-01-01"), day("2026-01-07")));
    }
}
