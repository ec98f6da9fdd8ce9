//! Which events a receiver gets: a client of the WebSocket, or a webhook.

use super::event::Event;
use super::transaction::Source;

/// Every event type of the contract, whether or not this release sends it.
const EVENTS: [&str; 14] = [
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

fn parse_sources(names: &[String]) -> Result<Vec<Source>, SubscriptionError> {
    let unknown = list(names.iter().filter(|name| Source::from_name(name).is_none()));
    if !unknown.is_empty() {
        return Err(SubscriptionError::Sources { unknown });
    }
    Ok(Source::ALL.into_iter().filter(|source| names.iter().any(|name| name == source.as_str())).collect())
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |beginning| name.starts_with(beginning))
}

fn list<'a>(names: impl Iterator<Item = &'a String>) -> String {
    names.map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ")
}
