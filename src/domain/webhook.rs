//! Webhooks: which events an endpoint gets, what is sent, when a delivery is tried again, and when an endpoint is disabled.
//!
//! As the Standard Webhooks specification says. An event is only one source of messages: whatever becomes a [`Message`] is
//! delivered in the same way.

pub mod signature;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::event::{Event, RecordedEvent};
use super::masking::PiiAccess;
use super::string_enum::string_enum;
use super::subscription::Subscription;

/// The delays after failed attempts that the specification recommends.
const RETRY_DELAYS: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];
/// Of the delay, so that endpoints that failed together are not tried again together.
const JITTER: f64 = 0.2;
/// The longest `Retry-After` that is honoured.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(24);
/// An endpoint that has failed for so long is disabled.
const DISABLED_AFTER: Duration = Duration::from_hours(5 * 24);
/// How long the replaced secret still signs.
pub const SECRET_OVERLAP: Duration = Duration::from_hours(24);
const GONE: u16 = 410;

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum DeliveryState {
        /// It waits for its turn, or for the next attempt.
        Pending = "pending",
        Delivered = "delivered",
        /// It is not tried again, unless it is replayed.
        Failed = "failed",
    }
}

/// The message id of a delivery, as its receiver sees it.
#[must_use]
pub fn message_id(delivery_id: Uuid) -> String {
    format!("msg_{}", delivery_id.simple())
}

/// What a receiver gets.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub kind: String,
    /// When it happened.
    pub timestamp: DateTime<Utc>,
    pub data: Value,
}

impl Message {
    /// With the fields of the event as on the WebSocket, personal data masked: the readers are unknown.
    #[must_use]
    pub fn of_event(recorded: &RecordedEvent) -> Self {
        let mut fields = match json!(recorded.event.shown_with(PiiAccess::Masked)) {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        fields.shift_remove("type");
        let data = Value::Object(fields);
        Self { kind: recorded.event.name().to_owned(), timestamp: recorded.timestamp, data }
    }

    /// Events after `since` were deleted before they could be delivered.
    #[must_use]
    pub fn gap(since: i64, now: DateTime<Utc>) -> Self {
        let message = "Some events are no longer kept and will not be delivered: load what you show again.";
        Self { kind: "gap".to_owned(), timestamp: now, data: json!({"since": since, "message": message}) }
    }

    #[must_use]
    pub fn test(now: DateTime<Utc>) -> Self {
        let message = "A person has requested this test delivery.";
        Self { kind: "test".to_owned(), timestamp: now, data: json!({"message": message}) }
    }

    /// The body of the request.
    #[must_use]
    pub fn payload(&self) -> String {
        #[derive(Serialize)]
        struct Payload<'a> {
            #[serde(rename = "type")]
            kind: &'a str,
            timestamp: DateTime<Utc>,
            data: &'a Value,
        }
        let payload = Payload { kind: &self.kind, timestamp: self.timestamp, data: &self.data };
        // Serializing plain data cannot fail.
        serde_json::to_string(&payload).unwrap_or_default()
    }
}

/// Whether an endpoint with this subscription gets the event. Progress comes several times a second and is superseded by what
/// follows, so only subscriptions that name it in full get it.
#[must_use]
pub fn wants(subscription: &Subscription, event: &Event) -> bool {
    let is_progress = matches!(event, Event::SyncProgress { .. } | Event::ReconciliationProgress { .. });
    subscription.wants(event) && (!is_progress || subscription.events.iter().any(|name| name == event.name()))
}

/// How a receiver replied to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    Status {
        code: u16,
        retry_after: Option<Duration>,
    },
    /// It could not be reached, or has not replied in time.
    None,
}

/// What becomes of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Delivered,
    RetryIn(Duration),
    Failed,
}

impl Reply {
    #[must_use]
    pub fn is_success(self) -> bool {
        matches!(self, Self::Status { code: 200..=299, .. })
    }

    /// The receiver wants nothing any more.
    #[must_use]
    pub fn is_gone(self) -> bool {
        matches!(self, Self::Status { code: GONE, .. })
    }

    /// After attempt number `attempt` (from 1) of a delivery that is retried; `chance` (0..1) is the jitter.
    #[must_use]
    pub fn verdict(self, attempt: u32, chance: f64) -> Verdict {
        if self.is_success() {
            return Verdict::Delivered;
        }
        let delay = usize::try_from(attempt).ok().and_then(|attempt| RETRY_DELAYS.get(attempt.saturating_sub(1)));
        match (delay, self) {
            (None, _) | (_, Self::Status { code: GONE, .. }) => Verdict::Failed,
            (Some(delay), Self::Status { retry_after: Some(wait), .. }) => {
                Verdict::RetryIn(wait.min(MAX_RETRY_AFTER).max(delay.mul_f64(1.0 + JITTER * chance)))
            }
            (Some(delay), _) => Verdict::RetryIn(delay.mul_f64(1.0 + JITTER * chance)),
        }
    }

