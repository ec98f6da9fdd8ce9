//! A rule, as a person sets it.

use chrono::{DateTime, TimeDelta, Utc};

use super::condition::Condition;
use super::hysteresis::HoldTimes;
use crate::domain::string_enum::string_enum;
use crate::domain::transaction::Source;

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Severity {
        Info = "info",
        Warning = "warning",
        Critical = "critical",
    }
}

string_enum! {
    /// Why an alert was raised.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum AlertReason {
        /// The condition of the rule holds.
        Condition = "condition",
        /// The condition cannot be judged, because a source was not read for too long.
        Unjudged = "unjudged",
    }
}

string_enum! {
    /// What is announced about an alert.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum AlertState {
        Fired = "fired",
        Resolved = "resolved",
    }
}

string_enum! {
    /// Where an alert is announced, besides events and webhooks.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Channel {
        Telegram = "telegram",
        Email = "email",
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleProperties {
    pub name: String,
    pub description: String,
    pub severity: Severity,
    pub condition: Condition,
    /// Each is judged separately. Empty: all payments together.
    pub projects: Vec<String>,
    /// `None`: all.
    pub source: Option<Source>,
    pub hold: HoldTimes,
    pub max_lag_minutes: u32,
    pub enabled: bool,
    pub muted_until: Option<DateTime<Utc>>,
}

impl RuleProperties {
    #[must_use]
    pub fn is_muted(&self, now: DateTime<Utc>) -> bool {
        self.muted_until.is_some_and(|until| now < until)
    }

    /// The sources that must have been read.
    #[must_use]
    pub fn sources(&self) -> Vec<Source> {
        self.source.map_or_else(|| Source::ALL.to_vec(), |source| vec![source])
    }

    /// How long a reason must hold, or be over. A lag has its tolerance already.
    #[must_use]
    pub fn hold_of(&self, reason: AlertReason) -> HoldTimes {
        match reason {
            AlertReason::Condition => self.hold,
            AlertReason::Unjudged => HoldTimes::default(),
        }
    }

    /// The projects, or the one subject that is everything.
    #[must_use]
    pub fn subjects(&self) -> Vec<String> {
        if self.projects.is_empty() { vec![String::new()] } else { self.projects.clone() }
    }

    /// The time up to which all sources have been read. `None` if one was not read, or too long ago: the payments after it are not
    /// known, so that nothing can be said about them.
    #[must_use]
    pub fn judgeable_at(&self, as_of: [Option<DateTime<Utc>>; 2], now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let read_until = |source: Source| Source::ALL.iter().zip(as_of).find(|(one, _)| **one == source)?.1;
        let read: Option<Vec<_>> = self.sources().into_iter().map(read_until).collect();
        let oldest = read?.into_iter().min()?;
        (now - oldest <= TimeDelta::minutes(i64::from(self.max_lag_minutes))).then_some(oldest.min(now))
    }

    /// The title of a message.
    #[must_use]
    pub fn title(&self, state: AlertState) -> String {
        let Self { name, severity, .. } = self;
        match state {
            AlertState::Fired => format!("[{}] {name}", severity.as_str()),
            AlertState::Resolved => format!("[resolved] {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rust_decimal::Decimal;

    use super::*;
    use crate::domain::alerts::condition::{PaymentCondition, SystemCondition};
    use crate::domain::alerts::reading::Threshold;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    #[test]
    fn rule_is_judged_by_the_source_that_was_read_least() {
        let rule = |source| RuleProperties {
            name: "no payments".to_owned(),
            description: String::new(),
            severity: Severity::Critical,
            condition: Condition::Payments(PaymentCondition::NoPayments { minutes: 30 }),
            projects: vec![],
            source,
            hold: HoldTimes::default(),
            max_lag_minutes: 10,
            enabled: true,
            muted_until: None,
        };
        let now = at("2026-01-15T10:00:00Z");
        let [fresh, old, stale] =
            ["2026-01-15T09:59:00Z", "2026-01-15T09:50:00Z", "2026-01-15T09:49:59Z"].map(|text| Some(at(text)));
        for (source, as_of, expected) in [
            (None, [fresh, old], old),
            (None, [fresh, stale], None),
            (None, [None, fresh], None),
            (Some(Source::Vima), [fresh, stale], fresh),
            (Some(Source::Payshack), [fresh, stale], None),
            // A clock that was set back.
            (None, [Some(at("2026-01-15T10:05:00Z")); 2], Some(now)),
        ] {
            assert_eq!(rule(source).judgeable_at(as_of, now), expected, "{source:?} {as_of:?}");
        }
        let muted = RuleProperties { muted_until: Some(now), ..rule(None) };
        assert!(!muted.is_muted(now) && muted.is_muted(now - TimeDelta::seconds(1)));
        let fires = Decimal::ZERO;
        let other = Condition::System(SystemCondition::Quarantine { above: Threshold { fires, clears: None } });
        assert_eq!(RuleProperties { condition: other, ..muted }.title(AlertState::Fired), "[critical] no payments");
    }
}
