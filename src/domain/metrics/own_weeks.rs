//! A period, and the same days of the four periods before it, with which something is compared with itself.
//!
//! The earlier periods lie whole weeks before, so that a Monday is compared with Mondays: a week apart for up to seven days, two
//! weeks for up to fourteen, and so on, since they must not overlap. If the current period has not ended, all are cut at the same
//! local time, at the end of the current quarter of an hour, as in [`comparison`](super::comparison).

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::cell::Width;
use crate::domain::day::{DayRange, first_instant};
use crate::domain::time_range::TimeRange;

/// How many earlier periods there are.
pub const EARLIER: usize = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnWeeks {
    pub current: TimeRange,
    /// The latest first.
    pub earlier: [TimeRange; EARLIER],
}

impl OwnWeeks {
    #[must_use]
    pub fn new(days: DayRange, now: DateTime<Utc>) -> Self {
        let zone = days.zone();
        let start = |day: NaiveDate| first_instant(day.into(), zone);
        let from = start(days.from());
        let quarter_end = Width::Quarter.start(now) + Width::Quarter.length();
        let end = start(days.to().succ_opt().unwrap_or(days.to()));
        let current = TimeRange { from, until: quarter_end.min(end).max(from) };
        let length = (days.to() - days.from()).num_days() + 1;
        let step = TimeDelta::weeks((length + 6) / 7);
        // By local time: clocks may have changed since.
        let before = |time: DateTime<Utc>, periods: i32| {
            let local = time.with_timezone(&zone).naive_local();
            first_instant(local.checked_sub_signed(step * periods).unwrap_or(local), zone)
        };
        let earlier = [1, 2, 3, 4]
            .map(|periods| TimeRange { from: before(current.from, periods), until: before(current.until, periods) });
        Self { current, earlier }
    }

    /// All periods, the latest first.
    #[must_use]
    pub fn all(&self) -> Vec<TimeRange> {
        std::iter::once(self.current).chain(self.earlier).collect()
    }
}

#[cfg(test)]
mod tests {
    use chrono_tz::Tz;

    use super::*;

    fn shown(range: TimeRange, zone: Tz) -> String {
        let [from, until] = [range.from, range.until].map(|time| time.with_timezone(&zone).format("%m-%d %H:%M"));
        format!("{from} {until}")
    }

    #[test]
    fn earlier_periods_have_the_same_weekdays_and_do_not_overlap() {
        for (days, zone, now, current, first, last) in [
            // A Thursday that has not ended.
            (
                ("2026-01-15", "2026-01-15"),
                Tz::Asia__Kathmandu,
                "2026-01-15T06:02:00Z",
                "01-15 00:00 01-15 12:00",
                "01-08 00:00 01-08 12:00",
                "12-18 00:00 12-18 12:00",
            ),
            (
                ("2026-01-05", "2026-01-11"),
                Tz::UTC,
                "2026-01-15T06:02:00Z",
                "01-05 00:00 01-12 00:00",
                "12-29 00:00 01-05 00:00",
                "12-08 00:00 12-15 00:00",
            ),
            // Eight days overlap those of the week before, so it is two weeks.
            (
                ("2026-01-05", "2026-01-12"),
                Tz::UTC,
                "2026-02-15T06:02:00Z",
                "01-05 00:00 01-13 00:00",
                "12-22 00:00 12-30 00:00",
                "11-10 00:00 11-18 00:00",
            ),
            // Clocks went forward on 8 March.
            (
                ("2026-03-10", "2026-03-10"),
                Tz::America__New_York,
                "2026-03-10T12:00:00Z",
                "03-10 00:00 03-10 08:15",
                "03-03 00:00 03-03 08:15",
                "02-10 00:00 02-10 08:15",
            ),
        ] {
            let range =
                DayRange::new(days.0.parse().expect("a day"), days.1.parse().expect("a day"), zone).expect("days");
            let weeks = OwnWeeks::new(range, now.parse().expect(now));
            assert_eq!(
                [weeks.current, weeks.earlier[0], weeks.earlier[3]].map(|range| shown(range, zone)),
                [current, first, last],
                "{days:?}"
            );
            for pair in weeks.all().windows(2) {
                assert!(pair[1].until <= pair[0].from, "{pair:?}");
            }
        }
    }
}
