//! The two periods of a comparison: the current period so far, and an equal part of the previous one.
//!
//! If the current period has not ended, it is cut at the end of the current quarter of an hour, and the previous period at
//! the same local time. Rejected: cutting at the present instant (no query would ever repeat, and the last quarter of an
//! hour would be read payment by payment, twice), and cutting at the start of the quarter (the newest payments must count).
//! So the previous period may be longer by up to a quarter of an hour; both report where they end.

use chrono::{DateTime, Datelike, Days, NaiveDate, Utc};
use chrono_tz::Tz;

use super::cell::Width;
use crate::domain::day::{DayRange, day_of, first_instant};
use crate::domain::string_enum::string_enum;
use crate::domain::time_range::TimeRange;

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub enum ComparisonType {
        /// Today with yesterday.
        #[default]
        Day = "day",
        /// This week, from Monday, with the previous one.
        Week = "week",
        /// This calendar month with the previous one.
        Month = "month",
        /// Requested days with the same number of days before them.
        Custom = "custom",
    }
}

/// The two periods do not overlap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComparedPeriods {
    pub previous: TimeRange,
    pub current: TimeRange,
}

impl ComparisonType {
    /// The periods at `now`, in the zone of `days`. Only `Custom` uses the days themselves.
    #[must_use]
    pub fn periods(self, days: DayRange, now: DateTime<Utc>) -> ComparedPeriods {
        let zone = days.zone();
        let today = day_of(now, zone);
        let back = |day: NaiveDate, days: u32| day.checked_sub_days(Days::new(days.into())).unwrap_or(day);
        let first = match self {
            Self::Day => today,
            Self::Week => back(today, today.weekday().num_days_from_monday()),
            Self::Month => back(today, today.day0()),
            Self::Custom => days.from(),
        };
        let before = match self {
            Self::Day => back(first, 1),
            Self::Week => back(first, 7),
            Self::Month => back(first, back(first, 1).day()),
            Self::Custom => days.previous().from(),
        };
        let last = if self == Self::Custom { days.to() } else { today };
        compare((before, first, last), zone, now)
    }
}

