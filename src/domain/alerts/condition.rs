//! The kinds of rule, each with its own parameters, and how each is judged.
//!
//! Rates are of the decided payments: those that are still pending are most of the newest ones, and would look like failures.
//! Windows of rates end at a quarter of an hour, so that they are sums of rollup cells, whatever their length.

use chrono::{DateTime, TimeDelta, Utc};
use rust_decimal::Decimal;

use super::reading::{Level, Reading, Threshold, WindowCounts};
use crate::domain::metrics::cell::Width;
use crate::domain::string_enum::string_enum;
use crate::domain::time_range::TimeRange;

const TIME: &str = "%Y-%m-%d %H:%M UTC";

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ConditionKind {
        NoPayments = "no_payments",
        LowSuccessRate = "low_success_rate",
        BelowBaseline = "success_rate_below_baseline",
        FailuresDoubled = "failures_doubled",
        OpenDiscrepancies = "open_discrepancies",
        ValueAtRisk = "value_at_risk",
        SyncLag = "sync_lag",
        Quarantine = "quarantine",
        JobFailed = "job_failed",
        LateChanges = "late_changes",
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// Judged only as far as the sources have been read.
    Payments(PaymentCondition),
    /// Judged by what is stored now.
    System(SystemCondition),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentCondition {
    NoPayments {
        minutes: u32,
    },
    LowSuccessRate {
        window_minutes: u32,
        /// In percent.
        below: Threshold,
        min_payments: u32,
    },
    /// Compared with the same window of the last `weeks` weeks.
    BelowBaseline {
        window_minutes: u32,
        weeks: u32,
        /// In percentage points.
        drop: Threshold,
        min_payments: u32,
    },
    /// Compared with the window before.
    FailuresDoubled {
        window_minutes: u32,
        factor: Decimal,
        min_failures: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SystemCondition {
    OpenDiscrepancies {
        above: Threshold,
    },
    ValueAtRisk {
        currency: String,
        above: Threshold,
    },
    SyncLag {
        above_minutes: Threshold,
    },
    Quarantine {
        above: Threshold,
    },
    /// Failures after which no job of the kind has succeeded.
    JobFailed {
        /// `None`: any.
        job_kind: Option<String>,
        window_minutes: u32,
    },
    /// Final statuses that changed more than `hours` after the payment was created.
    LateChanges {
        hours: u32,
        window_minutes: u32,
        above: Threshold,
    },
}

impl Condition {
    #[must_use]
    pub fn kind(&self) -> ConditionKind {
        match self {
            Self::Payments(PaymentCondition::NoPayments { .. }) => ConditionKind::NoPayments,
            Self::Payments(PaymentCondition::LowSuccessRate { .. }) => ConditionKind::LowSuccessRate,
            Self::Payments(PaymentCondition::BelowBaseline { .. }) => ConditionKind::BelowBaseline,
            Self::Payments(PaymentCondition::FailuresDoubled { .. }) => ConditionKind::FailuresDoubled,
            Self::System(SystemCondition::OpenDiscrepancies { .. }) => ConditionKind::OpenDiscrepancies,
            Self::System(SystemCondition::ValueAtRisk { .. }) => ConditionKind::ValueAtRisk,
            Self::System(SystemCondition::SyncLag { .. }) => ConditionKind::SyncLag,
            Self::System(SystemCondition::Quarantine { .. }) => ConditionKind::Quarantine,
            Self::System(SystemCondition::JobFailed { .. }) => ConditionKind::JobFailed,
            Self::System(SystemCondition::LateChanges { .. }) => ConditionKind::LateChanges,
        }
    }
}

fn minutes(count: u32) -> TimeDelta {
    TimeDelta::minutes(i64::from(count))
}

fn before(end: DateTime<Utc>, length: TimeDelta) -> TimeRange {
    TimeRange { from: end - length, until: end }
}

/// A project in a sentence.
#[must_use]
pub fn of_subject(subject: &str) -> String {
    if subject.is_empty() { String::new() } else { format!(" of {subject}") }
}

impl PaymentCondition {
    /// The end of the newest window, if payments up to `read_until` are known.
    #[must_use]
    pub fn window_end(self, read_until: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::NoPayments { .. } => read_until,
            _ => Width::Quarter.start(read_until),
        }
    }

    /// The same condition with all times rounded up to quarters of an hour, which rollup cells can answer.
    #[must_use]
    pub fn in_quarters(self) -> Self {
        match self {
            Self::NoPayments { minutes } => Self::NoPayments { minutes: minutes.div_ceil(15) * 15 },
            other => other,
        }
    }

    /// The windows whose payments are counted, the newest first. They do not overlap.
    #[must_use]
    pub fn windows(self, end: DateTime<Utc>) -> Vec<TimeRange> {
        match self {
            Self::NoPayments { minutes: length } | Self::LowSuccessRate { window_minutes: length, .. } => {
                vec![before(end, minutes(length))]
            }
            Self::BelowBaseline { window_minutes, weeks, .. } => (0..=weeks)
                .map(|week| before(end - TimeDelta::weeks(i64::from(week)), minutes(window_minutes)))
                .collect(),
            Self::FailuresDoubled { window_minutes, .. } => {
                let length = minutes(window_minutes);
                vec![before(end, length), before(end - length, length)]
            }
        }
    }

    /// How long before the end of the newest window the oldest one begins.
    #[must_use]
    pub fn reach(self) -> TimeDelta {
        let end = DateTime::UNIX_EPOCH;
        self.windows(end).last().map_or(TimeDelta::zero(), |oldest| end - oldest.from)
    }

    /// Judges the payments of `subject` in [`Self::windows`].
    #[must_use]
    pub fn judge(self, subject: &str, end: DateTime<Utc>, counts: &[WindowCounts]) -> Reading {
        let newest = counts.first().copied().unwrap_or_default();
        let earlier = counts.iter().skip(1).fold(WindowCounts::default(), |sum, counts| sum + *counts);
        let (of, until) = (of_subject(subject), end.format(TIME));
        match self {
            Self::NoPayments { minutes } => Reading {
                level: if newest.total == 0 { Level::Breached } else { Level::Clear },
                value: Some(newest.total.into()),
                text: format!("{} payments{of} in the {minutes} minutes until {until}", newest.total),
            },
            Self::LowSuccessRate { window_minutes, below, min_payments } => {
                let text = |rate: Decimal| {
                    let (part, whole) = (newest.succeeded, newest.decided());
                    format!(
                        "success rate{of} {rate} % ({part} of {whole} decided payments) in the {window_minutes} minutes until \
                         {until}; threshold {} %",
                        below.fires
                    )
                };
                match newest.success_rate() {
                    Some(rate) if newest.decided() >= i64::from(min_payments) => {
                        Reading { level: below.level_below(rate), value: Some(rate), text: text(rate) }
                    }
                    _ => too_few(newest, &of, min_payments, end),
                }
            }
            Self::BelowBaseline { window_minutes, weeks, drop, min_payments } => {
                let enough = |counts: WindowCounts| counts.decided() >= i64::from(min_payments);
                match (newest.success_rate(), earlier.success_rate()) {
                    (Some(rate), Some(usual)) if enough(newest) && enough(earlier) => Reading {
                        level: drop.level_above(usual - rate),
                        value: Some(rate),
                        text: format!(
                            "success rate{of} {rate} % in the {window_minutes} minutes until {until}; {usual} % at this time of \
                             the last {weeks} weeks"
                        ),
                    },
                    _ => too_few(newest, &of, min_payments, end),
                }
            }
            Self::FailuresDoubled { window_minutes, factor, min_failures } => {
                let (now, then) = (Decimal::from(newest.failed), Decimal::from(earlier.failed));
                let has_grown = newest.failed >= i64::from(min_failures) && now >= then * factor && now > then;
                Reading {
                    level: if has_grown { Level::Breached } else { Level::Clear },
                    value: Some(now),
                    text: format!(
                        "{now} failed payments{of} in the {window_minutes} minutes until {until}, {then} in the {window_minutes} \
                         minutes before"
                    ),
                }
            }
        }
    }
}

/// A rate of a few payments says nothing, so an alert that is open is resolved too: it could otherwise stay open for ever.
fn too_few(counts: WindowCounts, of: &str, min_payments: u32, end: DateTime<Utc>) -> Reading {
    let (decided, until) = (counts.decided(), end.format(TIME));
    Reading {
        level: Level::Clear,
        value: None,
        text: format!("{decided} decided payments{of} until {until}: a rate needs {min_payments}"),
    }
}

impl SystemCondition {
    /// Judges the measured number. `None` if there is none: a source that was never read.
    #[must_use]
    pub fn judge(&self, subject: &str, value: Option<Decimal>) -> Reading {
        let of = of_subject(subject);
        let Some(found) = value else {
            return Reading {
                level: Level::Breached,
                value,
                text: format!("{subject} has not been read completely yet"),
            };
        };
        let found = found.normalize();
        let (level, text) = match self {
            Self::OpenDiscrepancies { above } => {
                (above.level_above(found), format!("{found} unresolved discrepancies{of}; threshold {}", above.fires))
            }
            Self::ValueAtRisk { currency, above } => (
                above.level_above(found),
                format!("{found} {currency} at risk in unresolved discrepancies{of}; threshold {}", above.fires),
            ),
            Self::SyncLag { above_minutes } => (
                above_minutes.level_above(found),
                format!("{subject} was last read completely {found} minutes ago; threshold {}", above_minutes.fires),
            ),
            Self::Quarantine { above } => {
                (above.level_above(found), format!("{found} records in quarantine{of}; threshold {}", above.fires))
            }
            Self::JobFailed { job_kind, window_minutes } => {
                let level = if found > Decimal::ZERO { Level::Breached } else { Level::Clear };
                let kind = job_kind.as_deref().map_or_else(String::new, |kind| format!(" of kind {kind}"));
                (level, format!("{found} jobs{kind} have failed for good in the last {window_minutes} minutes"))
            }
            Self::LateChanges { hours, window_minutes, above } => (
                above.level_above(found),
                format!(
                    "{found} payments{of} changed their final status more than {hours} hours after they were created, in the last \
                     {window_minutes} minutes; threshold {}",
                    above.fires
                ),
            ),
        };
        Reading { level, value, text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn counts(succeeded: i64, failed: i64) -> WindowCounts {
        WindowCounts { total: succeeded + failed, succeeded, failed }
    }

    fn level(condition: PaymentCondition, windows: &[WindowCounts]) -> Level {
        condition.judge("acme", END, windows).level
    }

    #[test]
    fn rates_need_enough_decided_payments() {
        let below = Threshold { fires: 80.into(), clears: Some(90.into()) };
        let low = PaymentCondition::LowSuccessRate { window_minutes: 60, below, min_payments: 10 };
        for (counts, expected) in [
            (counts(79, 21), Level::Breached),
            (counts(80, 20), Level::Between),
            (counts(90, 10), Level::Clear),
            (counts(0, 9), Level::Clear),
            (WindowCounts { total: 1_000, ..counts(0, 9) }, Level::Clear),
            (WindowCounts { total: 1_000, ..counts(10, 0) }, Level::Clear),
        ] {
            assert_eq!(level(low, &[counts]), expected, "{counts:?}");
        }
    }

    #[test]
    fn baseline_is_the_same_time_of_the_weeks_before() {
        let drop = Threshold { fires: 10.into(), clears: None };
        let condition = PaymentCondition::BelowBaseline { window_minutes: 60, weeks: 4, drop, min_payments: 10 };
        let windows = condition.windows(END);
        assert_eq!((windows.len(), condition.reach()), (5, TimeDelta::weeks(4) + TimeDelta::hours(1)));
        assert_eq!(windows[1].until, END - TimeDelta::weeks(1));
        let usual = [counts(25, 0), counts(20, 5), counts(20, 5), counts(25, 0)];
        for (newest, expected) in
            [(counts(79, 21), Level::Breached), (counts(80, 20), Level::Clear), (counts(0, 5), Level::Clear)]
        {
            assert_eq!(level(condition, &[&[newest][..], &usual].concat()), expected, "{newest:?}");
        }
        assert_eq!(level(condition, &[counts(0, 50), counts(3, 0)]), Level::Clear, "no baseline yet");
    }

    #[test]
    fn failures_are_compared_with_the_window_before() {
        let factor = Decimal::TWO;
        let doubled = PaymentCondition::FailuresDoubled { window_minutes: 60, factor, min_failures: 5 };
        for (now, then, expected) in [
            (10, 5, Level::Breached),
            (9, 5, Level::Clear),
            (5, 0, Level::Breached),
            (4, 0, Level::Clear),
            (4, 2, Level::Clear),
        ] {
            assert_eq!(level(doubled, &[counts(0, now), counts(9, then)]), expected, "{now} {then}");
        }
        let windows = doubled.windows(END);
        assert_eq!((windows[0].from, windows[1].from), (windows[1].until, END - TimeDelta::hours(2)));
    }

    #[test]
    fn windows_of_rates_end_at_a_quarter_and_those_of_silence_at_once() {
        let read_until: DateTime<Utc> = "2026-01-15T10:14:59Z".parse().expect("a time");
        let silence = PaymentCondition::NoPayments { minutes: 20 };
        let doubled = PaymentCondition::FailuresDoubled { window_minutes: 15, factor: Decimal::TWO, min_failures: 1 };
        assert_eq!(silence.window_end(read_until), read_until);
        assert_eq!(doubled.window_end(read_until).to_string(), "2026-01-15 10:00:00 UTC");
        assert_eq!(silence.in_quarters(), PaymentCondition::NoPayments { minutes: 30 });
        assert_eq!(level(silence, &[counts(0, 0)]), Level::Breached);
        assert_eq!(level(silence, &[WindowCounts { total: 1, ..counts(0, 0) }]), Level::Clear);
        assert_eq!(silence.judge("", END, &[]).text, "0 payments in the 20 minutes until 1970-01-01 00:00 UTC");
    }

    #[test]
    fn source_that_was_never_read_lags() {
        let lag = SystemCondition::SyncLag { above_minutes: Threshold { fires: 10.into(), clears: None } };
        assert_eq!(lag.judge("vima", None).level, Level::Breached);
        assert_eq!(lag.judge("vima", Some(10.into())).level, Level::Clear);
    }
}
