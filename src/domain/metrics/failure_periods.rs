//! The periods that failures are compared in, divided into hours: the requested days, as many days before, and the usual.
//!
//! What is **usual** for an hour of a weekday is its mean over the four weeks before the first requested day; what is usual for
//! the requested days is the sum over their hours. An hour that has not ended counts in part, by quarters. Rejected: the median,
//! which is 0 for whatever fails less often than every other week; and the mean of whole days, which a period that has not ended
//! does not have.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Days, Timelike, Utc};
use chrono_tz::Tz;

use super::comparison::{ComparedPeriods, ComparisonType};
use super::granularity::Granularity;
use super::time_buckets::TimeBuckets;
use crate::domain::day::{DayRange, start_of_day};
use crate::domain::time_range::TimeRange;

const WEEKS: u32 = 4;

#[derive(Debug, Clone, PartialEq)]
pub struct FailurePeriods {
    /// Cut at the current quarter of an hour if the days have not ended.
    pub compared: ComparedPeriods,
    /// The four weeks before the first day.
    pub baseline: TimeRange,
    /// Ranges of adjacent hours that count alike; the key of each is the index of its class.
    pub buckets: TimeBuckets,
    pub classes: Vec<FailureClass>,
}

/// How the failures of some hours count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FailureClass {
    /// The hour of the day, by the clocks of the zone; `None` if hours are not separated.
    pub hour: Option<u32>,
    pub is_current: bool,
    pub is_previous: bool,
    /// How much each adds to what is usual; exact, because it is a multiple of 1/16.
    pub weight: f64,
}

/// A time within one hour.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Slot {
    range: TimeRange,
    class: FailureClass,
}

impl FailurePeriods {
    #[must_use]
    pub fn new(days: DayRange, now: DateTime<Utc>, by_hour: bool) -> Self {
        let compared = ComparisonType::Custom.periods(days, now);
        let zone = days.zone();
        let first = days.from().checked_sub_days(Days::new(7 * u64::from(WEEKS))).unwrap_or(days.from());
        let baseline = TimeRange { from: start_of_day(first, zone), until: start_of_day(days.from(), zone) };
        let (mut boundaries, mut keys, mut classes) = (vec![], vec![], Vec::<FailureClass>::new());
        for Slot { range, class } in slots(compared, baseline, zone) {
            let class = FailureClass { hour: class.hour.filter(|_| by_hour), ..class };
            let known = classes.iter().position(|other| *other == class);
            let key = known.unwrap_or(classes.len());
            if known.is_none() {
                classes.push(class);
            }
            if keys.last() == Some(&key) {
                boundaries.pop();
            } else {
                keys.push(key);
            }
            // The ranges are adjacent.
            if boundaries.is_empty() {
                boundaries.push(range.from);
            }
            boundaries.push(range.until);
        }
        Self { compared, baseline, buckets: TimeBuckets::with_keys(boundaries, keys), classes }
    }
}

/// The hours of all periods, in order; those of which a period ends within are divided.
fn slots(compared: ComparedPeriods, baseline: TimeRange, zone: Tz) -> Vec<Slot> {
    let mut boundaries: BTreeSet<DateTime<Utc>> = [compared.previous.until, compared.current.until].into();
    let mut start = baseline.from.min(compared.previous.from);
    while start < compared.current.until {
        boundaries.insert(start);
        start = Granularity::Hour.next(start, zone);
    }
    let boundaries: Vec<DateTime<Utc>> = boundaries.into_iter().collect();
    let hour_of_week = |time: DateTime<Utc>| {
        let local = time.with_timezone(&zone);
        (local.weekday().num_days_from_monday(), local.hour())
    };
    let ranges = || boundaries.windows(2).map(|pair| TimeRange { from: pair[0], until: pair[1] });
    let mut elapsed: BTreeMap<(u32, u32), f64> = BTreeMap::new();
    for range in ranges().filter(|range| lies_in(*range, compared.current)) {
        *elapsed.entry(hour_of_week(range.from)).or_default() += hours(range);
    }
    let slot = |range: TimeRange| {
        let hour = hour_of_week(range.from);
        let usual = elapsed.get(&hour).filter(|_| lies_in(range, baseline)).copied().unwrap_or_default();
        let class = FailureClass {
            hour: Some(hour.1),
            is_current: lies_in(range, compared.current),
            is_previous: lies_in(range, compared.previous),
            weight: usual / f64::from(WEEKS),
        };
        Slot { range, class }
    };
    ranges().map(slot).collect()
}

fn lies_in(part: TimeRange, whole: TimeRange) -> bool {
    whole.from <= part.from && part.until <= whole.until
}

