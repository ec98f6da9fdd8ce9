//! The time of a query, divided into consecutive ranges that are each counted under a key.
//!
//! Several ranges may share a key (every Monday from nine to ten), and a range may have none (the time between two compared
//! periods). All boundaries are computed here, by the calendar of a zone with its clock changes, so that the database needs
//! no zones.

use std::ops::RangeInclusive;

use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;

use super::cell::Width;
use super::granularity::Granularity;
use super::rollup_plan::RollupPlan;
use crate::domain::day::DayRange;
use crate::domain::time_range::TimeRange;

/// The most buckets of one response: five minutes of 30 days are 8,640.
pub const MAX_BUCKETS: usize = 10_000;

pub const HOURS: i32 = 24;

/// The default is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TimeBuckets {
    pub(super) boundaries: Vec<DateTime<Utc>>,
    /// The key of the range that starts at each boundary but the last.
    pub(super) keys: Vec<Option<i32>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("would result in more than {MAX_BUCKETS} buckets: request fewer days or a coarser granularity")]
pub struct TooManyBuckets;

impl TimeBuckets {
    /// The key of the earlier range of [`Self::two`].
    pub const EARLIER: i32 = 0;
    /// The key of the later range of [`Self::two`].
    pub const LATER: i32 = 1;

    /// One range, with the key 0.
    #[must_use]
    pub fn one(range: TimeRange) -> Self {
        Self { boundaries: vec![range.from, range.until], keys: vec![Some(0)] }
    }

    /// Two ranges that do not overlap, with the keys [`Self::EARLIER`] and [`Self::LATER`].
    #[must_use]
    pub fn two(earlier: TimeRange, later: TimeRange) -> Self {
        let keys = [Some(Self::EARLIER), Some(Self::LATER)];
        if earlier.until == later.from {
            return Self { boundaries: vec![earlier.from, later.from, later.until], keys: keys.into() };
        }
        Self {
            boundaries: vec![earlier.from, earlier.until, later.from, later.until],
            keys: vec![keys[0], None, keys[1]],
        }
    }

    /// Ranges that do not overlap, the newest first, with the keys 0, 1, and so on.
    #[must_use]
    pub fn windows(ranges: &[TimeRange]) -> Self {
        let mut windows = Self::default();
        for (range, key) in ranges.iter().zip(0..).collect::<Vec<_>>().into_iter().rev() {
            match windows.boundaries.last() {
                Some(end) if *end == range.from => {}
                Some(_) => {
                    windows.keys.push(None);
                    windows.boundaries.push(range.from);
                }
                None => windows.boundaries.push(range.from),
            }
            windows.keys.push(Some(key));
            windows.boundaries.push(range.until);
        }
        windows
    }

    /// The ranges between consecutive boundaries, with the keys 0, 1, and so on.
    #[must_use]
    pub fn between(boundaries: Vec<DateTime<Utc>>) -> Self {
        let keys = (0..).map(Some).take(boundaries.len().saturating_sub(1)).collect();
        Self { boundaries, keys }
    }

    /// The ranges between consecutive boundaries, each with its key.
    pub(super) fn with_keys(boundaries: Vec<DateTime<Utc>>, keys: Vec<usize>) -> Self {
        // A key is the index of something that is in memory.
        let keys = keys.into_iter().map(|key| Some(i32::try_from(key).unwrap_or(i32::MAX))).collect();
        Self { boundaries, keys }
    }

    /// The buckets of days, with the keys 0, 1, and so on, and the start of each by the calendar, which for the first may be
    /// before the first day.
    pub fn calendar(days: DayRange, granularity: Granularity) -> Result<(Self, Vec<DateTime<Utc>>), TooManyBuckets> {
        let (from, until) = days.instants();
        let mut starts = vec![granularity.start(from, days.zone())];
        loop {
            let last = starts[starts.len() - 1];
            let next = granularity.next(last, days.zone());
            if next >= until {
                break;
            }
            if starts.len() == MAX_BUCKETS {
                return Err(TooManyBuckets);
            }
            starts.push(next);
        }
        let boundaries = std::iter::once(from).chain(starts.iter().skip(1).copied()).chain([until]).collect();
        Ok((Self::between(boundaries), starts))
    }

