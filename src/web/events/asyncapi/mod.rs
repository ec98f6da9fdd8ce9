//! The AsyncAPI document of live events, as JSON, as YAML and as a page.
//!
//! It is made from the types of the messages alone, as the OpenAPI document is made from those of the operations: an event that is
//! added or changed is in it, or a test fails. Rejected: parts of the OpenAPI document, which cannot describe messages of a
//! connection; and the page generators of AsyncAPI, which need Node or load their scripts from elsewhere.

mod examples;
mod page;
mod schemas;

use std::sync::LazyLock;

use poem::{Route, get};
use serde_json::{Map, Value, json};

use self::schemas::Described;
use crate::domain::subscription::EVENTS;
use crate::web::http::auth::cookies;
use crate::web::http::openapi::page::Page;
use crate::web::http::openapi::yaml;

static DOCUMENT: LazyLock<EventsDocument> = LazyLock::new(EventsDocument::new);

const DESCRIPTION: &str = "Live events: syncs, new and changed payments, metrics, reconciliations, jobs, exports and alerts, as they happen.

A message is a flat JSON object with `type`, `id` and `timestamp`. The ids of events increase strictly within a connection; a \
message that is not an event has the id of the event before it. `export_ready` has the id of the export, and its own as `event_id`. \
After a lost connection, connect again with the last id that was \
received: what was missed is sent first, each event once. `gap` says that some of it is no longer available: then load what is shown \
again. `sync_progress` and `metrics_updated` are limited in rate; superseded ones are dropped.

Fields and types of messages may be added: ignore those that you do not know. A viewer receives error messages with personal data \
masked, and a key that is limited to projects only the events that are about its exports, and `metrics_updated`.

A server with `LEGACY_EVENTS=true` sends some events a second time, right after the first, as `new_transaction`, \
`transaction_updated` and `metric_updated`, and otherwise the same, `id` included: for clients of the replaced service. Subscriptions \
may then name either.";

const SOCKET_DESCRIPTION: &str = "The WebSocket, also at `/ws`. The server pings every 25 seconds, and drops a client that misses two \
pings. It closes with 1001 when it stops, with 1008 when the key ends, with 1009 after a message of more than 16 KiB, and with 1013 \
if a client reads too slowly: connect again with `since`.";

const STREAM_DESCRIPTION: &str = "Server-Sent Events, for clients that only read. The field `id` is the id, `event` the type, and `data` \
the message. Every 25 seconds a comment is sent, which may advance the id. The stream ends when the server stops, when the key \
ends, and when a client reads too slowly.";

/// The AsyncAPI document.
pub struct EventsDocument(Value);

/// The document of this release.
#[must_use]
pub fn document() -> &'static EventsDocument {
    &DOCUMENT
}

/// Serves the document below `/api`.
pub(super) fn mount(route: Route) -> Route {
    let document = document();
    route
        .at("/api/docs/events", get(Page::new("text/html; charset=utf-8", page::render(&document.0))))
        .at("/api/asyncapi.json", get(Page::new("application/json", document.to_json())))
        .at("/api/asyncapi.yaml", get(Page::new("application/yaml", document.to_yaml())))
}

impl EventsDocument {
    fn new() -> Self {
        let Described { events, notices, requests, schemas } = schemas::describe();
        let names = |messages: &Map<String, Value>| messages.keys().cloned().collect::<Vec<_>>();
        let (event_names, notice_names, request_names) = (names(&events), names(&notices), names(&requests));
        let sent = [event_names.clone(), notice_names].concat();
        // Only a client that can send receives their replies.
        let streamed = [event_names, vec!["connected".to_owned(), "gap".to_owned()]].concat();
        let messages: Map<String, Value> = events.into_iter().chain(notices).chain(requests).collect();
        Self(json!({
            "asyncapi": "3.0.0",
            "info": {
                "title": "PSP dashboard: live events",
                "version": env!("CARGO_PKG_VERSION"),
                "description": DESCRIPTION,
                "license": {"name": "Proprietary"},
            },
            "defaultContentType": "application/json",
            "servers": servers(),
            "channels": {
                "webSocket": socket_channel(&[sent.clone(), request_names.clone()].concat()),
                "eventStream": stream_channel(&streamed),
            },
            "operations": {
                "sendBySocket": operation("send", "webSocket", "What the server sends by the WebSocket.", &sent),
                "receiveBySocket": operation("receive", "webSocket", "What a client may send.", &request_names),
                "sendByStream": operation("send", "eventStream", "What the server sends as Server-Sent Events.", &streamed),
            },
            "components": {"messages": messages, "schemas": schemas, "securitySchemes": security_schemes()},
        }))
    }

