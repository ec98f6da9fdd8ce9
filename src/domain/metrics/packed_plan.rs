//! Which days of a query packed cells can answer.
//!
//! A day within one bucket is answered from its sums, a day that buckets divide from its quarters of an hour. Boundaries within
//! a quarter, and facets without quarters, leave a divided day to the other cells and the payments. The sums of a day are packed
//! together for all series, so a query for a few of many members by the day reads their cells instead.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::cell::{Facet, Width};
use super::packed_cells::QUARTERS;
use super::query::MetricQuery;
use super::time_buckets::TimeBuckets;
use crate::domain::sync::day_start;
use crate::domain::time_range::TimeRange;

/// So many projects or members are few.
const FEW_SERIES: usize = 3;

/// The keys of the quarters of an hour of a day.
pub type QuarterKeys = [Option<i32>; QUARTERS];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedPlan {
    pub facet: Facet,
    /// The first and last days of ranges of days of which each is within one bucket.
    pub whole: Vec<(NaiveDate, NaiveDate)>,
    /// Days that need their quarters.
    pub divided: BTreeSet<NaiveDate>,
}

impl PackedPlan {
    /// `None` if packed cells cannot answer any day.
    #[must_use]
    pub fn new(query: &MetricQuery) -> Option<Self> {
        let facet = query.facet()?;
        let (mut divided, mut unfit) = (BTreeSet::new(), BTreeSet::new());
        for boundary in query.buckets.boundaries() {
            if Width::Day.start(*boundary) == *boundary {
                continue;
            }
            let fits = facet.finest() != Width::Day && Width::Quarter.start(*boundary) == *boundary;
            if fits { &mut divided } else { &mut unfit }.insert(boundary.date_naive());
        }
        divided.retain(|day| !unfit.contains(day));
        if divided.is_empty() && has_few_series(query, facet) {
            return None;
        }
        let ranges = query.buckets.keyed_ranges().into_iter().map(days_of);
        let whole: Vec<_> = ranges.flat_map(|range| ranges_without(range, divided.union(&unfit))).collect();
        (!whole.is_empty() || !divided.is_empty()).then_some(Self { facet, whole, divided })
    }
}

/// What remains of a range of days without some of them, in ascending order.
fn ranges_without<'days>(
    (first, last): (NaiveDate, NaiveDate),
    days: impl Iterator<Item = &'days NaiveDate>,
) -> Vec<(NaiveDate, NaiveDate)> {
    let mut from = first;
    let mut ranges = vec![];
    for day in days.copied().filter(|day| (first..=last).contains(day)) {
        ranges.extend(day.pred_opt().map(|before| (from, before)));
        from = day.succ_opt().unwrap_or(day);
    }
    ranges.push((from, last));
    ranges.retain(|(from, until)| from <= until);
    ranges
}

/// Whether the query has so few series that reading their cells costs less than unpacking the sums of all series.
fn has_few_series(query: &MetricQuery, facet: Facet) -> bool {
    let few = |names: &[String]| (1..=FEW_SERIES).contains(&names.len());
    match facet {
        Facet::All => false,
        Facet::Project => few(&query.filter.projects),
        Facet::Merchant | Facet::Country | Facet::PaymentMethod | Facet::AmountBand => few(query.filter.members(facet)),
        Facet::ProjectCountry
        | Facet::ProjectPaymentMethod
        | Facet::PayshackProject
        | Facet::PayshackAmountBand
        | Facet::PayshackCountry
        | Facet::PayshackPaymentMethod => few(&query.filter.projects) && few(query.filter.members(facet)),
    }
}

/// The first and last UTC days that a range overlaps.
fn days_of(range: TimeRange) -> (NaiveDate, NaiveDate) {
    (range.from.date_naive(), (range.until - TimeDelta::nanoseconds(1)).date_naive())
}

