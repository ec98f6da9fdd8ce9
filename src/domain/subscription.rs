//! Which events a receiver gets: a client of live events, or a webhook.

use super::event::Event;
use super::transaction::Source;

/// Every event type of the contract, whether or not this release sends it.
pub const EVENTS: [&str; 14] = [
    "sync_started",
    "sync_progress",
    "sync_completed",
    "sync_failed",
    "new_transactions",
    "transactions_updated",
    "metrics_updated",
    "reconciliation_started",
    "reconciliation_progress",
    "reconciliation_completed",
    "reconciliation_failed",
    "job_failed",
    "export_ready",
    "alert",
];

/// An unknown name.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum SubscriptionError {
    #[error("unknown event {unknown}; choose from {}, or a prefix with *, such as sync_*", EVENTS.join(", "))]
    Events { unknown: String },
    #[error("unknown source {unknown}; choose from {}", Source::ALL.map(Source::as_str).join(", "))]
    Sources { unknown: String },
}

/// The default is everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// Names, or prefixes that end in `*`.
    pub events: Vec<String>,
    /// Events without a source match any.
    pub sources: Vec<Source>,
}

impl Default for Subscription {
    fn default() -> Self {
        Self { events: vec!["*".to_owned()], sources: Source::ALL.to_vec() }
    }
}

impl Subscription {
    /// Absent parts mean everything. A request with any unknown name is rejected as a whole, so that each request has one
    /// reply.
    pub fn parse(events: Option<Vec<String>>, sources: Option<Vec<String>>) -> Result<Self, SubscriptionError> {
        let everything = Self::default();
        Ok(Self {
            events: events.map_or(Ok(everything.events), parse_events)?,
            sources: sources.map_or(Ok(everything.sources), |names| parse_sources(&names))?,
        })
    }

    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        let about = event.sources();
        self.events.iter().any(|pattern| matches(pattern, event.name()))
            && (about.is_empty() || about.iter().any(|source| self.sources.contains(source)))
    }
}

fn parse_events(mut patterns: Vec<String>) -> Result<Vec<String>, SubscriptionError> {
    patterns.sort_unstable();
    patterns.dedup();
    let unknown = list(patterns.iter().filter(|pattern| !EVENTS.iter().any(|name| matches(pattern, name))));
    if unknown.is_empty() { Ok(patterns) } else { Err(SubscriptionError::Events { unknown }) }
}

/// Accepts a name of an event, or a prefix that ends in `*`.
pub fn parse_pattern(pattern: &str) -> Result<(), SubscriptionError> {
    parse_events(vec![pattern.to_owned()]).map(drop)
}

fn parse_sources(names: &[String]) -> Result<Vec<Source>, SubscriptionError> {
    let unknown = list(names.iter().filter(|name| Source::from_name(name).is_none()));
    if !unknown.is_empty() {
        return Err(SubscriptionError::Sources { unknown });
    }
    Ok(Source::ALL.into_iter().filter(|source| names.iter().any(|name| name == source.as_str())).collect())
}

pub(super) fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning))
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn progress(source: Source) -> Event {
        Event::SyncProgress { source, job_id: None, progress: 1, total: None, percent: None }
    }

    fn completed(source: Source) -> Event {
        Event::SyncCompleted { source, job_id: None, records_synced: 1, inserted: 1, updated: 0, duration_ms: 1 }
    }

    fn new_transactions(source: Source) -> Event {
        Event::NewTransactions { source, count: 1 }
    }

    fn job_failed() -> Event {
        Event::JobFailed { kind: "export".to_owned(), job_id: Uuid::nil(), error: "no disk".to_owned() }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn subscriptions_are_accepted_or_rejected_as_a_whole() {
        let all = Source::ALL.to_vec();
        for (events, sources, expected) in [
            (None, None, Ok((names(&["*"]), all.clone()))),
            (
                Some(&["sync_*", "new_transactions", "sync_*"][..]),
                None,
                Ok((names(&["new_transactions", "sync_*"]), all.clone())),
            ),
            (Some(&["export_ready", "alert"][..]), None, Ok((names(&["alert", "export_ready"]), all.clone()))),
            (Some(&[][..]), Some(&["vima"][..]), Ok((vec![], vec![Source::Vima]))),
            (None, Some(&["payshack", "vima", "vima"][..]), Ok((names(&["*"]), all))),
            (Some(&["sync_*", "nonsense"][..]), None, Err("\"nonsense\"")),
            (Some(&["nonsense_*"][..]), None, Err("\"nonsense_*\"")),
            (Some(&[""][..]), None, Err("\"\"")),
            (Some(&["sync_*_failed"][..]), None, Err("\"sync_*_failed\"")),
            (None, Some(&["Vima"][..]), Err("\"Vima\"")),
        ] {
            let read = Subscription::parse(events.map(names), sources.map(names));
            match (read, expected) {
                (Ok(read), Ok((events, sources))) => assert_eq!(read, Subscription { events, sources }),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (read, expected) => panic!("{read:?} where {expected:?} was expected"),
            }
        }
    }

    #[test]
    fn client_receives_subscribed_events() {
        use Source::{Payshack, Vima};
        for (events, sources, event, wanted) in [
            (None, None, progress(Vima), true),
            (None, Some(&["vima"][..]), progress(Payshack), false),
            (None, Some(&["vima"][..]), job_failed(), true),
            (None, Some(&[][..]), job_failed(), true),
            (None, Some(&["vima"][..]), Event::MetricsUpdated { sources: vec![Vima, Payshack] }, true),
            (Some(&["sync_*"][..]), None, completed(Vima), true),
            (Some(&["sync_*"][..]), None, new_transactions(Vima), false),
            (Some(&["sync_*"][..]), Some(&["payshack"][..]), completed(Vima), false),
            (Some(&["sync_failed", "new_transactions"][..]), None, new_transactions(Vima), true),
            (Some(&[][..]), None, job_failed(), false),
        ] {
            let subscription = Subscription::parse(events.map(names), sources.map(names)).expect("known names");
            assert_eq!(subscription.wants(&event), wanted, "{subscription:?} {event:?}");
        }
    }
}
