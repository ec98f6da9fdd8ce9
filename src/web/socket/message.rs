//! The messages of the WebSocket: events, notices, and client requests.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::subscription::Subscription;
use crate::domain::event::RecordedEvent;
use crate::domain::masking::PiiAccess;
use crate::domain::transaction::Source;

/// The maximum size of a client message, in bytes.
pub(in crate::web) const LONGEST: usize = 16 << 10;

/// An event with its JSON, which is serialized once for all sockets.
#[derive(Debug, PartialEq)]
pub(in crate::web) struct Outgoing {
    pub(in crate::web) recorded: RecordedEvent,
    text: String,
    masked: String,
}

impl From<RecordedEvent> for Outgoing {
    fn from(recorded: RecordedEvent) -> Self {
        let text =
            |pii_access| json(&RecordedEvent { event: recorded.event.shown_with(pii_access), ..recorded.clone() });
        Self { text: text(PiiAccess::Full), masked: text(PiiAccess::Masked), recorded }
    }
}

impl Outgoing {
    pub(in crate::web) fn text(&self, pii_access: PiiAccess) -> &str {
        match pii_access {
            PiiAccess::Full => &self.text,
            PiiAccess::Masked => &self.masked,
        }
    }
}

/// A message to one client that is not an event and is not stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::web) enum Notice {
    /// The first message.
    Connected {
        /// Human-readable.
        message: &'static str,
        server_version: &'static str,
        /// The newest event that was sent.
        last_event_id: i64,
    },
    /// Some events after `?since=` are no longer available.
    Gap {
        since: i64,
        /// Human-readable.
        message: &'static str,
    },
    Pong,
    /// The new subscription.
    Subscribed {
        /// Names, or prefixes that end in `*`.
        events: Vec<String>,
        sources: Vec<Source>,
    },
    /// An invalid request; the socket stays open.
    Error {
        /// The codes of the REST API.
        code: &'static str,
        message: String,
    },
}

impl Notice {
    pub(in crate::web) fn connected(last_event_id: i64) -> Self {
        Self::Connected {
            message: "Connected: events follow as they happen.",
            server_version: env!("CARGO_PKG_VERSION"),
            last_event_id,
        }
    }

    pub(in crate::web) fn gap(since: i64) -> Self {
        Self::Gap { since, message: "Some events since then are no longer kept: load what you show again." }
    }

    pub(in crate::web) fn subscribed(subscription: &Subscription) -> Self {
        Self::Subscribed { events: subscription.events.clone(), sources: subscription.sources.clone() }
    }

    /// For a message that cannot be parsed.
    pub(in crate::web) fn unreadable(message: impl Into<String>) -> Self {
        Self::Error { code: "BAD_REQUEST", message: message.into() }
    }

    /// For a message with invalid values.
    pub(in crate::web) fn invalid(message: impl Into<String>) -> Self {
        Self::Error { code: "VALIDATION_ERROR", message: message.into() }
    }

    /// The JSON; `id` is that of the newest event before it.
    pub(in crate::web) fn text(&self, id: i64, timestamp: DateTime<Utc>) -> String {
        #[derive(Serialize)]
        struct Flat<'a> {
            id: i64,
            timestamp: DateTime<Utc>,
            #[serde(flatten)]
            notice: &'a Notice,
        }
        json(&Flat { id, timestamp, notice: self })
    }
}

/// A message of a client.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::web) enum Request {
    Ping,
    /// Replaces the subscription.
    Subscribe {
        /// Names, or prefixes that end in `*`; all if absent.
        events: Option<Vec<String>>,
        /// All if absent.
        sources: Option<Vec<String>>,
    },
}

impl Request {
    /// Parses a message; the error is the notice to send.
    pub(in crate::web) fn parse(text: &str) -> Result<Self, Notice> {
        let object: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| Notice::unreadable(format!("Not a JSON object: {error}.")))?;
        serde_json::from_value(Value::Object(object))
            .map_err(|error| Notice::unreadable(format!("Not a message that is known here: {error}.")))
    }
}

/// Serializing plain data with string keys cannot fail.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notice_is_flat_json() {
        let now = "2026-01-15T10:00:00Z".parse().expect("a time");
        assert_eq!(Notice::Pong.text(7, now), r#"{"id":7,"timestamp":"2026-01-15T10:00:00Z","type":"pong"}"#);
        let subscription = Subscription { events: vec!["sync_*".to_owned()], sources: vec![Source::Vima] };
        assert_eq!(
            Notice::subscribed(&subscription).text(7, now),
            r#"{"id":7,"timestamp":"2026-01-15T10:00:00Z","type":"subscribed","events":["sync_*"],"sources":["vima"]}"#
        );
    }

    #[test]
    fn client_messages_are_parsed_or_rejected_with_a_reason() {
        for (text, expected) in [
            (r#"{"type":"ping"}"#, Ok(Request::Ping)),
            (r#"{"type":"ping","events":7}"#, Ok(Request::Ping)),
            (r#"{"type":"subscribe"}"#, Ok(Request::Subscribe { events: None, sources: None })),
            (
                r#"{"type":"subscribe","events":["sync_*"],"sources":null}"#,
                Ok(Request::Subscribe { events: Some(vec!["sync_*".to_owned()]), sources: None }),
            ),
            (r#"{"type":"subscribe","events":"sync_*"}"#, Err("expected a sequence")),
            (r#"{"type":"dance"}"#, Err("`ping` or `subscribe`")),
            (r#"{"type":7}"#, Err("expected")),
            ("{}", Err("missing field `type`")),
            (r#"["ping"]"#, Err("Not a JSON object")),
            ("null", Err("Not a JSON object")),
            ("ping", Err("Not a JSON object")),
            ("", Err("Not a JSON object")),
        ] {
            match (Request::parse(text), expected) {
                (Ok(read), Ok(expected)) => assert_eq!(read, expected, "{text}"),
                (Err(Notice::Error { code: "BAD_REQUEST", message }), Err(part)) => {
                    assert!(message.contains(part), "{text}: {message}");
                }
                (read, _) => panic!("{text} was read as {read:?}"),
            }
        }
    }
}
