//! Holds every message of the tests against the AsyncAPI document.

use std::sync::LazyLock;

use serde_json::Value;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_yaml_ng::from_str(include_str!("../../../openapi/asyncapi.yaml")).expect("the committed document")
});

/// # Panics
/// If the document does not describe the message, or describes another one.
pub(crate) fn assert_described(message: &Value) {
    let name = message["type"].as_str().unwrap_or_else(|| panic!("a message without a type: {message}"));
    let described = &DOCUMENT["components"]["messages"][name]["payload"];
    assert!(described.is_object(), "openapi/asyncapi.yaml does not describe {name}");
    let mut wrong = vec![];
    check(described, message, name, &mut wrong);
    assert!(wrong.is_empty(), "openapi/asyncapi.yaml describes another message: {wrong:#?}, in {message}");
}

/// Checks the keywords that the document uses. Fields that it does not describe are wrong too.
fn check(schema: &Value, value: &Value, place: &str, wrong: &mut Vec<String>) {
    for (keyword, rule) in schema.as_object().into_iter().flatten() {
        let is_met = match (keyword.as_str(), value) {
            ("$ref", _) => {
                let reference = rule.as_str().expect("a reference").trim_start_matches('#');
                check(DOCUMENT.pointer(reference).expect(reference), value, place, wrong);
                true
            }
            ("allOf", _) => {
                for rule in rule.as_array().expect("schemas") {
                    check(rule, value, place, wrong);
                }
                true
            }
            ("type", _) => {
                let types = rule.as_array().map_or_else(|| std::slice::from_ref(rule), Vec::as_slice);
                types.iter().any(|name| is_a(name.as_str().expect("a type"), value))
            }
            ("const", _) => rule == value,
            ("enum", _) => rule.as_array().expect("values").contains(value),
            ("format", Value::String(text)) => has_format(rule.as_str().expect("a format"), text),
            ("minimum", Value::Number(number)) => number.as_f64() >= rule.as_f64(),
            ("required", Value::Object(fields)) => {
                rule.as_array().expect("names").iter().all(|name| fields.contains_key(name.as_str().expect("a name")))
            }
            ("properties", Value::Object(fields)) => {
                for (name, field) in fields {
                    match rule.get(name) {
                        Some(rule) => check(rule, field, &format!("{place}.{name}"), wrong),
                        None => wrong.push(format!("{place} has the field {name}")),
                    }
                }
                true
            }
            ("items", Value::Array(items)) => {
                for item in items {
                    check(rule, item, &format!("{place}[]"), wrong);
                }
                true
            }
            ("description" | "format" | "minimum" | "properties" | "required" | "items", _) => true,
            (unknown, _) => panic!("{place}: check the keyword {unknown} here too"),
        };
        if !is_met {
            wrong.push(format!("{place}: {value} is not {keyword} {rule}"));
        }
    }
}

fn is_a(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        unknown => panic!("the document uses the type {unknown}"),
    }
}

fn has_format(format: &str, text: &str) -> bool {
    match format {
        "date" => text.parse::<chrono::NaiveDate>().is_ok(),
        "date-time" => text.parse::<chrono::DateTime<chrono::Utc>>().is_ok() && text.ends_with('Z'),
        "uuid" => text.parse::<uuid::Uuid>().is_ok(),
        unknown => panic!("the document uses the format {unknown}"),
    }
}
