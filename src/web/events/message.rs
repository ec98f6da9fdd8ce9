//! The messages: events, notices, and the requests of a WebSocket's client.

use std::sync::OnceLock;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::event::RecordedEvent;
use crate::domain::event_names::EventNames;
use crate::domain::masking::PiiAccess;
use crate::domain::subscription::Subscription;
use crate::domain::transaction::Source;

/// The maximum size of a client message, in bytes.
pub(in crate::web) const LONGEST: usize = 16 << 10;

/// An event with its message, which is written once for all clients.
#[derive(Debug)]
pub(in crate::web) struct Outgoing {
    pub(in crate::web) recorded: RecordedEvent,
    full: Text,
    /// `None` if it has nothing to mask.
    masked: Option<Text>,
    /// The same under its other name, which follows; such events have nothing to mask.
    second: Option<(&'static str, String)>,
}

/// A message as the WebSocket sends it, and as the event stream does.
#[derive(Debug)]
struct Text {
    json: String,
    block: OnceLock<Bytes>,
}

impl From<RecordedEvent> for Outgoing {
    fn from(recorded: RecordedEvent) -> Self {
        let json =
            |pii_access| json(&RecordedEvent { event: recorded.event.shown_with(pii_access), ..recorded.clone() });
        let text = |json| Text { json, block: OnceLock::new() };
        let (full, masked) = (json(PiiAccess::Full), json(PiiAccess::Masked));
        let masked = (masked != full).then(|| text(masked));
        Self { full: text(full), masked, recorded, second: None }
    }
}

impl Outgoing {
    pub(in crate::web) fn new(recorded: RecordedEvent, names: EventNames) -> Self {
        let outgoing = Self::from(recorded);
        let name = outgoing.recorded.event.name();
        let second = names.second(name).map(|other| {
            let [from, to] = [name, other].map(|name| format!(r#""type":"{name}""#));
            (other, outgoing.full.json.replacen(&from, &to, 1))
        });
        Self { second, ..outgoing }
    }

    fn message(&self, pii_access: PiiAccess) -> &Text {
        match pii_access {
            PiiAccess::Full => &self.full,
            PiiAccess::Masked => self.masked.as_ref().unwrap_or(&self.full),
        }
    }

    pub(in crate::web) fn text(&self, pii_access: PiiAccess) -> &str {
        &self.message(pii_access).json
    }

    /// The message, and the one under its other name if there is one.
    pub(in crate::web) fn texts(&self, pii_access: PiiAccess) -> impl Iterator<Item = &str> {
        std::iter::once(self.text(pii_access)).chain(self.second.as_ref().map(|(_, json)| json.as_str()))
    }

    /// As a block of an event stream, or two.
    pub(in crate::web) fn block(&self, pii_access: PiiAccess) -> Bytes {
        let Text { json, block } = self.message(pii_access);
        let of_id = |name, json| stream_block(self.recorded.id, name, json);
        let write = || {
            let first = of_id(self.recorded.event.name(), json);
            match &self.second {
                Some((name, json)) => [first, of_id(name, json)].concat().into(),
                None => first,
            }
        };
        block.get_or_init(write).clone()
    }
}

/// A message of an event stream. JSON has no line breaks outside of strings, where they are escaped.
fn stream_block(id: i64, name: &str, json: &str) -> Bytes {
    format!("id: {id}\nevent: {name}\ndata: {json}\n\n").into()
}

/// A message to one client that is not an event and is not stored.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
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
    /// Some events that the client has missed are no longer available.
    Gap {
        /// The last event that the client knows.
        since: i64,
        /// Human-readable.
        message: &'static str,
    },
    /// The reply to `ping`.
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

    /// The `type` of the message.
    fn name(&self) -> &'static str {
        match self {
            Self::Connected { .. } => "connected",
            Self::Gap { .. } => "gap",
            Self::Pong => "pong",
            Self::Subscribed { .. } => "subscribed",
            Self::Error { .. } => "error",
        }
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

    /// As a block of an event stream.
    pub(in crate::web) fn block(&self, id: i64, timestamp: DateTime<Utc>) -> Bytes {
        stream_block(id, self.name(), &self.text(id, timestamp))
    }
}

/// A message of a WebSocket's client.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::web) enum Request {
    /// Is answered by `pong`.
    Ping,
    /// Replaces the subscription, and is answered by `subscribed`. An unknown name is answered by `error`, and changes nothing.
    Subscribe {
        /// Names of events, or prefixes that end in `*`, such as `sync_*`; all events if absent or null.
        events: Option<Vec<String>>,
        /// Only events about these sources (`vima`, `payshack`), and those about no source; all if absent or null.
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
    use crate::domain::event::Event;

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
    fn messages_are_blocks_of_an_event_stream() {
        let now = "2026-01-15T10:00:00Z".parse().expect("a time");
        let block = "id: 7\nevent: pong\ndata: {\"id\":7,\"timestamp\":\"2026-01-15T10:00:00Z\",\"type\":\"pong\"}\n\n";
        assert_eq!(Notice::Pong.block(7, now), block);
        let error = "no disk\r\n\ndata: forged a.b@example.com".to_owned();
        let failed = Event::JobFailed { kind: "export".to_owned(), job_id: uuid::Uuid::nil(), error };
        let outgoing = Outgoing::from(RecordedEvent { id: 8, timestamp: now, trace_id: None, event: failed });
        for (pii_access, shown) in [(PiiAccess::Full, true), (PiiAccess::Masked, false)] {
            let block = String::from_utf8(outgoing.block(pii_access).to_vec()).expect("text");
            let json = outgoing.text(pii_access);
            assert_eq!(block, format!("id: 8\nevent: job_failed\ndata: {json}\n\n"));
            assert_eq!((block.lines().count(), block.contains("a.b@example.com")), (4, shown), "{block}");
        }
    }

    #[test]
    fn event_with_two_names_has_two_blocks() {
        let timestamp = "2026-01-15T10:00:00Z".parse().expect("a time");
        let event = Event::NewTransactions { source: Source::Vima, count: 3 };
        let recorded = RecordedEvent { id: 8, timestamp, trace_id: None, event };
        let block = |names| Outgoing::new(recorded.clone(), names).block(PiiAccess::Masked);
        let expected = |name: &str| {
            let json =
                format!(r#"{{"id":8,"timestamp":"2026-01-15T10:00:00Z","type":"{name}","source":"vima","count":3}}"#);
            format!("id: 8\nevent: {name}\ndata: {json}\n\n")
        };
        assert_eq!(block(EventNames::Current), expected("new_transactions"));
        assert_eq!(block(EventNames::BothForms), expected("new_transactions") + &expected("new_transaction"));
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