/// By quarters: every boundary is the end of one.
fn hours(range: TimeRange) -> f64 {
    let quarters = (range.until - range.from).num_minutes() / 15;
    // An hour, or with a change of clocks a few.
    f64::from(u8::try_from(quarters).unwrap_or(u8::MAX)) / 4.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(days: (&str, &str), zone: Tz) -> DayRange {
        DayRange::new(days.0.parse().expect("a day"), days.1.parse().expect("a day"), zone).expect("days")
    }

    fn slots_of(range: DayRange, now: &str) -> Vec<Slot> {
        let periods = FailurePeriods::new(range, now.parse().expect(now), true);
        slots(periods.compared, periods.baseline, range.zone())
    }

    /// The hours of each of the periods, and what is usual with a failure per hour.
    fn sums(slots: &[Slot]) -> (f64, f64, f64) {
        let sum = |of: fn(&Slot) -> f64| slots.iter().map(of).sum::<f64>();
        (
            sum(|slot| if slot.class.is_current { hours(slot.range) } else { 0.0 }),
            sum(|slot| if slot.class.is_previous { hours(slot.range) } else { 0.0 }),
            sum(|slot| slot.class.weight * hours(slot.range)),
        )
    }

    #[test]
    fn hours_of_the_days_are_usual_as_often_as_they_have_elapsed() {
        for (from_to, zone, now, expected) in [
            (("2026-01-15", "2026-01-15"), Tz::UTC, "2026-02-15T00:00:00Z", (24.0, 24.0, 24.0)),
            (("2026-01-12", "2026-01-25"), Tz::Asia__Kathmandu, "2026-02-15T00:00:00Z", (336.0, 336.0, 336.0)),
            // The days before are longer than four weeks.
            (("2026-01-01", "2026-01-31"), Tz::UTC, "2026-02-15T00:00:00Z", (744.0, 744.0, 744.0)),
            // Ten hours and a quarter have elapsed.
            (("2026-01-15", "2026-01-15"), Tz::UTC, "2026-01-15T10:07:00Z", (10.25, 10.25, 10.25)),
            (("2026-01-15", "2026-01-15"), Tz::Asia__Kolkata, "2026-01-15T10:07:00Z", (15.75, 15.75, 15.75)),
            // The hour from two to three did not occur; it did on the Sundays before.
            (("2026-03-08", "2026-03-08"), Tz::America__New_York, "2026-03-20T00:00:00Z", (23.0, 24.0, 23.0)),
            // The hour from one to two occurred twice, so that what is usual for it counts twice.
            (("2026-11-01", "2026-11-01"), Tz::America__New_York, "2026-11-20T00:00:00Z", (25.0, 24.0, 25.0)),
            (("2026-06-01", "2026-06-01"), Tz::UTC, "2026-01-15T10:07:00Z", (0.0, 0.0, 0.0)),
        ] {
            assert_eq!(sums(&slots_of(days(from_to, zone), now)), expected, "{from_to:?} {zone} {now}");
        }
    }

    #[test]
    fn slots_are_adjacent_and_know_their_hour() {
        let slots = slots_of(days(("2026-01-15", "2026-01-16"), Tz::Asia__Kathmandu), "2026-01-15T18:20:00Z");
        for pair in slots.windows(2) {
            assert_eq!(pair[0].range.until, pair[1].range.from);
        }
        let last = slots.last().expect("a slot");
        // Five minutes past midnight, local time, of the second day.
        assert_eq!((last.class.hour, last.class.is_current, hours(last.range)), (Some(0), true, 0.25));
        // Four Thursdays, and an hour of four Fridays.
        assert_eq!(slots.iter().filter(|slot| slot.class.weight > 0.0).count(), 4 * 25);
    }

    #[test]
    fn adjacent_hours_that_count_alike_are_one_range() {
        let range = days(("2026-01-15", "2026-01-15"), Tz::UTC);
        let now = "2026-02-15T00:00:00Z".parse().expect("a time");
        let periods = FailurePeriods::new(range, now, false);
        let class = |is_current, is_previous, weight| FailureClass { hour: None, is_current, is_previous, weight };
        // Three times a Thursday and the days after it, and the last Thursday is followed by the days up to the day before.
        assert_eq!(
            periods.classes,
            [class(false, false, 0.25), class(false, false, 0.0), class(false, true, 0.0), class(true, false, 0.0)]
        );
        assert_eq!(periods.buckets.keys(), [0, 1, 0, 1, 0, 1, 0, 1, 2, 3]);
        let by_hour = FailurePeriods::new(range, now, true);
        assert_eq!((by_hour.classes.len(), by_hour.buckets.keys().len()), (96, 24 * 29));
    }
}
