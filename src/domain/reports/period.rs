//! The days that an export of a schedule covers, relative to the time of its run.

use chrono::{DateTime, Datelike, Days, NaiveDate, Utc};
use chrono_tz::Tz;

use crate::domain::day::{DayRange, day_of};
use crate::domain::string_enum::string_enum;

string_enum! {
    /// Full days that have ended, except `today`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Period {
        /// Up to the time of the run.
        Today = "today",
        Yesterday = "yesterday",
        Last7Days = "last_7_days",
        Last30Days = "last_30_days",
        /// Monday to Sunday.
        LastWeek = "last_week",
        /// From the first to yesterday; on the first, the whole month before.
        MonthToYesterday = "month_to_yesterday",
        LastMonth = "last_month",
    }
}

impl Period {
    /// The days of the run at `due_at`: however late it runs, it covers the same.
    #[must_use]
    pub fn days(self, due_at: DateTime<Utc>, zone: Tz) -> DayRange {
        let today = day_of(due_at, zone);
        let yesterday = days_before(today, 1);
        let (from, to) = match self {
            Self::Today => (today, today),
            Self::Yesterday => (yesterday, yesterday),
            Self::Last7Days => (days_before(today, 7), yesterday),
            Self::Last30Days => (days_before(today, 30), yesterday),
            Self::LastWeek => {
                let sunday = days_before(today, u64::from(today.weekday().num_days_from_monday()) + 1);
                (days_before(sunday, 6), sunday)
            }
            Self::MonthToYesterday => (first_of_month(yesterday), yesterday),
            Self::LastMonth => {
                let last = days_before(first_of_month(today), 1);
                (first_of_month(last), last)
            }
        };
        // Never fails: the first day is not after the last, and a month is short enough.
        DayRange::new(from, to, zone).unwrap_or_else(|_| DayRange::single(to, zone))
    }
}

fn days_before(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_sub_days(Days::new(days)).unwrap_or(day)
}

fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn days_are_those_of_the_zone_before_the_run() {
        use Tz::{America__New_York as NewYork, Asia__Kolkata as Kolkata, UTC};
        for (period, due_at, zone, from, to) in [
            (Period::Today, "2026-01-15T20:00:00Z", Kolkata, "2026-01-16", "2026-01-16"),
            (Period::Yesterday, "2026-01-15T20:00:00Z", Kolkata, "2026-01-15", "2026-01-15"),
            (Period::Yesterday, "2026-01-15T18:29:59Z", Kolkata, "2026-01-14", "2026-01-14"),
            (Period::Yesterday, "2026-03-01T00:00:00Z", UTC, "2026-02-28", "2026-02-28"),
            // The clocks go forward on March 8: its day has 23 hours.
            (Period::Yesterday, "2026-03-09T04:00:00Z", NewYork, "2026-03-08", "2026-03-08"),
            (Period::Yesterday, "2026-03-09T03:59:59Z", NewYork, "2026-03-07", "2026-03-07"),
            (Period::Last7Days, "2026-01-15T10:00:00Z", UTC, "2026-01-08", "2026-01-14"),
            (Period::Last30Days, "2026-01-15T10:00:00Z", UTC, "2025-12-16", "2026-01-14"),
            // A Thursday, a Monday and a Sunday.
            (Period::LastWeek, "2026-01-15T10:00:00Z", UTC, "2026-01-05", "2026-01-11"),
            (Period::LastWeek, "2026-01-12T00:00:00Z", UTC, "2026-01-05", "2026-01-11"),
            (Period::LastWeek, "2026-01-11T23:59:59Z", UTC, "2025-12-29", "2026-01-04"),
            (Period::MonthToYesterday, "2026-01-15T10:00:00Z", UTC, "2026-01-01", "2026-01-14"),
            (Period::MonthToYesterday, "2026-03-01T10:00:00Z", UTC, "2026-02-01", "2026-02-28"),
            (Period::LastMonth, "2026-03-31T10:00:00Z", UTC, "2026-02-01", "2026-02-28"),
            (Period::LastMonth, "2028-03-01T10:00:00Z", UTC, "2028-02-01", "2028-02-29"),
            (Period::LastMonth, "2026-01-01T10:00:00Z", UTC, "2025-12-01", "2025-12-31"),
        ] {
            let days = period.days(due_at.parse().expect(due_at), zone);
            assert_eq!(
                (days.from().to_string(), days.to().to_string(), days.zone()),
                (from.to_owned(), to.to_owned(), zone),
                "{} {due_at} {zone}",
                period.as_str()
            );
        }
    }

    proptest! {
        #[test]
        fn periods_end_before_the_run_begins(seconds in 1_500_000_000_i64..2_500_000_000, zone in 0..chrono_tz::TZ_VARIANTS.len()) {
            let due_at = DateTime::from_timestamp(seconds, 0).expect("a time");
            let zone = chrono_tz::TZ_VARIANTS[zone];
            for period in Period::ALL {
                let range = period.days(due_at, zone).time_range();
                prop_assert!(range.from < range.until);
                let is_over = range.until <= due_at;
                prop_assert_eq!(is_over, period != Period::Today, "{} {} {}", period.as_str(), due_at, zone);
            }
        }
    }
}