    /// Why the endpoint is disabled after this reply; `failing_since` is the first failure after the last success.
    #[must_use]
    pub fn disables(self, failing_since: DateTime<Utc>, now: DateTime<Utc>) -> Option<String> {
        if self.is_gone() {
            return Some("the receiver replied 410 Gone".to_owned());
        }
        let failing_for = (now - failing_since).to_std().unwrap_or_default();
        let is_over = !self.is_success() && failing_for >= DISABLED_AFTER;
        is_over.then(|| format!("every attempt has failed since {}", failing_since.format("%Y-%m-%dT%H:%M:%SZ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::transaction::Source;

    const fn status(code: u16) -> Reply {
        Reply::Status { code, retry_after: None }
    }

    fn time(text: &str) -> DateTime<Utc> {
        text.parse().expect(text)
    }

    #[test]
    fn reply_decides_about_the_next_attempt() {
        let hours = Duration::from_hours;
        let asks = |code, wait| Reply::Status { code, retry_after: Some(wait) };
        for (reply, attempt, expected) in [
            (status(200), 1, Verdict::Delivered),
            (status(204), 10, Verdict::Delivered),
            (status(199), 1, Verdict::RetryIn(Duration::from_secs(5))),
            (status(302), 1, Verdict::RetryIn(Duration::from_secs(5))),
            (status(400), 2, Verdict::RetryIn(Duration::from_mins(5))),
            (status(500), 9, Verdict::RetryIn(hours(24))),
            (status(500), 10, Verdict::Failed),
            (Reply::None, 4, Verdict::RetryIn(hours(2))),
            (Reply::None, 10, Verdict::Failed),
            (status(410), 1, Verdict::Failed),
            (asks(429, hours(1)), 1, Verdict::RetryIn(hours(1))),
            (asks(503, hours(1)), 4, Verdict::RetryIn(hours(2))),
            (asks(503, hours(999)), 1, Verdict::RetryIn(hours(24))),
            (asks(503, hours(1)), 10, Verdict::Failed),
        ] {
            assert_eq!(reply.verdict(attempt, 0.0), expected, "{reply:?} {attempt}");
        }
        assert_eq!(status(500).verdict(1, 1.0), Verdict::RetryIn(Duration::from_secs(6)));
    }

    #[test]
    fn endpoint_is_disabled_when_it_is_gone_or_has_failed_for_days() {
        let now = time("2026-01-15T10:00:00Z");
        for (reply, failing_since, disabled) in [
            (status(410), "2026-01-15T10:00:00Z", true),
            (status(500), "2026-01-10T10:00:01Z", false),
            (status(500), "2026-01-10T10:00:00Z", true),
            (Reply::None, "2026-01-01T00:00:00Z", true),
            (status(200), "2026-01-01T00:00:00Z", false),
            // A clock that was set back.
            (status(500), "2026-01-15T11:00:00Z", false),
        ] {
            assert_eq!(reply.disables(time(failing_since), now).is_some(), disabled, "{reply:?} {failing_since}");
        }
    }

    #[test]
    fn progress_is_sent_to_those_who_name_it() {
        let progress =
            Event::SyncProgress { source: Source::Vima, job_id: None, progress: 1, total: None, percent: None };
        let started = Event::MetricsUpdated { sources: vec![Source::Vima] };
        for (events, event, expected) in [
            (&["*"][..], &progress, false),
            (&["sync_*"], &progress, false),
            (&["sync_progress"], &progress, true),
            (&["*"], &started, true),
            (&["sync_*"], &started, false),
        ] {
            let events = events.iter().map(ToString::to_string).collect();
            let subscription = Subscription::parse(Some(events), None).expect("known names");
            assert_eq!(wants(&subscription, event), expected, "{subscription:?} {event:?}");
        }
    }

    #[test]
    fn payload_has_the_fields_of_the_websocket() {
        let event = Event::JobFailed {
            kind: "export".to_owned(),
            job_id: Uuid::nil(),
            error: "sent to sonia.k@example.com".to_owned(),
        };
        let recorded = RecordedEvent { id: 7, timestamp: time("2026-01-15T10:00:00Z"), trace_id: None, event };
        assert_eq!(
            Message::of_event(&recorded).payload(),
            r#"{"type":"job_failed","timestamp":"2026-01-15T10:00:00Z","data":{"kind":"export","job_id":"00000000-0000-0000-0000-000000000000","error":"sent to s***@example.com"}}"#
        );
    }
}
