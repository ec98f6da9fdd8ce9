//! What goes over a socket, as text: events, the few messages that are none, and what a client may say.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::subscription::Subscription;
use crate::domain::event::RecordedEvent;
use crate::domain::transaction::Source;

/// The longest message that a client may send.
pub(in crate::web) const LONGEST: usize = 16 << 10;

/// An event with its text, which is made once for all sockets.
#[derive(Debug, PartialEq)]
pub(in crate::web) struct Outgoing {
    /// What is said.
    pub(in crate::web) recorded: RecordedEvent,
    /// The same as JSON.
    pub(in crate::web) text: String,
}

impl From<RecordedEvent> for Outgoing {
    fn from(recorded: RecordedEvent) -> Self {
        let text = json(&recorded);
        Self { recorded, text }
    }
}

/// A message that is no event: said to one client, and kept nowhere.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::web) enum Notice {
    /// The first of all.
    Connected {
        /// For people.
        message: &'static str,
        /// Of this program.
        server_version: &'static str,
        /// The newest event that has gone out.
        last_event_id: i64,
    },
    /// Some of what `?since=` asked for is gone.
    Gap {
        /// What was asked for.
        since: i64,
        /// For people.
        message: &'static str,
    },
    /// The answer to a ping.
    Pong,
    /// What is in force from now on.
    Subscribed {
        /// Names or beginnings of names.
        events: Vec<String>,
        /// Sources.
        sources: Vec<Source>,
    },
    /// Something was not understood; the socket stays open.
    Error {
        /// The same codes as in the REST API.
        code: &'static str,
        /// What a person can act on.
        message: String,
    },
}

impl Notice {
    /// The greeting.
    pub(in crate::web) fn connected(last_event_id: i64) -> Self {
        Self::Connected {
            message: "Connected: events follow as they happen.",
            server_version: env!("CARGO_PKG_VERSION"),
            last_event_id,
        }
    }

    /// Events after `since` are missing.
    pub(in crate::web) fn gap(since: i64) -> Self {
        Self::Gap { since, message: "Some events since then are no longer kept: load what you show again." }
    }

    /// The answer to a subscription.
    pub(in crate::web) fn subscribed(subscription: &Subscription) -> Self {
        Self::Subscribed { events: subscription.events.clone(), sources: subscription.sources.clone() }
    }

    /// The answer to a message that cannot be read.
    pub(in crate::web) fn unreadable(message: impl Into<String>) -> Self {
        Self::Error { code: "BAD_REQUEST", message: message.into() }
    }

    /// The answer to a message that can be read but not followed.
    pub(in crate::web) fn invalid(message: impl Into<String>) -> Self {
        Self::Error { code: "VALIDATION_ERROR", message: message.into() }
    }

    /// Its text; `id` is that of the newest event before it.
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

/// What a client may say.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::web) enum Request {
    /// Are you there?
    Ping,
    /// From now on only these.
    Subscribe {
        /// Names or beginnings of names; all where it is left out.
        events: Option<Vec<String>>,
        /// Sources; all where it is left out.
        sources: Option<Vec<String>>,
    },
}

impl Request {
    /// Reads a client's message, or says what is wrong with it.
    pub(in crate::web) fn parse(text: &str) -> Result<Self, Notice> {
        let object: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| Notice::unreadable(format!("Not a JSON object: {error}.")))?;
        serde_json::from_value(Value::Object(object))
            .map_err(|error| Notice::unreadable(format!("Not a message that is known here: {error}.")))
    }
}

/// Plain data with text for keys always has a JSON form; an empty message would be the mark of a defect here.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_is_flat() {
        let now = "2026-01-15T10:00:00Z".parse().expect("a time");
        assert_eq!(Notice::Pong.text(7, now), r#"{"id":7,"timestamp":"2026-01-15T10:00:00Z","type":"pong"}"#);
        let subscription = Subscription { events: vec!["sync_*".to_owned()], sources: vec![Source::Vima] };
        assert_eq!(
            Notice::subscribed(&subscription).text(7, now),
            r#"{"id":7,"timestamp":"2026-01-15T10:00:00Z","type":"subscribed","events":["sync_*"],"sources":["vima"]}"#
        );
    }

    #[test]
    fn clients_are_understood_or_told_why_not() {
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
