//! Server-Sent Events: the same events as an endless response, for clients that only read.
//!
//! An `EventSource` reconnects by itself and then sends the id of the last event that it knows, from which the replay
//! continues. hyper asks for the next part of a body only while the client accepts data, so a stream needs no task of its own. A
//! client that reads too slowly overflows its outbox, and its stream ends; the connection of one that reads nothing is closed
//! by [`server`](crate::web::http::server).
//!
//! poem's `EventStream` was rejected: it does not know ids that advance without a message, nor the end of a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use poem::http::HeaderName;
use poem::http::header::{ACCEPT_ENCODING, CACHE_CONTROL};
use poem::web::Data;
use poem::{Body, IntoResponse, Request, Response};
use poem_openapi::param::Header;
use poem_openapi::registry::{MetaMediaType, MetaResponse, MetaResponses, MetaSchema, MetaSchemaRef, Registry};
use poem_openapi::types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type};
use poem_openapi::{ApiResponse, OpenApi};
use rand::Rng;
use serde_json::Value;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::hub::Hub;
use super::message::Notice;
use super::outbox::Outbox;
use crate::clock::SharedClock;
use crate::domain::access::key::KeyEnd;
use crate::domain::event_names::{EventNames, parse_either};
use crate::domain::subscription::{Subscription, SubscriptionError};
use crate::domain::transaction::Source;
use crate::web::http::auth::{Caller, KeyWatch};
use crate::web::http::fails::Fails;
use crate::web::http::fields::request_fields;
use crate::web::http::limits::HeldPermit;
use crate::web::http::openapi::Tag;
use crate::web::http::parse_field::ParseField;
use crate::web::http::problem::Problem;
use crate::web::http::query::Query;
use crate::web::http::schema::plain_type;

pub(super) const PATH: &str = "/api/v1/events";
const MEDIA_TYPE: &str = "text/event-stream";
/// Below the 55 s after which some hosts close an idle connection.
const HEARTBEAT_EVERY: Duration = Duration::from_secs(25);
/// How long a client waits before it connects again, in milliseconds: each another time, so that the clients of a process that
/// has ended do not come all at once.
const RECONNECT_AFTER_MS: std::ops::RangeInclusive<u64> = 1_000..=5_000;
/// nginx would otherwise collect events before it passes them on.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const EXAMPLE: &str = concat!(
    "retry: 2718\n\nid: 41\nevent: connected\ndata: {\"id\":41,\"timestamp\":\"2026-01-15T10:00:00Z\",",
    "\"type\":\"connected\",\"message\":\"Connected: events follow as they happen.\",\"server_version\":\"",
    env!("CARGO_PKG_VERSION"),
    "\",\"last_event_id\":41}\n\nid: 42\nevent: new_transactions\ndata: {\"id\":42,",
    "\"timestamp\":\"2026-01-15T10:00:01Z\",\"type\":\"new_transactions\",\"source\":\"vima\",\"count\":3}\n\n"
);

request_fields! {
    /// Which events are streamed.
    pub(super) struct StreamQuery {
        /// Names of events, or prefixes that end in `*`, such as `sync_*`; by default all.
        events: Vec<EventPattern>,
        /// Only events about these sources, and those about no source; by default all.
        sources: Vec<Source>,
        /// The id of the last event that the client knows: later ones are sent first. `Last-Event-ID` takes precedence.
        since: Option<i64>,
        /// A ticket of `POST /ws/ticket`, instead of a key.
        ticket: Option<String>,
    }
}

impl StreamQuery {
    fn subscription(self, names: EventNames) -> Result<Subscription, SubscriptionError> {
        let events: Vec<String> = self.events.into_iter().map(|pattern| pattern.0).collect();
        let subscription = names.parse_subscription((!events.is_empty()).then_some(events), None)?;
        let sources = if self.sources.is_empty() { subscription.sources } else { self.sources };
        Ok(Subscription { sources, ..subscription })
    }
}