    /// The hours of days, each with the key of its weekday (0 is Monday) and hour.
    #[must_use]
    pub fn hours(days: DayRange, key: fn(weekday: i32, hour: i32) -> i32) -> Self {
        Self::folded(days, Granularity::Hour, |local| key(weekday(local), signed(local.hour())))
    }

    /// The days, each with its weekday as key (0 is Monday).
    #[must_use]
    pub fn weekdays(days: DayRange) -> Self {
        Self::folded(days, Granularity::Day, weekday)
    }

    /// The buckets of days, each with the key of its local start time.
    fn folded(days: DayRange, granularity: Granularity, key: impl Fn(&DateTime<Tz>) -> i32) -> Self {
        let (mut start, until) = days.instants();
        let mut buckets = Self { boundaries: vec![start], keys: vec![] };
        while start < until {
            let key = key(&start.with_timezone(&days.zone()));
            start = granularity.next(start, days.zone()).min(until);
            buckets.extend(start, Some(key));
        }
        buckets
    }

    /// Adds a range up to `end`, merged with the previous one if they share a key.
    pub(super) fn extend(&mut self, end: DateTime<Utc>, key: Option<i32>) {
        if self.keys.last() == Some(&key) {
            self.boundaries.pop();
            self.keys.pop();
        }
        self.boundaries.push(end);
        self.keys.push(key);
    }

    /// The start of each range, and the end of the last one.
    #[must_use]
    pub fn boundaries(&self) -> &[DateTime<Utc>] {
        &self.boundaries
    }

    /// The key of each range; -1 if it has none.
    #[must_use]
    pub fn keys(&self) -> Vec<i32> {
        self.keys.iter().map(|key| key.unwrap_or(-1)).collect()
    }

    /// The UTC days that the ranges overlap.
    #[must_use]
    pub fn days(&self) -> Option<RangeInclusive<NaiveDate>> {
        let (from, until) = self.boundaries.first().zip(self.boundaries.last())?;
        Some(from.date_naive()..=(*until - TimeDelta::nanoseconds(1)).date_naive())
    }

    /// The time before `at`, and the rest. `None` if one of them is empty.
    #[must_use]
    pub fn split(&self, at: DateTime<Utc>) -> Option<(Self, Self)> {
        let before = self.boundaries.partition_point(|boundary| *boundary < at);
        if before == 0 || before == self.boundaries.len() {
            return None;
        }
        let after = self.boundaries.partition_point(|boundary| *boundary <= at);
        let earlier = Self {
            boundaries: self.boundaries[..before].iter().copied().chain([at]).collect(),
            keys: self.keys[..before].to_vec(),
        };
        let later = Self {
            boundaries: std::iter::once(at).chain(self.boundaries[after..].iter().copied()).collect(),
            keys: self.keys[after - 1..].to_vec(),
        };
        (after < self.boundaries.len()).then_some((earlier, later))
    }

    /// Uses cells of at least width `finest`, or only payments without it.
    #[must_use]
    pub fn rollup_plan(&self, finest: Option<Width>) -> RollupPlan {
        let mut plan = RollupPlan::default();
        let mut from = 0;
        // Adjacent ranges are covered together; ranges without a key are skipped.
        while from < self.keys.len() {
            let touching = self.keys[from..].iter().take_while(|key| key.is_some()).count();
            let boundaries = &self.boundaries[from..=from + touching];
            let part = match finest {
                Some(finest) => RollupPlan::new(boundaries, finest),
                None if touching > 0 => RollupPlan::without_cells(boundaries),
                None => RollupPlan::default(),
            };
            plan.spans.extend(part.spans);
            plan.rest.extend(part.rest);
            from += touching + 1;
        }
        plan
    }
}

/// 0 is Monday.
fn weekday(local: &DateTime<Tz>) -> i32 {
    signed(local.weekday().num_days_from_monday())
}

