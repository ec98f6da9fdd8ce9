//! Hours of the day, and days of the week, by the clocks of a zone: the cells of a heatmap, as a filter.

use chrono::{DateTime, Datelike, SubsecRound, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use super::granularity::Granularity;
use super::time_buckets::TimeBuckets;
use crate::domain::time_range::TimeRange;

/// Times that recur every day or every week. An hour that occurs twice when clocks go back is meant both times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalTimes {
    pub zone: Tz,
    /// 0 is Monday.
    pub weekday: Option<u32>,
    /// From 0 to 23.
    pub hour: Option<u32>,
}

impl LocalTimes {
    /// The time of `range`, whose parts at these times have the key 0, and the others none.
    #[must_use]
    pub fn buckets(&self, range: TimeRange) -> TimeBuckets {
        let granularity = if self.hour.is_some() { Granularity::Hour } else { Granularity::Day };
        let mut buckets = TimeBuckets { boundaries: vec![range.from], keys: vec![] };
        let mut start = range.from;
        while start < range.until {
            let end =
                granularity.next(start.trunc_subsecs(0).with_second(0).unwrap_or(start), self.zone).min(range.until);
            buckets.extend(end, self.includes(start).then_some(0));
            start = end;
        }
        buckets
    }

    /// The parts of `range` at these times, the earliest first.
    #[must_use]
    pub fn ranges(&self, range: TimeRange) -> Vec<TimeRange> {
        self.buckets(range).keyed_ranges()
    }

    fn includes(&self, time: DateTime<Utc>) -> bool {
        let local = time.with_timezone(&self.zone);
        self.weekday.is_none_or(|weekday| local.weekday().num_days_from_monday() == weekday)
            && self.hour.is_none_or(|hour| local.hour() == hour)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn range(from: &str, until: &str) -> TimeRange {
        TimeRange { from: from.parse().expect(from), until: until.parse().expect(until) }
    }

    #[test]
    fn local_times_are_ranges_of_instants() {
        let times = |zone, weekday, hour| LocalTimes { zone, weekday, hour };
        for (times, within, expected) in [
            // A Thursday and a Friday.
            (
                times(Tz::Asia__Kolkata, None, Some(9)),
                range("2026-01-14T18:30:00Z", "2026-01-16T18:30:00Z"),
                vec![
                    range("2026-01-15T03:30:00Z", "2026-01-15T04:30:00Z"),
                    range("2026-01-16T03:30:00Z", "2026-01-16T04:30:00Z"),
                ],
            ),
            (
                times(Tz::UTC, Some(4), None),
                range("2026-01-15T12:00:00Z", "2026-01-16T18:30:10Z"),
                vec![range("2026-01-16T00:00:00Z", "2026-01-16T18:30:10Z")],
            ),
            // The hour that occurs twice.
            (
                times(Tz::America__New_York, Some(6), Some(1)),
                range("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
                vec![range("2026-11-01T05:00:00Z", "2026-11-01T07:00:00Z")],
            ),
            (times(Tz::UTC, Some(0), None), range("2026-01-15T00:00:00Z", "2026-01-16T00:00:00Z"), vec![]),
            (
                times(Tz::UTC, None, Some(10)),
                range("2026-01-15T10:20:30.5Z", "2026-01-15T10:40:00Z"),
                vec![range("2026-01-15T10:20:30.5Z", "2026-01-15T10:40:00Z")],
            ),
        ] {
            assert_eq!(times.ranges(within), expected, "{times:?}");
        }
    }

    proptest! {
        #[test]
        fn every_second_is_in_a_range_if_its_local_time_is_meant(
            zone in prop_oneof![Just(Tz::UTC), Just(Tz::Asia__Kathmandu), Just(Tz::America__New_York)],
            weekday in proptest::option::of(0_u32..7),
            hour in proptest::option::of(0_u32..24),
            (from, length, second) in (0_i64..1_000_000, 0_i64..900_000, 0_i64..1_900_000),
        ) {
            // Around a change of clocks in New York.
            let time = |second: i64| range("2026-10-28T00:00:00Z", "2026-10-28T00:00:00Z").from + TimeDelta::seconds(second);
            let (times, within) = (LocalTimes { zone, weekday, hour }, TimeRange { from: time(from), until: time(from + length) });
            let at = time(second);
            let found = times.ranges(within).iter().any(|range| (range.from..range.until).contains(&at));
            prop_assert_eq!(found, (within.from..within.until).contains(&at) && times.includes(at));
        }
    }
}