pub(super) struct EventsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Events")]
impl EventsApi {
    /// Stream live events
    ///
    /// Server-Sent Events: the messages of the WebSocket, in an endless response. `id` is the id of the event, `event` its type, and
    /// `data` the message, which [the documentation of events](/api/docs/events) describes. A client that connects again with
    /// `Last-Event-ID`, as browsers do by themselves, or with `since`, receives what it has missed; `gap` says that some of it is no
    /// longer available. Every 25 seconds a comment keeps the connection alive. The stream ends when the server stops, when the
    /// key ends, and when a client reads too slowly; connect again. In a browser, the session's cookie authenticates an
    /// `EventSource`; without one, use a ticket, which opens one connection.
    #[oai(path = "/events", method = "get", operation_id = "streamEvents")]
    async fn stream(
        &self,
        hub: Data<&Arc<Hub>>,
        caller: Caller,
        query: Query<StreamQuery>,
        /// The id of the last event that the client knows; browsers send it when they connect again.
        #[oai(name = "Last-Event-ID")]
        last_event_id: Header<Option<String>>,
        request: &Request,
    ) -> Result<EventStreamResponse, Fails> {
        let known = match last_event_id.0.as_deref().map(i64::parse_field) {
            None => query.0.since,
            Some(parsed) => Some(parsed.map_err(|error| Problem::field("Last-Event-ID", error))?),
        };
        let subscription = query.0.subscription(hub.names());
        let subscription = subscription.map_err(|error| Problem::field("events", error.to_string()))?;
        let joined = hub.join(caller.0, known).await;
        let welcome = joined.welcome(known);
        joined.outbox.subscribe(subscription);
        let stream = EventStream {
            outbox: joined.outbox,
            clock: Arc::clone(hub.clock()),
            closing: hub.closing().clone(),
            key_end: Box::pin(KeyWatch::ended_of(KeyWatch::of(request))),
            heartbeats: heartbeats(HEARTBEAT_EVERY),
            ended: false,
            _counted: (hub.count_client(), request.extensions().get::<HeldPermit>().cloned()),
        };
        Ok(EventStreamResponse(Body::from_bytes_stream(stream.into_bytes(&welcome))))
    }
}

/// A name of an event or a prefix, of either form.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EventPattern(String);

impl ParseField for EventPattern {
    fn parse_field(text: &str) -> Result<Self, String> {
        // Whether other forms are understood depends on a setting, which the handler knows.
        parse_either(text).map(|()| Self(text.to_owned())).map_err(|error| error.to_string())
    }
}

impl Type for EventPattern {
    plain_type!(
        "event_pattern",
        MetaSchemaRef::Inline(Box::new(MetaSchema {
            pattern: Some(r"^[a-z_]+\*?$|^\*$".to_owned()),
            ..MetaSchema::new("string")
        }))
    );
}

impl ToJSON for EventPattern {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.as_str().into())
    }
}

impl ParseFromJSON for EventPattern {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        match value {
            Some(Value::String(text)) => Self::parse_field(&text).map_err(ParseError::custom),
            _ => Err(ParseError::expected_input()),
        }
    }
}

/// An endless response.
pub(super) struct EventStreamResponse(Body);

impl IntoResponse for EventStreamResponse {
    fn into_response(self) -> Response {
        let response = Response::builder().content_type(MEDIA_TYPE).header(CACHE_CONTROL, "no-store");
        response.header(X_ACCEL_BUFFERING, "no").body(self.0)
    }
}

impl ApiResponse for EventStreamResponse {
    fn meta() -> MetaResponses {
        let schema = MetaSchema { example: Some(EXAMPLE.into()), ..MetaSchema::new("string") };
        let content = MetaMediaType { content_type: MEDIA_TYPE, schema: MetaSchemaRef::Inline(Box::new(schema)) };
        let response = MetaResponse {
            description: "Events, until one side ends the stream.",
            status: Some(200),
            status_range: None,
            content: vec![content],
            headers: vec![],
        };
        MetaResponses { responses: vec![response] }
    }

    fn register(_registry: &mut Registry) {}
}

/// The middleware would collect events before it compresses them.
pub(in crate::web) async fn skip_compression(mut request: Request) -> poem::Result<Request> {
    if request.uri().path() == PATH {
        request.headers_mut().remove(ACCEPT_ENCODING);
    }
    Ok(request)
}

struct EventStream {
    outbox: Arc<Outbox>,
    clock: SharedClock,
    closing: CancellationToken,
    key_end: Pin<Box<dyn Future<Output = KeyEnd> + Send>>,
    heartbeats: Interval,
    ended: bool,
    _counted: (TaskTrackerToken, Option<HeldPermit>),
}

impl EventStream {
    fn into_bytes(self, welcome: &[Notice]) -> impl Stream<Item = std::io::Result<Bytes>> + Send + use<> {
        let (position, now) = (self.outbox.position(), self.clock.now());
        let blocks = welcome.iter().map(|notice| notice.block(position, now));
        let first: Vec<Bytes> = [retry()].into_iter().chain(blocks).collect();
        let first = stream::iter([Ok(first.concat().into())]);
        let events = stream::unfold(self, |mut stream| async { Some((Ok(stream.next().await?), stream)) });
        futures_util::StreamExt::chain(first, events)
    }