impl TimeBuckets {
    /// Ranges that adjacent buckets cover.
    pub(super) fn keyed_ranges(&self) -> Vec<TimeRange> {
        let mut ranges: Vec<TimeRange> = vec![];
        for (range, _) in self.keyed() {
            match ranges.last_mut() {
                Some(last) if last.until == range.from => last.until = range.until,
                _ => ranges.push(range),
            }
        }
        ranges
    }

    /// The key of each quarter of an hour of `day`. No boundary lies within a quarter.
    #[must_use]
    pub fn quarter_keys(&self, day: NaiveDate) -> QuarterKeys {
        let mut keys = [None; QUARTERS];
        let mut start = day_start(day);
        for key in &mut keys {
            *key = self.key_at(start);
            start += Width::Quarter.length();
        }
        keys
    }

    /// The same buckets, except that the time of `days` belongs to none.
    #[must_use]
    pub fn without(&self, days: &BTreeSet<NaiveDate>) -> Self {
        let mut rest = Self::default();
        for (range, key) in self.keyed() {
            let (first, last) = days_of(range);
            let mut from = range.from;
            for day in days.range(first..=last) {
                let (since, until) = (day_start(*day), day_start(*day) + Width::Day.length());
                rest.append(from, since.min(range.until), key);
                from = until;
            }
            rest.append(from, range.until, key);
        }
        rest
    }

    /// Adds a bucket after the others.
    fn append(&mut self, from: DateTime<Utc>, until: DateTime<Utc>, key: i32) {
        if from >= until {
            return;
        }
        match self.boundaries.last() {
            Some(last) if *last == from => {}
            Some(_) => {
                self.boundaries.push(from);
                self.keys.push(None);
            }
            None => self.boundaries.push(from),
        }
        self.boundaries.push(until);
        self.keys.push(Some(key));
    }

    fn keyed(&self) -> impl Iterator<Item = (TimeRange, i32)> {
        let ranges = self.boundaries.windows(2).map(|pair| TimeRange { from: pair[0], until: pair[1] });
        ranges.zip(&self.keys).filter_map(|(range, key)| Some((range, (*key)?)))
    }

    fn key_at(&self, time: DateTime<Utc>) -> Option<i32> {
        let after = self.boundaries.partition_point(|boundary| *boundary <= time);
        *self.keys.get(after.checked_sub(1)?)?
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::metrics::query::{Dimension, MetricFilter};

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    fn days(days: &BTreeSet<NaiveDate>) -> Vec<String> {
        days.iter().map(NaiveDate::to_string).collect()
    }

    #[test]
    fn days_are_whole_divided_or_unfit() {
        let query = |boundaries: &[&str]| {
            let boundaries = boundaries.iter().map(|boundary| time(boundary)).collect();
            MetricQuery::new(MetricFilter::default(), TimeBuckets::between(boundaries)).by(Dimension::Project)
        };
        let plan = |query: MetricQuery| {
            let PackedPlan { whole, divided, .. } = PackedPlan::new(&query)?;
            Some((whole.iter().map(|(first, last)| format!("{first} {last}")).collect(), days(&divided)))
        };
        let kathmandu = || query(&["2026-01-14T18:15:00Z", "2026-01-16T18:15:00Z"]);
        let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(|text| (*text).to_owned()).collect() };
        let range = |range: &str| texts(&[range]);
        assert_eq!(plan(kathmandu()), Some((range("2026-01-15 2026-01-15"), texts(&["2026-01-14", "2026-01-16"]))));
        // Cells by project and country have no quarters.
        let mut by_both = kathmandu().by(Dimension::Country);
        by_both.filter.projects = texts(&["a"]);
        assert_eq!(plan(by_both), Some((range("2026-01-15 2026-01-15"), vec![])));
        let minute = query(&["2026-01-14T18:15:00Z", "2026-01-14T18:16:00Z", "2026-01-17T00:00:00Z"]);
        assert_eq!(plan(minute), Some((range("2026-01-15 2026-01-16"), vec![])));
        let whole = query(&["2026-01-14T00:00:00Z", "2026-01-15T00:00:00Z", "2026-01-17T00:00:00Z"]);
        assert_eq!(plan(whole), Some((range("2026-01-14 2026-01-16"), vec![])));
        let within = query(&["2026-01-14T18:15:00Z", "2026-01-14T20:15:00Z"]);
        assert_eq!(plan(within), Some((vec![], texts(&["2026-01-14"]))));
        assert_eq!(plan(query(&["2026-01-14T18:16:00Z", "2026-01-14T18:20:00Z"])), None);
        assert_eq!(plan(query(&[])), None);
        assert_eq!(plan(kathmandu().by(Dimension::AmountBand).by_country()), None);
    }

