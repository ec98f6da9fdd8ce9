//! Which cells cover a range of time: the widest that fit, and the rest that no cell fits.

use chrono::{DateTime, Utc};

use super::cell::Width;
use crate::domain::time_range::TimeRange;

/// A range that cells of one width cover exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollupSpan {
    pub width: Width,
    pub range: TimeRange,
}

/// The cells and payments that cover a time range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RollupPlan {
    pub spans: Vec<RollupSpan>,
    /// To be counted payment by payment.
    pub rest: Vec<TimeRange>,
}

impl RollupPlan {
    /// Covers the ranges between `boundaries` with cells of at least width `finest`, none of which crosses a boundary.
    #[must_use]
    pub fn new(boundaries: &[DateTime<Utc>], finest: Width) -> Self {
        let widths: Vec<Width> = Width::WIDEST_FIRST.into_iter().filter(|width| *width >= finest).collect();
        let mut plan = Self::default();
        for pair in boundaries.windows(2) {
            plan.add(TimeRange { from: pair[0], until: pair[1] }, &widths);
        }
        plan
    }

    /// Covers everything by payments.
    #[must_use]
    pub fn without_cells(boundaries: &[DateTime<Utc>]) -> Self {
        let range = boundaries.first().zip(boundaries.last());
        let rest = range.map(|(from, until)| TimeRange { from: *from, until: *until });
        Self { spans: vec![], rest: rest.into_iter().collect() }
    }

    fn add(&mut self, range: TimeRange, widths: &[Width]) {
        let TimeRange { from, until } = range;
        if from >= until {
            return;
        }
        let Some((width, narrower)) = widths.split_first() else {
            return self.add_rest(range);
        };
        let begun = width.start(from);
        let first = if begun == from { from } else { begun + width.length() };
        let last = width.start(until);
        if first >= last {
            return self.add(range, narrower);
        }
        self.add(TimeRange { from, until: first }, narrower);
        self.add_span(RollupSpan { width: *width, range: TimeRange { from: first, until: last } });
        self.add(TimeRange { from: last, until }, narrower);
    }

    /// Merges adjacent spans, so that one index scan finds both.
    fn add_span(&mut self, span: RollupSpan) {
        match self.spans.last_mut() {
            Some(before) if before.width == span.width && before.range.until == span.range.from => {
                before.range.until = span.range.until;
            }
            _ => self.spans.push(span),
        }
    }

    fn add_rest(&mut self, range: TimeRange) {
        match self.rest.last_mut() {
            Some(before) if before.until == range.from => before.until = range.until,
            _ => self.rest.push(range),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    fn shown(cover: &RollupPlan) -> Vec<String> {
        let written =
            |range: &TimeRange| format!("{} {}", range.from.format("%d %H:%M"), range.until.format("%d %H:%M"));
        let spans = cover.spans.iter().map(|span| format!("{} {}", span.width.as_str(), written(&span.range)));
        spans.chain(cover.rest.iter().map(|range| format!("rest {}", written(range)))).collect()
    }

    #[test]
    fn days_of_a_zone_are_covered_by_utc_days_hours_and_quarters() {
        // Three days in Kathmandu, which is ahead by 5:45.
        let boundaries = [time("2026-01-14T18:15:00Z"), time("2026-01-17T18:15:00Z")];
        assert_eq!(
            shown(&RollupPlan::new(&boundaries, Width::Quarter)),
            [
                "quarter 14 18:15 14 19:00",
                "hour 14 19:00 15 00:00",
                "day 15 00:00 17 00:00",
                "hour 17 00:00 17 18:00",
                "quarter 17 18:00 17 18:15",
            ]
        );
        assert_eq!(
            shown(&RollupPlan::new(&boundaries, Width::Day)),
            ["day 15 00:00 17 00:00", "rest 14 18:15 15 00:00", "rest 17 00:00 17 18:15"]
        );
        assert_eq!(shown(&RollupPlan::without_cells(&boundaries)), ["rest 14 18:15 17 18:15"]);
    }

    #[test]
    fn adjacent_spans_merge_and_no_cell_crosses_a_boundary() {
        let hours: Vec<_> = (0..=48).map(|hour| time("2026-01-15T00:00:00Z") + TimeDelta::hours(hour)).collect();
        assert_eq!(shown(&RollupPlan::new(&hours, Width::Quarter)), ["hour 15 00:00 17 00:00"]);
        let in_kolkata: Vec<_> = hours.iter().map(|hour| *hour + TimeDelta::minutes(30)).collect();
        assert_eq!(shown(&RollupPlan::new(&in_kolkata, Width::Quarter)), ["quarter 15 00:30 17 00:30"]);
    }

    #[test]
    fn empty_time_has_an_empty_plan() {
        assert_eq!(RollupPlan::new(&[time("2026-01-15T00:00:00Z")], Width::Quarter), RollupPlan::default());
        assert_eq!(RollupPlan::without_cells(&[]), RollupPlan::default());
    }

    proptest! {
        /// Sorted, the parts are adjacent from the first boundary to the last.
        #[test]
        fn every_minute_is_covered_once(
            minutes in proptest::collection::btree_set(0_i64..10_000, 2..6),
            finest in prop_oneof![Just(Width::Quarter), Just(Width::Hour), Just(Width::Day)],
        ) {
            let boundaries: Vec<_> =
                minutes.iter().map(|minute| time("2026-01-15T00:00:00Z") + TimeDelta::minutes(*minute)).collect();
            let cover = RollupPlan::new(&boundaries, finest);
            let mut parts = cover.rest.clone();
            for span in &cover.spans {
                prop_assert!(span.width >= finest);
                prop_assert_eq!(span.width.start(span.range.from), span.range.from);
                prop_assert_eq!(span.width.start(span.range.until), span.range.until);
                parts.push(span.range);
            }
            parts.sort_by_key(|part| part.from);
            prop_assert_eq!(Some(&parts[0].from), boundaries.first());
            prop_assert_eq!(parts.last().map(|part| part.until), boundaries.last().copied());
            for pair in parts.windows(2) {
                prop_assert_eq!(pair[0].until, pair[1].from);
            }
        }
    }
}
