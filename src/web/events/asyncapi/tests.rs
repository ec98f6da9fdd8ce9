//! The document is complete, current, and says what is sent.

use std::collections::BTreeSet;

use super::*;
use crate::domain::event_names::OTHER_FORMS;
use crate::web::events::message::Request as ClientMessage;

fn messages() -> &'static Map<String, Value> {
    document().0["components"]["messages"].as_object().expect("messages")
}

fn names(place: &str) -> BTreeSet<&'static str> {
    let messages = document().0.pointer(place).and_then(Value::as_object).expect(place);
    messages.keys().map(String::as_str).collect()
}

#[test]
fn committed_document_is_current() {
    assert!(document().to_yaml() == include_str!("../../../../openapi/asyncapi.yaml"), "run make openapi");
}

#[test]
fn every_event_can_be_subscribed_to() {
    let notices = ["connected", "gap"];
    let events: BTreeSet<&str> =
        names("/channels/eventStream/messages").into_iter().filter(|name| !notices.contains(name)).collect();
    assert_eq!(events, EVENTS.into_iter().chain(OTHER_FORMS.map(|(_, other)| other)).collect());
}

#[test]
fn every_message_and_field_is_described_and_has_an_example() {
    assert_eq!(messages().len(), 24);
    for (name, message) in messages() {
        assert!(message["summary"].as_str().is_some_and(|text| text.ends_with('.')), "{name} is not described");
        let examples = message["examples"].as_array().expect("examples");
        assert!(!examples.is_empty(), "{name} has no example: add one to asyncapi/examples.rs");
        let properties = message["payload"]["properties"].as_object().expect("properties");
        for example in examples {
            let fields = example["payload"].as_object().expect("an object");
            let unknown: Vec<_> = fields.keys().filter(|field| !properties.contains_key(*field)).collect();
            assert!(unknown.is_empty(), "{name}: {unknown:?}");
            for field in message["payload"]["required"].as_array().expect("required") {
                assert!(fields.contains_key(field.as_str().expect("a name")), "{name}: the example has no {field}");
            }
        }
    }
    let hidden = &messages()["export_ready"]["payload"]["properties"];
    assert!(hidden.get("audience").is_none(), "who may see an export is not part of the message");
}

#[test]
fn examples_of_client_messages_are_understood() {
    for name in ["ping", "subscribe"] {
        for example in messages()[name]["examples"].as_array().expect("examples") {
            let text = example["payload"].to_string();
            assert!(ClientMessage::parse(&text).is_ok(), "{text}");
        }
    }
}

#[test]
fn references_exist() {
    let text = document().0.to_string();
    for reference in text.split("\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document().0.pointer(reference).is_some(), "#{reference}");
    }
}

#[test]
fn page_shows_every_message_and_loads_nothing() {
    let html = page::render(&document().0);
    for name in messages().keys() {
        assert_eq!(html.matches(&format!("<h3 id=\"{name}\">")).count(), 1, "{name}");
    }
    for forbidden in ["<script", "http:", "https:", " style=", "src=", "null"] {
        let text = html.replace("null if", "").replace(", null", "").replace("or null", "").replace(":null", "");
        assert!(!text.contains(forbidden), "{forbidden}");
    }
    assert!(html.contains("<code>counts.total.vima</code>"), "fields of objects within are shown");
    assert!(html.contains("<td>integer or null</td>"), "a field that may be null says so");
}