    #[test]
    fn whole_days_of_a_few_of_many_series_are_not_packed() {
        let names = |count: usize| -> Vec<String> { (0..count).map(|name| name.to_string()).collect() };
        let filters = |projects, merchants, methods| MetricFilter {
            projects: names(projects),
            merchant_ids: names(merchants),
            payment_methods: names(methods),
            ..MetricFilter::default()
        };
        let is_packed = |filter: MetricFilter, until: &str| {
            let buckets = TimeBuckets::between(vec![time("2026-01-14T00:00:00Z"), time(until)]);
            PackedPlan::new(&MetricQuery::new(filter, buckets)).is_some()
        };
        for (filter, packed) in [
            (filters(0, 0, 0), true),
            (filters(1, 0, 0), false),
            (filters(4, 0, 0), true),
            (filters(0, 3, 0), false),
            (filters(9, 1, 0), false),
            (filters(0, 4, 0), true),
            (filters(0, 0, 1), false),
            (filters(1, 0, 1), false),
            (filters(9, 0, 1), true),
        ] {
            assert_eq!(is_packed(filter.clone(), "2026-01-16T00:00:00Z"), packed, "{filter:?}");
            if filter.payment_methods.is_empty() {
                assert!(is_packed(filter, "2026-01-16T18:15:00Z"), "a divided day is read from its quarters");
            }
        }
    }

    impl MetricQuery {
        fn by_country(mut self) -> Self {
            self.filter.countries = vec!["IN".to_owned()];
            self
        }
    }

    proptest! {
        /// Every quarter has its key either in its packed day or in the remaining buckets.
        #[test]
        fn every_quarter_is_counted_once(
            boundaries in proptest::collection::btree_set(0_i64..600, 2..8),
            unkeyed in 0..7_usize,
            packed in proptest::collection::btree_set(0_u64..8, 0..5),
        ) {
            let start = time("2026-01-14T00:00:00Z");
            let quarter = |number: i64| start + TimeDelta::minutes(15 * number);
            let mut buckets = TimeBuckets::between(boundaries.into_iter().map(quarter).collect());
            if let Some(key) = buckets.keys.get_mut(unkeyed) {
                *key = None;
            }
            let packed: BTreeSet<NaiveDate> =
                packed.into_iter().map(|day| start.date_naive() + chrono::Days::new(day)).collect();
            let rest = buckets.without(&packed);
            prop_assert!(rest.boundaries.is_sorted_by(|one, next| one < next));
            for number in -2..800 {
                let (time, expected) = (quarter(number), buckets.key_at(quarter(number)));
                let of_rest = rest.key_at(time);
                let of_packed = packed.contains(&time.date_naive()).then(|| {
                    let day = time.date_naive();
                    let place = (time - day_start(day)).num_minutes() / 15;
                    buckets.quarter_keys(day)[usize::try_from(place).expect("positive")]
                });
                match of_packed {
                    None => prop_assert_eq!(of_rest, expected),
                    Some(of_packed) => prop_assert_eq!((of_packed, of_rest), (expected, None)),
                }
            }
        }
    }
}