/// The current period is from `first` to the end of `last` or of the current quarter of an hour, whichever is earlier; the
/// previous one is equally long, from `before`.
fn compare((before, first, last): (NaiveDate, NaiveDate, NaiveDate), zone: Tz, now: DateTime<Utc>) -> ComparedPeriods {
    let start = |day: NaiveDate| first_instant(day.into(), zone);
    let from = start(first);
    let quarter_end = Width::Quarter.start(now) + Width::Quarter.length();
    let until = quarter_end.min(start(last.succ_opt().unwrap_or(last))).max(from);
    // By local time instead of hours: a day may have 23 or 25 hours.
    let local = until.with_timezone(&zone).naive_local();
    let same_time = local.checked_sub_signed(first - before).unwrap_or(local);
    // The previous month may be shorter than the elapsed part of this one.
    let previous_until = first_instant(same_time, zone).min(from);
    ComparedPeriods {
        previous: TimeRange { from: start(before), until: previous_until },
        current: TimeRange { from, until },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().expect(text)
    }

    /// The four boundaries in local time: previous, then current.
    fn periods(comparison: ComparisonType, days: (&str, &str), zone: Tz, now: &str) -> [String; 4] {
        let days = DayRange::new(day(days.0), day(days.1), zone).expect("days");
        let ComparedPeriods { previous, current } = comparison.periods(days, now.parse().expect(now));
        [previous.from, previous.until, current.from, current.until]
            .map(|time| time.with_timezone(&zone).format("%m-%d %H:%M").to_string())
    }

    #[test]
    fn running_period_is_compared_with_an_equal_part_of_the_previous_one() {
        use ComparisonType::{Day, Month, Week};
        for (comparison, zone, now, expected) in [
            (Day, Tz::UTC, "2026-01-15T10:07:00Z", ["01-14 00:00", "01-14 10:15", "01-15 00:00", "01-15 10:15"]),
            (Day, Tz::UTC, "2026-01-15T10:15:00Z", ["01-14 00:00", "01-14 10:30", "01-15 00:00", "01-15 10:30"]),
            // The last quarter of a day: yesterday as a whole.
            (Day, Tz::UTC, "2026-01-15T23:50:00Z", ["01-14 00:00", "01-15 00:00", "01-15 00:00", "01-16 00:00"]),
            (
                Day,
                Tz::Asia__Kathmandu,
                "2026-01-14T18:16:00Z",
                ["01-14 00:00", "01-14 00:15", "01-15 00:00", "01-15 00:15"],
            ),
            // A Thursday; a Monday.
            (Week, Tz::UTC, "2026-01-15T10:07:00Z", ["01-05 00:00", "01-08 10:15", "01-12 00:00", "01-15 10:15"]),
            (Week, Tz::UTC, "2026-01-12T00:00:00Z", ["01-05 00:00", "01-05 00:15", "01-12 00:00", "01-12 00:15"]),
            (Month, Tz::UTC, "2026-01-15T10:07:00Z", ["12-01 00:00", "12-15 10:15", "01-01 00:00", "01-15 10:15"]),
            // February has no 31st: all of it, and no more.
            (Month, Tz::UTC, "2026-03-31T10:07:00Z", ["02-01 00:00", "03-01 00:00", "03-01 00:00", "03-31 10:15"]),
            // April has no 31st to compare with that of March.
            (Month, Tz::UTC, "2026-04-30T23:50:00Z", ["03-01 00:00", "03-31 00:00", "04-01 00:00", "05-01 00:00"]),
        ] {
            assert_eq!(periods(comparison, ("2025-06-01", "2025-06-02"), zone, now), expected, "{comparison:?} {now}");
        }
    }

    #[test]
    fn clock_changes_affect_hours_but_not_local_times() {
        let zone = Tz::America__New_York;
        for (now, expected, previous_hours, current_hours) in [
            // Clocks go forward at two on the 8th.
            ("2026-03-08T12:00:00Z", ["03-07 00:00", "03-07 08:15", "03-08 00:00", "03-08 08:15"], 8, 7),
            ("2026-03-09T06:30:00Z", ["03-08 00:00", "03-08 03:00", "03-09 00:00", "03-09 02:45"], 2, 2),
            // Clocks go back at two on the 1st: half past one occurs twice, and the first time is used.
            ("2026-11-01T06:20:00Z", ["10-31 00:00", "10-31 01:30", "11-01 00:00", "11-01 01:30"], 1, 2),
            ("2026-11-02T06:20:00Z", ["11-01 00:00", "11-01 01:30", "11-02 00:00", "11-02 01:30"], 1, 1),
        ] {
            assert_eq!(periods(ComparisonType::Day, ("2025-06-01", "2025-06-02"), zone, now), expected, "{now}");
            let days = DayRange::single(day("2025-06-01"), zone);
            let ComparedPeriods { previous, current } = ComparisonType::Day.periods(days, now.parse().expect(now));
            let hours = [previous, current].map(|period| (period.until - period.from).num_hours());
            assert_eq!(hours, [previous_hours, current_hours], "{now}");
        }
    }

    #[test]
    fn custom_days_are_compared_with_the_same_number_before() {
        for (days, expected) in [
            (("2026-01-08", "2026-01-14"), ["01-01 00:00", "01-08 00:00", "01-08 00:00", "01-15 00:00"]),
            (("2026-01-14", "2026-01-20"), ["01-07 00:00", "01-08 10:15", "01-14 00:00", "01-15 10:15"]),
            // The future is empty, and is compared with an empty period.
            (("2026-02-01", "2026-02-02"), ["01-30 00:00", "01-30 00:00", "02-01 00:00", "02-01 00:00"]),
        ] {
            assert_eq!(periods(ComparisonType::Custom, days, Tz::UTC, "2026-01-15T10:07:00Z"), expected, "{days:?}");
        }
    }
}