    #[must_use]
    pub fn to_json(&self) -> String {
        // A JSON value can always be serialized.
        serde_json::to_string_pretty(&self.0).unwrap_or_default() + "\n"
    }

    #[must_use]
    pub fn to_yaml(&self) -> String {
        yaml(&self.0)
    }
}

fn servers() -> Value {
    let host = json!({"host": {"default": "localhost:8000", "description": "The host that serves this document."}});
    let security: Vec<Value> = ["bearer", "apiKey", "session", "ticket"].into_iter().map(security_scheme).collect();
    json!({
        "webSocket": {
            "host": "{host}", "protocol": "ws", "description": "`wss` behind TLS.", "variables": host, "security": security,
        },
        "http": {
            "host": "{host}", "protocol": "http", "description": "`https` behind TLS.", "variables": host, "security": security,
        },
    })
}

fn security_scheme(name: &str) -> Value {
    json!({"$ref": format!("#/components/securitySchemes/{name}")})
}

fn security_schemes() -> Value {
    json!({
        "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer <key>`"},
        "apiKey": {"type": "httpApiKey", "in": "header", "name": "X-API-Key", "description": "`X-API-Key: <key>`"},
        "session": {
            "type": "httpApiKey", "in": "cookie", "name": cookies::SESSION.name(),
            "description": "The cookie of a session, which a browser sends by itself. The WebSocket then needs an `Origin` of this \
                service, and the event stream must not have another one.",
        },
        "ticket": {
            "type": "httpApiKey", "in": "query", "name": "ticket",
            "description": "A ticket of `POST /api/v1/ws/ticket`. It opens one connection within 60 seconds.",
        },
    })
}

fn socket_channel(messages: &[String]) -> Value {
    let query = json!({"type": "object", "properties": {"since": since(), "ticket": ticket()}});
    json!({
        "address": "/ws/updates",
        "title": "WebSocket",
        "description": SOCKET_DESCRIPTION,
        "servers": [{"$ref": "#/servers/webSocket"}],
        "messages": references(messages, "#/components/messages"),
        "bindings": {"ws": {"method": "GET", "query": query}},
    })
}

fn stream_channel(messages: &[String]) -> Value {
    let names = format!(
        "Names of events ({}), or prefixes that end in `*`; separated by commas. By default all.",
        EVENTS.join(", ")
    );
    let query = json!({
        "events": {"type": "string", "description": names},
        "sources": {"type": "string", "description": "`vima`, `payshack`, or both, separated by commas. By default all."},
        "since": since(),
        "ticket": ticket(),
    });
    json!({
        "address": "/api/v1/events",
        "title": "Server-Sent Events",
        "description": STREAM_DESCRIPTION,
        "servers": [{"$ref": "#/servers/http"}],
        "messages": references(messages, "#/components/messages"),
        "x-query": query,
        "x-headers": {"Last-Event-ID": {"type": "integer", "description": "As `since`, which it takes precedence over."}},
    })
}

fn since() -> Value {
    json!({"type": "integer", "description": "The last event that the client knows: later ones are sent first."})
}

fn ticket() -> Value {
    json!({"type": "string", "description": "A ticket instead of a key."})
}

fn references(names: &[String], place: &str) -> Map<String, Value> {
    names.iter().map(|name| (name.clone(), json!({"$ref": format!("{place}/{name}")}))).collect()
}

fn operation(action: &str, channel: &str, summary: &str, messages: &[String]) -> Value {
    let place = format!("#/channels/{channel}/messages");
    let messages: Vec<Value> = references(messages, &place).into_iter().map(|(_, reference)| reference).collect();
    json!({
        "action": action, "channel": {"$ref": format!("#/channels/{channel}")}, "summary": summary, "messages": messages,
    })
}

#[cfg(test)]
mod tests;
