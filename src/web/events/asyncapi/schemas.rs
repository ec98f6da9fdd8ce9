//! The messages, and the schemas of their payloads, from the types that are serialized.

use schemars::generate::{Contract, SchemaSettings};
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::examples;
use crate::domain::event::Event;
use crate::domain::event_names::OTHER_FORMS;
use crate::web::events::message::{Notice, Request};

/// The messages by their names, and the schemas that they share.
pub(super) struct Described {
    pub(super) events: Map<String, Value>,
    pub(super) notices: Map<String, Value>,
    pub(super) requests: Map<String, Value>,
    pub(super) schemas: Map<String, Value>,
}

/// What every other message of the server has besides its own fields.
#[derive(JsonSchema, Serialize)]
struct Envelope {
    /// The id of the event before it.
    id: i64,
    /// RFC 3339, in UTC.
    timestamp: chrono::DateTime<chrono::Utc>,
}

/// What every event has besides its own fields.
#[derive(JsonSchema, Serialize)]
struct EventEnvelope {
    /// Its position in the order of commits.
    id: i64,
    /// RFC 3339, in UTC.
    timestamp: chrono::DateTime<chrono::Utc>,
    /// The trace of the request, tick or command that led to it, in the logs of all processes; absent if it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
}

pub(super) fn describe() -> Described {
    let mut sent = generator(Contract::Serialize);
    let envelope = value(Envelope::json_schema(&mut sent));
    let of_event = value(EventEnvelope::json_schema(&mut sent));
    let mut events = messages(&value(Event::json_schema(&mut sent)), Some(&of_event), &examples::events());
    for (name, other) in OTHER_FORMS {
        if let Some(second) = events.get(name).map(|message| renamed(message, (name, other))) {
            events.insert(other.to_owned(), second);
        }
    }
    let notices = messages(&value(Notice::json_schema(&mut sent)), Some(&envelope), &examples::notices());
    let mut received = generator(Contract::Deserialize);
    let requests = messages(&value(Request::json_schema(&mut received)), None, &examples::requests());
    let mut schemas = sent.take_definitions(true);
    schemas.extend(received.take_definitions(true));
    schemas.sort_keys();
    Described { events, notices, requests, schemas }
}

/// AsyncAPI's schemas are those of JSON Schema, draft 7.
fn generator(contract: Contract) -> SchemaGenerator {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.contract = contract;
    });
    settings.into_generator()
}

fn value(schema: schemars::Schema) -> Value {
    schema.to_value()
}

/// A message for each variant of an enum that is tagged by `type`.
fn messages(of_enum: &Value, envelope: Option<&Value>, examples: &[Value]) -> Map<String, Value> {
    let variants = of_enum["oneOf"].as_array().into_iter().flatten();
    variants
        .map(|variant| {
            let name = variant["properties"]["type"]["const"].as_str().unwrap_or_default();
            let examples: Vec<Value> = examples
                .iter()
                .filter(|example| example["type"] == name)
                .map(|example| json!({"name": name, "payload": example}))
                .collect();
            let message = json!({
                "name": name,
                "title": name,
                "summary": variant["description"],
                "contentType": "application/json",
                "payload": payload(variant, envelope),
                "examples": examples,
            });
            (name.to_owned(), message)
        })
        .collect()
}

/// The message of an event under its other name.
fn renamed(message: &Value, (name, other): (&str, &str)) -> Value {
    let mut second = message.clone();
    for field in ["/name", "/title", "/payload/properties/type/const", "/examples/0/name", "/examples/0/payload/type"] {
        if let Some(field) = second.pointer_mut(field) {
            *field = other.into();
        }
    }
    second["summary"] = format!("With `LEGACY_EVENTS=true` only: the same as `{name}`, right after it.").into();
    second
}

/// The fields of a variant after `type`, and those that every message has. A variant with an `id` of its own keeps it; that of the
/// message is then `event_id`.
fn payload(variant: &Value, envelope: Option<&Value>) -> Value {
    let (mut properties, mut required) = (Map::new(), vec![]);
    let tag = json!({"properties": {"type": variant["properties"]["type"]}, "required": ["type"]});
    for (part, is_envelope) in [(Some(&tag), false), (envelope, true), (Some(variant), false)] {
        let in_variant = |name: &str| is_envelope && variant["properties"].get(name).is_some();
        let named = |name: &str| if in_variant(name) { format!("event_{name}") } else { name.to_owned() };
        let Some(part) = part else { continue };
        for (name, schema) in part["properties"].as_object().into_iter().flatten() {
            properties.entry(named(name)).or_insert_with(|| schema.clone());
        }
        for name in part["required"].as_array().into_iter().flatten().filter_map(Value::as_str).map(named) {
            if !required.contains(&name) {
                required.push(name);
            }
        }
    }
    json!({"type": "object", "properties": properties, "required": required})
}
