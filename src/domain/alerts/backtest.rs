//! How often a rule would have fired: the decisions of an evaluation at the end of every quarter of an hour of the past.
//!
//! Quarters of an hour are what rollup cells know, so that a month costs one query, however many payments it had. Times of a rule
//! that are not multiples of it are rounded up.

use chrono::{DateTime, TimeDelta, Utc};

use super::condition::PaymentCondition;
use super::hysteresis::{HoldTimes, Phase, Transition};
use super::reading::WindowCounts;
use crate::domain::metrics::cell::Width;
use crate::domain::time_range::TimeRange;

/// The counts of consecutive quarters of an hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarterCounts {
    start: DateTime<Utc>,
    /// The sum of all quarters before each boundary.
    sums: Vec<WindowCounts>,
}

impl QuarterCounts {
    /// `start` is a quarter of an hour.
    #[must_use]
    pub fn new(start: DateTime<Utc>, counts: &[WindowCounts]) -> Self {
        let mut sum = WindowCounts::default();
        let sums = counts.iter().map(|counts| {
            sum = sum + *counts;
            sum
        });
        Self { start, sums: std::iter::once(WindowCounts::default()).chain(sums).collect() }
    }

    fn before(&self, time: DateTime<Utc>) -> WindowCounts {
        let quarters = (time - self.start).num_minutes() / Width::Quarter.length().num_minutes();
        let last = self.sums.len() - 1;
        self.sums[usize::try_from(quarters).unwrap_or_default().min(last)]
    }

    fn of(&self, window: TimeRange) -> WindowCounts {
        self.before(window.until) - self.before(window.from)
    }
}

/// An alert that would have been raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Episode {
    pub fired_at: DateTime<Utc>,
    /// `None` if it would still be open.
    pub resolved_at: Option<DateTime<Utc>>,
    pub message: String,
}

/// The quarters that [`backtest`] of `period` counts.
#[must_use]
pub fn counted(condition: PaymentCondition, period: TimeRange) -> TimeRange {
    let from = Width::Quarter.start(period.from) - condition.in_quarters().reach();
    TimeRange { from: Width::Quarter.start(from), until: Width::Quarter.start(period.until) }
}

/// The alerts about `subject` in `period`, oldest first. `counts` are those of [`counted`].
#[must_use]
pub fn backtest(
    condition: PaymentCondition,
    hold: HoldTimes,
    subject: &str,
    counts: &QuarterCounts,
    period: TimeRange,
) -> Vec<Episode> {
    let condition = condition.in_quarters();
    let (mut phase, mut episodes) = (Phase::default(), Vec::<Episode>::new());
    let mut at = Width::Quarter.start(period.from);
    while at <= period.until {
        let counts: Vec<WindowCounts> = condition.windows(at).into_iter().map(|window| counts.of(window)).collect();
        let reading = condition.judge(subject, at, &counts);
        let (next, transition) = hold.step(phase, reading.level, at);
        phase = next;
        match transition {
            Some(Transition::Fire) => {
                episodes.push(Episode { fired_at: at, resolved_at: None, message: reading.text });
            }
            Some(Transition::Resolve) => {
                if let Some(last) = episodes.last_mut() {
                    last.resolved_at = Some(at);
                }
            }
            None => {}
        }
        at += TimeDelta::minutes(15);
    }
    episodes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::alerts::reading::Threshold;

    const START: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn quarters(count: usize) -> TimeDelta {
        TimeDelta::minutes(15 * i64::try_from(count).expect("small"))
    }

    fn quarter_counts() -> impl Strategy<Value = Vec<WindowCounts>> {
        let counts = (0_i64..4, 0_i64..4, 0_i64..3);
        let counts = counts.prop_map(|(succeeded, failed, pending)| {
            let empty = succeeded == 3;
            let total = if empty { 0 } else { succeeded + failed + pending };
            if empty { WindowCounts::default() } else { WindowCounts { total, succeeded, failed } }
        });
        proptest::collection::vec(counts, 16..80)
    }

    fn condition() -> impl Strategy<Value = PaymentCondition> {
        let below = Threshold { fires: 60.into(), clears: Some(70.into()) };
        (1_u32..4, 0..3).prop_map(move |(quarters, kind)| match kind {
            0 => PaymentCondition::NoPayments { minutes: quarters * 15 },
            1 => PaymentCondition::LowSuccessRate { window_minutes: quarters * 15, below, min_payments: 2 },
            _ => {
                let factor = rust_decimal::Decimal::TWO;
                PaymentCondition::FailuresDoubled { window_minutes: quarters * 15, factor, min_failures: 2 }
            }
        })
    }

    proptest! {
        /// An evaluation counts the payments of its windows, here one by one, and remembers only its last phase.
        #[test]
        fn backtest_agrees_with_an_evaluation_at_every_quarter(
            counts in quarter_counts(), condition in condition(), for_quarters in 0_u32..3, clear_quarters in 0_u32..3,
        ) {
            let hold = HoldTimes { for_minutes: for_quarters * 15, clear_minutes: clear_quarters * 15 };
            let period = TimeRange { from: START + quarters(8), until: START + quarters(counts.len()) };
            let mut changes = vec![];
            let mut phase = Phase::default();
            for end in 8..=counts.len() {
                let at = START + quarters(end);
                let windows = condition.windows(condition.window_end(at));
                let counted: Vec<WindowCounts> = windows.iter().map(|window| {
                    let inside = |index: &usize| (window.from..window.until).contains(&(START + quarters(*index)));
                    (0..counts.len()).filter(inside).fold(WindowCounts::default(), |sum, index| sum + counts[index])
                }).collect();
                let (next, transition) = hold.step(phase, condition.judge("", at, &counted).level, at);
                phase = next;
                changes.extend(transition.map(|_| at));
            }
            let episodes = backtest(condition, hold, "", &QuarterCounts::new(START, &counts), period);
            let found: Vec<_> = episodes.iter().flat_map(|one| [Some(one.fired_at), one.resolved_at]).flatten().collect();
            prop_assert_eq!(found, changes);
        }
    }

    #[test]
    fn counted_quarters_reach_back_to_the_oldest_window() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect(text);
        let period = TimeRange { from: at("2026-01-15T10:07:00Z"), until: at("2026-01-16T10:07:00Z") };
        let range = counted(PaymentCondition::NoPayments { minutes: 20 }, period);
        assert_eq!((range.from, range.until), (at("2026-01-15T09:30:00Z"), at("2026-01-16T10:00:00Z")));
    }
}
