//! The other names of events: the replaced service named some in the singular and some in the plural, and its clients wait for
//! either.
//!
//! Rejected: another value of `type` in the one message, which today's clients would not recognize; and a setting per client,
//! which clients that are no longer changed cannot send.

use super::subscription::{EVENTS, Subscription, SubscriptionError, matches, parse_pattern};

/// An event, and the other form of its name. Names without a plural of what they count have one form only.
pub const OTHER_FORMS: [(&str, &str); 3] = [
    ("new_transactions", "new_transaction"),
    ("transactions_updated", "transaction_updated"),
    ("metrics_updated", "metric_updated"),
];

/// Under which names events are sent, and subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EventNames {
    #[default]
    Current,
    /// A second message has the other form.
    BothForms,
}

impl EventNames {
    /// The name of the second message of an event.
    #[must_use]
    pub fn second(self, event: &str) -> Option<&'static str> {
        let (_, other) = OTHER_FORMS.into_iter().find(|(name, _)| *name == event)?;
        (self == Self::BothForms).then_some(other)
    }

    /// [`Subscription::parse`], which understands the names that are sent.
    pub fn parse_subscription(
        self,
        events: Option<Vec<String>>,
        sources: Option<Vec<String>>,
    ) -> Result<Subscription, SubscriptionError> {
        Subscription::parse(events.map(|patterns| self.to_current(patterns)), sources)
    }

    /// The patterns of a subscription, with other forms replaced by the names of [`EVENTS`].
    fn to_current(self, patterns: Vec<String>) -> Vec<String> {
        if self == Self::Current {
            return patterns;
        }
        patterns.into_iter().flat_map(current).collect()
    }
}

/// Accepts a name of an event of either form, or a prefix that ends in `*`.
pub fn parse_either(pattern: &str) -> Result<(), SubscriptionError> {
    current(pattern.to_owned()).iter().try_for_each(|pattern| parse_pattern(pattern))
}

/// A prefix may stand for events of both forms.
fn current(pattern: String) -> Vec<String> {
    let others = OTHER_FORMS.into_iter().filter(|(_, other)| matches(&pattern, other));
    let mut names: Vec<String> = others.map(|(name, _)| name.to_owned()).collect();
    if names.is_empty() || EVENTS.iter().any(|name| matches(&pattern, name)) {
        names.push(pattern);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_forms_are_of_events_and_no_events_themselves() {
        for (name, other) in OTHER_FORMS {
            assert!(EVENTS.contains(&name) && !EVENTS.contains(&other), "{name} {other}");
        }
    }

    #[test]
    fn other_form_is_sent_only_if_it_is_wanted() {
        assert_eq!(EventNames::BothForms.second("new_transactions"), Some("new_transaction"));
        assert_eq!(EventNames::BothForms.second("sync_started"), None);
        assert_eq!(EventNames::Current.second("new_transactions"), None);
    }

    #[test]
    fn patterns_of_other_forms_become_current_ones() {
        for (pattern, expected) in [
            ("new_transaction", &["new_transactions"][..]),
            ("new_transactions", &["new_transactions"]),
            ("transaction_*", &["transactions_updated"]),
            ("metric*", &["metrics_updated", "metric*"]),
            ("sync_*", &["sync_*"]),
            ("nonsense", &["nonsense"]),
        ] {
            assert_eq!(EventNames::BothForms.to_current(vec![pattern.to_owned()]), expected, "{pattern}");
            assert_eq!(EventNames::Current.to_current(vec![pattern.to_owned()]), [pattern]);
        }
    }
}
