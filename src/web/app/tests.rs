//! The OpenAPI document of every operation.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::web::http::auth::policy::{POLICIES, Policy};

fn as_value() -> Value {
    serde_json::from_str(&document().to_json()).expect("JSON")
}

fn operations(document: &Value) -> impl Iterator<Item = (String, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("methods");
        methods.iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
    })
}

#[test]
fn operations_are_described() {
    for (name, operation) in operations(&as_value()) {
        for field in ["summary", "description", "operationId"] {
            assert!(operation[field].as_str().is_some_and(|text| !text.is_empty()), "{name}: {field}");
        }
        assert!(operation["tags"].as_array().is_some_and(|tags| !tags.is_empty()), "{name}: tags");
    }
}

#[test]
fn responses_are_described_and_have_an_example() {
    let document = as_value();
    for (name, operation) in operations(&document) {
        for (status, response) in operation["responses"].as_object().expect("responses") {
            let reference = response["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
            let response = reference.map_or(response, |reference| document.pointer(reference).expect("a response"));
            let description = response["description"].as_str().unwrap_or_default();
            assert!(!description.is_empty(), "{name}: {status} is not described: document the type of the response");
            let without_content = ["204", "303"].contains(&status.as_str());
            let content = response["content"].as_object();
            assert!(without_content || content.is_some(), "{name}: {status} has no content");
            for (media_type, content) in content.into_iter().flatten() {
                let has_example = content.get("example").or(content.get("examples")).is_some();
                assert!(has_example || media_type.contains("sheet"), "{name}: {status} {media_type} has no example");
            }
        }
    }
}

#[test]
fn parameters_are_described_and_unique() {
    for (name, operation) in operations(&as_value()) {
        let mut names = BTreeSet::new();
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let key = (parameter["in"].to_string(), parameter["name"].to_string());
            assert!(parameter["description"].as_str().is_some_and(|text| !text.is_empty()), "{name}: {key:?}");
            assert!(names.insert(key), "{name}: {} is declared twice", parameter["name"]);
        }
    }
}

#[test]
fn optional_parameters_have_no_example_that_swagger_ui_would_fill_in() {
    for (name, operation) in operations(&as_value()) {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let prefilled = ["example", "examples"].iter().any(|key| parameter.get(key).is_some())
                || ["example", "default"].iter().any(|key| parameter["schema"].get(key).is_some());
            assert!(parameter["required"] == true || !prefilled, "{name}: {}", parameter["name"]);
        }
    }
}

#[test]
fn only_health_and_sign_in_need_no_key() {
    for (name, operation) in operations(&as_value()) {
        let open = operation["security"].as_array().expect("security").is_empty();
        let expected = name.starts_with("get /health") || name.starts_with("get /api/v1/session/oidc/");
        assert_eq!(open, expected, "{name}");
    }
}

#[test]
fn references_exist() {
    let document = as_value();
    let text = document.to_string();
    for reference in text.split("\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(document.pointer(reference).is_some(), "#{reference}");
    }
}

#[test]
fn optional_response_fields_are_present_and_nullable() {
    let document = as_value();
    let transaction = &document["components"]["schemas"]["Transaction"];
    assert_eq!(transaction["properties"]["utr"]["type"], serde_json::json!(["string", "null"]));
    assert_eq!(transaction["properties"]["amount"]["type"], "string");
    let fields = transaction["properties"].as_object().expect("properties").len();
    assert_eq!(transaction["required"].as_array().map(Vec::len), Some(fields));
}

#[test]
fn query_is_written_as_its_parameters() {
    let document = as_value();
    let list = document["paths"]["/api/v1/transactions"]["get"]["parameters"].as_array().expect("parameters");
    let names: Vec<&str> = list.iter().filter_map(|parameter| parameter["name"].as_str()).collect();
    assert_eq!(names.len(), 28, "{names:?}");
    let status = list.iter().find(|parameter| parameter["name"] == "status").expect("status");
    assert_eq!((&status["explode"], &status["schema"]["type"]), (&Value::Bool(false), &Value::from("array")));
}

#[test]
fn declared_errors_are_in_the_document() {
    let document = as_value();
    let statuses = |path: &str, method: &str| -> Vec<String> {
        let responses = document["paths"][path][method]["responses"].as_object().expect("responses");
        responses.keys().cloned().collect()
    };
    assert_eq!(statuses("/api/v1/me", "get"), ["200", "401", "403", "414", "421", "422", "429", "431", "500", "503"]);
    assert_eq!(
        statuses("/api/v1/jobs/{id}", "get"),
        ["200", "401", "403", "404", "414", "421", "422", "429", "431", "500", "503"]
    );
    assert_eq!(
        statuses("/api/v1/jobs/{id}/cancel", "post"),
        ["202", "401", "403", "404", "409", "414", "415", "421", "422", "429", "431", "500", "503"]
    );
}

/// Otherwise, its parameters would be refused as unknown.
#[test]
fn parameters_of_every_operation_are_known() {
    let described: BTreeSet<String> = document().query_parameters().map(|(operation, _)| operation).collect();
    let outside = events::WEBSOCKET_PARAMETERS.map(|(operation, _)| operation);
    for policy in POLICIES {
        let is_page = policy.role.is_none() && !policy.path.starts_with("/api/v1");
        assert!(
            is_page || described.contains(policy.operation) || outside.contains(&policy.operation),
            "{}",
            policy.operation
        );
    }
    let names: Vec<String> = document().query_parameters().flat_map(|(_, names)| names).collect();
    assert!(names.iter().all(|name| !name.starts_with('_')), "names that begin with _ are free: {names:?}");
}

#[test]
fn committed_document_is_current() {
    assert!(document().to_json() == include_str!("../../../openapi/openapi.json"), "run make openapi");
    assert!(document().to_yaml() == include_str!("../../../openapi/openapi.yaml"), "run make openapi");
}

/// The pages and the WebSocket are outside of the document.
#[test]
fn access_policy_lists_the_operations_of_the_document() {
    let document = as_value();
    let described: BTreeSet<(String, &str)> = operations(&document)
        .map(|(call, operation)| (call, operation["operationId"].as_str().unwrap_or_default()))
        .collect();
    let outside = |policy: &&Policy| {
        !["/", "/api/docs", "/api/docs/events", "/favicon.svg", "/ws"].contains(&policy.path)
            && !["/api/openapi.", "/api/asyncapi.", "/assets/", "/ws/"]
                .iter()
                .any(|start| policy.path.starts_with(start))
    };
    let listed: BTreeSet<(String, &str)> = POLICIES
        .iter()
        .filter(outside)
        .map(|policy| (format!("{} {}", policy.method.to_lowercase(), policy.path), policy.operation))
        .collect();
    assert_eq!(listed, described);
}