/// Hours and weekdays always fit into an i32.
fn signed(count: u32) -> i32 {
    i32::try_from(count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(from: &str, to: &str, zone: Tz) -> DayRange {
        DayRange::new(from.parse().expect(from), to.parse().expect(to), zone).expect("days")
    }

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    #[test]
    fn buckets_follow_the_calendar_of_the_zone() {
        for (zone, granularity, from, to, count, first, second) in [
            (
                Tz::UTC,
                Granularity::Minute,
                "2026-01-15",
                "2026-01-15",
                1440,
                "2026-01-15T00:00:00Z",
                "2026-01-15T00:01:00Z",
            ),
            (
                Tz::Asia__Kathmandu,
                Granularity::QuarterHour,
                "2026-01-15",
                "2026-01-15",
                96,
                "2026-01-14T18:15:00Z",
                "2026-01-14T18:30:00Z",
            ),
            (
                Tz::Asia__Kathmandu,
                Granularity::Hour,
                "2026-01-15",
                "2026-01-15",
                24,
                "2026-01-14T18:15:00Z",
                "2026-01-14T19:15:00Z",
            ),
            (
                Tz::Asia__Kolkata,
                Granularity::Day,
                "2026-01-15",
                "2026-01-17",
                3,
                "2026-01-14T18:30:00Z",
                "2026-01-15T18:30:00Z",
            ),
            // The day on which clocks go forward has 23 hours, the one on which they go back 25.
            (
                Tz::America__New_York,
                Granularity::Hour,
                "2026-03-08",
                "2026-03-08",
                23,
                "2026-03-08T05:00:00Z",
                "2026-03-08T06:00:00Z",
            ),
            (
                Tz::America__New_York,
                Granularity::Hour,
                "2026-11-01",
                "2026-11-01",
                25,
                "2026-11-01T04:00:00Z",
                "2026-11-01T05:00:00Z",
            ),
            (
                Tz::America__New_York,
                Granularity::Day,
                "2026-03-08",
                "2026-03-09",
                2,
                "2026-03-08T05:00:00Z",
                "2026-03-09T04:00:00Z",
            ),
            // Clocks go forward by half an hour at two: the hour from two to three has thirty minutes.
            (
                Tz::Australia__Lord_Howe,
                Granularity::Hour,
                "2026-10-04",
                "2026-10-04",
                24,
                "2026-10-03T13:30:00Z",
                "2026-10-03T14:30:00Z",
            ),
            // Weeks and months start by the calendar, before the first requested day.
            (Tz::UTC, Granularity::Week, "2026-01-15", "2026-01-20", 2, "2026-01-12T00:00:00Z", "2026-01-19T00:00:00Z"),
            (
                Tz::UTC,
                Granularity::Month,
                "2026-01-15",
                "2026-03-20",
                3,
                "2026-01-01T00:00:00Z",
                "2026-02-01T00:00:00Z",
            ),
        ] {
            let days = days(from, to, zone);
            let (buckets, starts) = TimeBuckets::calendar(days, granularity).expect("few enough");
            let context = format!("{zone} {granularity:?} {from}");
            assert_eq!((starts.len(), starts[0], starts[1]), (count, time(first), time(second)), "{context}");
            assert_eq!(buckets.keys.len(), count, "{context}");
            assert_eq!((buckets.boundaries[0], buckets.boundaries[count]), days.instants(), "{context}");
            assert_eq!(buckets.boundaries[1..count], starts[1..], "{context}");
        }
    }

    #[test]
    fn ranges_can_be_split_at_any_time() {
        let at = |hour: i64| time("2026-01-15T00:00:00Z") + TimeDelta::hours(hour);
        // Two hours are compared with two others; an hour between them is in neither.
        let buckets =
            TimeBuckets::two(TimeRange { from: at(0), until: at(2) }, TimeRange { from: at(3), until: at(5) });
        let shown = |buckets: &TimeBuckets| {
            let hours: Vec<i64> = buckets.boundaries.iter().map(|boundary| (*boundary - at(0)).num_hours()).collect();
            (hours, buckets.keys())
        };
        let split = |hour: i64| buckets.split(at(hour)).map(|(earlier, later)| (shown(&earlier), shown(&later)));
        for outside in [-1, 0, 5, 6] {
            assert_eq!(split(outside), None, "{outside}");
        }
        assert_eq!(split(1), Some(((vec![0, 1], vec![0]), (vec![1, 2, 3, 5], vec![0, -1, 1]))));
        assert_eq!(split(2), Some(((vec![0, 2], vec![0]), (vec![2, 3, 5], vec![-1, 1]))));
        assert_eq!(split(4), Some(((vec![0, 2, 3, 4], vec![0, -1, 1]), (vec![4, 5], vec![1]))));
        let day = |text: &str| text.parse::<NaiveDate>().expect(text);
        assert_eq!(buckets.days(), Some(day("2026-01-15")..=day("2026-01-15")));
        let until_midnight = TimeBuckets::one(TimeRange { from: at(-1), until: at(24) });
        assert_eq!(until_midnight.days(), Some(day("2026-01-14")..=day("2026-01-15")));
    }

    #[test]
    fn more_than_ten_thousand_buckets_are_rejected() {
        assert!(TimeBuckets::calendar(days("2026-01-01", "2026-01-07", Tz::UTC), Granularity::Minute).is_err());
        assert!(TimeBuckets::calendar(days("2026-01-01", "2026-01-06", Tz::UTC), Granularity::Minute).is_ok());
        assert!(TimeBuckets::calendar(days("2026-01-01", "2026-01-30", Tz::UTC), Granularity::FiveMinutes).is_ok());
        assert!(TimeBuckets::calendar(days("2026-01-01", "2026-02-04", Tz::UTC), Granularity::FiveMinutes).is_err());
        assert!(TimeBuckets::calendar(days("2026-01-01", "2027-02-04", Tz::UTC), Granularity::Hour).is_ok());
    }

    #[test]
    fn hours_and_weekdays_follow_the_local_time() {
        let hours = TimeBuckets::hours(days("2026-01-15", "2026-01-15", Tz::Asia__Kolkata), |weekday, hour| {
            weekday * HOURS + hour
        });
        // A Thursday.
        assert_eq!((hours.keys(), hours.boundaries[1]), ((72..96).collect(), time("2026-01-14T19:30:00Z")));
        // 01:00 occurs twice in autumn, 02:00 does not occur in spring.
        let back = TimeBuckets::hours(days("2026-11-01", "2026-11-01", Tz::America__New_York), |_, hour| hour);
        assert_eq!(back.keys(), (0..24).collect::<Vec<_>>());
        assert_eq!(back.boundaries[2] - back.boundaries[1], TimeDelta::hours(2));
        let forward = TimeBuckets::hours(days("2026-03-08", "2026-03-08", Tz::America__New_York), |_, hour| hour);
        assert_eq!(forward.keys(), (0..24).filter(|hour| *hour != 2).collect::<Vec<_>>());
        let weekdays = TimeBuckets::weekdays(days("2026-01-15", "2026-01-19", Tz::UTC));
        assert_eq!(weekdays.keys(), [3, 4, 5, 6, 0]);
    }

    #[test]
    fn time_between_two_periods_is_not_read() {
        let range = |from: &str, until: &str| TimeRange { from: time(from), until: time(until) };
        let apart = TimeBuckets::two(
            range("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            range("2026-02-01T00:00:00Z", "2026-02-02T00:00:00Z"),
        );
        assert_eq!(apart.keys(), [0, -1, 1]);
        let cover = apart.rollup_plan(Some(Width::Day));
        assert_eq!((cover.spans.len(), cover.rest.len()), (2, 0));
        assert_eq!(apart.rollup_plan(None).rest.len(), 2);
        let touching = TimeBuckets::two(
            range("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
            range("2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"),
        );
        assert_eq!((touching.keys(), touching.rollup_plan(Some(Width::Day)).spans.len()), (vec![0, 1], 1));
    }
}