    /// `None` if the stream has ended.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        let end = tokio::select! {
            biased;
            end = &mut self.key_end => end.to_string(),
            () = self.closing.cancelled() => "the server stops: connect again".to_owned(),
            () = self.outbox.overflowed() => "events come faster than you read them: connect again".to_owned(),
            event = self.outbox.next() => return Some(event.block(self.outbox.pii_access())),
            _ = self.heartbeats.tick() => return Some(self.heartbeat()),
        };
        self.ended = true;
        Some([retry(), format!(": {end}\n\n").into()].concat().into())
    }

    /// A comment. The id advances also if the client is not subscribed to the events before it, so that a later replay is short.
    fn heartbeat(&self) -> Bytes {
        format!(": heartbeat\nid: {}\n\n", self.outbox.position()).into()
    }
}

fn heartbeats(every: Duration) -> Interval {
    let mut heartbeats = interval_at(Instant::now() + every, every);
    heartbeats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeats
}

fn retry() -> Bytes {
    format!("retry: {}\n\n", rand::rng().random_range(RECONNECT_AFTER_MS)).into()
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio_util::task::TaskTracker;

    use super::super::outbox::CAPACITY;
    use super::super::tests::new_transactions;
    use super::*;
    use crate::clock::SystemClock;
    use crate::domain::access::Principal;

    fn stream(outbox: &Arc<Outbox>, heartbeat: Duration) -> EventStream {
        EventStream {
            outbox: Arc::clone(outbox),
            clock: Arc::new(SystemClock),
            closing: CancellationToken::new(),
            key_end: Box::pin(pending()),
            heartbeats: heartbeats(heartbeat),
            ended: false,
            _counted: (TaskTracker::new().token(), None),
        }
    }

    fn outbox() -> Arc<Outbox> {
        Arc::new(Outbox::new(Principal::anyone(), 0, vec![]))
    }

    fn offer(outbox: &Outbox, ids: std::ops::RangeInclusive<i64>) {
        let events: Vec<_> = ids.map(|id| Arc::new(new_transactions(id, Source::Vima).into())).collect();
        outbox.offer(&events);
    }

    async fn next(stream: &mut EventStream) -> Option<String> {
        let block = tokio::time::timeout(Duration::from_secs(5), stream.next()).await.expect("in time");
        block.map(|block| String::from_utf8(block.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn heartbeat_advances_the_id_past_events_of_no_interest() {
        let outbox = outbox();
        let mut stream = stream(&outbox, Duration::from_millis(5));
        assert_eq!(next(&mut stream).await.as_deref(), Some(": heartbeat\nid: 0\n\n"));
        outbox.subscribe(Subscription { events: vec!["sync_*".to_owned()], sources: Source::ALL.to_vec() });
        offer(&outbox, 1..=7);
        assert_eq!(next(&mut stream).await.as_deref(), Some(": heartbeat\nid: 7\n\n"));
    }

    #[tokio::test]
    async fn stream_ends_with_a_reason_and_a_time_to_come_back() {
        let forever = Duration::from_hours(1);
        let slow = outbox();
        let capacity = i64::try_from(CAPACITY).expect("small");
        offer(&slow, 1..=capacity);
        let mut too_slow = stream(&slow, forever);
        assert!(next(&mut too_slow).await.is_some_and(|block| block.starts_with("id: 1\nevent: new_transactions\n")));
        offer(&slow, capacity + 1..=capacity + 2);
        let mut revoked = stream(&outbox(), forever);
        revoked.key_end = Box::pin(ready(KeyEnd::SessionEnded));
        let mut stopped = stream(&outbox(), forever);
        stopped.closing.cancel();
        for (stream, reason) in [
            (&mut too_slow, ": events come faster than you read them: connect again\n\n"),
            (&mut revoked, ": session ended: sign in again\n\n"),
            (&mut stopped, ": the server stops: connect again\n\n"),
        ] {
            let end = next(stream).await.expect("a last block");
            let (retry, comment) = end.split_once("\n\n").expect("two blocks");
            let retry = retry.strip_prefix("retry: ").expect("a time").parse().expect("milliseconds");
            assert!(RECONNECT_AFTER_MS.contains(&retry), "{retry}");
            assert_eq!(comment, reason);
            assert_eq!(next(stream).await, None);
        }
    }
}
