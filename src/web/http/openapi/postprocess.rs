//! What poem-openapi does not say, or says wrong, put right by rules.
//!
//! * A query object is written as the parameters it stands for.
//! * An `Option` of an answer is there and may be null; poem-openapi says that it may be missing.
//! * The problems that an operation may answer follow from what it takes (a key, a query, an id, a body), starts and changes.
//! * Every answer bears `X-Request-Id`, and shows an example.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{EXAMPLE_DAY, EXAMPLE_ID};
use crate::web::http::problem::{MEDIA_TYPE, ProblemCode};

const SCHEMAS: &str = "#/components/schemas/";
const REQUEST_ID: &str = "X-Request-Id";

/// Values of query parameters, by name, where the schema alone shows none.
const EXAMPLES: [(&str, &str); 16] = [
    ("project", "monetix"),
    ("currency", "INR"),
    ("country", "IN"),
    ("payment_method", "UPI"),
    ("merchant_id", "merchant-7"),
    ("client_id", "client-7"),
    ("reseller_id", "reseller-1"),
    ("timezone", "Asia/Kolkata"),
    ("search", "order-10"),
    ("min_amount", "100.00"),
    ("max_amount", "5000.00"),
    ("min_diff", "100.00"),
    ("assignee", "otto"),
    ("name", "sync"),
    ("columns", "recon_date"),
    ("Idempotency-Key", "6f1b6a1e-sync"),
];

/// Mends the whole document.
pub(in crate::web) fn mend(document: &mut Value) {
    let mut schemas = take_object(&mut document["components"]["schemas"]);
    let asked = schemas_of_bodies(document);
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for (method, operation) in paths.filter_map(Value::as_object_mut).flatten() {
        write_parameters(operation, &schemas);
        mend_media_types(operation, &schemas);
        add_problems(operation, method);
        add_headers(operation);
    }
    for (name, schema) in &mut schemas {
        mend_schema(schema, !asked.contains(name.as_str()));
    }
    document["components"]["responses"] = problem_responses();
    let used = reachable(document, &schemas);
    schemas.retain(|name, _| used.contains(name));
    document["components"]["schemas"] = schemas.into();
    document["components"]["headers"] = headers();
}

fn take_object(value: &mut Value) -> Map<String, Value> {
    match value.take() {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// The schemas that requests are made of: there, a field may be missing.
fn schemas_of_bodies(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().into_iter().flat_map(|paths| paths.values());
    let operations = paths.filter_map(Value::as_object).flat_map(|methods| methods.values());
    let bodies = operations.filter_map(|operation| operation.get("requestBody"));
    bodies.flat_map(references).collect()
}

/// The names of the schemas that `value` refers to.
fn references(value: &Value) -> Vec<String> {
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(key, value)| match value.as_str() {
                Some(target) if key == "$ref" => target.strip_prefix(SCHEMAS).map(str::to_owned).into_iter().collect(),
                _ => references(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(references).collect(),
        _ => vec![],
    }
}

/// The schemas that are used: by the paths, by the problems, or by one another.
fn reachable(document: &Value, schemas: &Map<String, Value>) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    let mut next = references(&document["paths"]);
    next.extend(references(&document["components"]["responses"]));
    while let Some(name) = next.pop() {
        if let Some(schema) = schemas.get(&name).filter(|_| !used.contains(&name)) {
            next.extend(references(schema));
            used.insert(name);
        }
    }
    used
}

fn write_parameters(operation: &mut Value, schemas: &Map<String, Value>) {
    let Some(Value::Array(parameters)) = operation.get_mut("parameters") else { return };
    *parameters = std::mem::take(parameters)
        .into_iter()
        .flat_map(|parameter| match query_object(&parameter, schemas) {
            Some(properties) => properties.iter().map(|(name, schema)| query_parameter(name, schema)).collect(),
            None => vec![with_example(parameter)],
        })
        .collect();
}

/// The properties of the object that a query parameter stands for, if it stands for one.
fn query_object<'a>(parameter: &Value, schemas: &'a Map<String, Value>) -> Option<&'a Map<String, Value>> {
    let name = references(&parameter["schema"]).pop().filter(|_| parameter["in"] == "query")?;
    schemas.get(&name)?.get("properties")?.as_object()
}

fn query_parameter(name: &str, schema: &Value) -> Value {
    let (description, schema) = split_description(schema.clone());
    let explode = schema["type"] != "array";
    with_example(json!({
        "name": name, "in": "query", "description": description, "required": false, "style": "form", "explode": explode,
        "schema": schema,
    }))
}

/// A schema and what is said of it apart: a parameter says it itself.
fn split_description(mut schema: Value) -> (Value, Value) {
    if let Some(description) = schema.as_object_mut().and_then(|schema| schema.shift_remove("description")) {
        return (description, schema);
    }
    // A reference cannot bear a description in OpenAPI 3.0; poem-openapi puts the two side by side.
    match (schema.pointer("/allOf/0").cloned(), schema.pointer("/allOf/1/description").cloned()) {
        (Some(reference), Some(description)) => (description, reference),
        _ => (Value::Null, schema),
    }
}

fn with_example(mut parameter: Value) -> Value {
    let name = parameter["name"].as_str().unwrap_or_default();
    let by_name = EXAMPLES.iter().find(|(known, _)| *known == name).map(|(_, example)| Value::from(*example));
    let by_format = match parameter["schema"]["format"].as_str() {
        Some("date") => Some(EXAMPLE_DAY.to_string().into()),
        Some("uuid") => Some(EXAMPLE_ID.to_string().into()),
        Some("uint32") => Some(1.into()),
        _ => None,
    };
    if let Some(example) = by_name.or(by_format) {
        let list = parameter["schema"]["type"] == "array";
        parameter["example"] = if list { vec![example].into() } else { example };
    }
    parameter
}

fn mend_media_types(operation: &mut Value, schemas: &Map<String, Value>) {
    if let Some(body) = operation.get_mut("requestBody") {
        mend_content(body, schemas);
    }
    for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
        if response["description"] == "" {
            response["description"] =
                if status == "202" { "The work is queued." } else { "What was asked for." }.into();
        }
        mend_content(response, schemas);
    }
}

fn mend_content(message: &mut Value, schemas: &Map<String, Value>) {
    for (media_type, mut content) in take_object(&mut message["content"]) {
        let shown = references(&content).first().and_then(|name| schemas.get(name)?.get("example"));
        if let Some(example) = shown {
            content["example"] = example.clone();
        } else if let Some(example) = content["schema"].as_object_mut().and_then(|it| it.shift_remove("example")) {
            content["example"] = example;
        }
        // A charset is no part of a media type's name, and JSON has only one.
        let plain = media_type.split(';').next().unwrap_or_default();
        message["content"][plain] = content;
    }
}

fn add_problems(operation: &mut Value, method: &str) {
    for code in problems_of(operation, method) {
        let (status, name) = (code.status().as_str().to_owned(), response_name(code));
        let responses = &mut operation["responses"];
        if code == ProblemCode::InternalError || responses.get(&status).is_none() {
            responses[status] = json!({"$ref": format!("#/components/responses/{name}")});
        }
    }
    if let Some(responses) = operation["responses"].as_object_mut() {
        responses.sort_keys();
    }
}

/// The problems that an operation may answer.
fn problems_of(operation: &Value, method: &str) -> BTreeSet<ProblemCode> {
    use ProblemCode as Code;
    let mut codes = BTreeSet::from([Code::InternalError]);
    if method == "patch" {
        // What is to be changed may not be there, or not stand so that it may be.
        codes.extend([Code::NotFound, Code::Conflict]);
    }
    if operation["responses"].get("202").is_some() {
        codes.insert(Code::Conflict);
    }
    if operation.get("security").is_some() {
        codes.extend([Code::Unauthenticated, Code::Forbidden, Code::ServiceUnavailable]);
    }
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        codes.insert(Code::ValidationError);
        match (parameter["in"].as_str(), parameter["schema"]["type"].as_str()) {
            // An id or a name; of what is an enum, and so a reference, every value is there.
            (Some("path"), Some("string")) => codes.insert(Code::NotFound),
            (Some("query"), _) => codes.insert(Code::BadRequest),
            (Some("header"), _) => codes.insert(Code::Conflict),
            _ => false,
        };
    }
    if operation.get("requestBody").is_some() {
        codes.extend([Code::BadRequest, Code::PayloadTooLarge, Code::UnsupportedMediaType, Code::ValidationError]);
    }
    codes
}

fn response_name(code: ProblemCode) -> String {
    format!("{code:?}")
}

fn problem_responses() -> Value {
    let responses = ProblemCode::ALL.into_iter().map(|code| {
        let mut headers = json!({REQUEST_ID: {"$ref": format!("#/components/headers/{REQUEST_ID}")}});
        if code == ProblemCode::ServiceUnavailable {
            headers["Retry-After"] = json!({"$ref": "#/components/headers/Retry-After"});
        }
        if code == ProblemCode::Unauthenticated {
            headers["WWW-Authenticate"] = json!({"$ref": "#/components/headers/WWW-Authenticate"});
        }
        let content = json!({"schema": {"$ref": format!("{SCHEMAS}Problem")}, "example": code.example()});
        (
            response_name(code),
            json!({"description": code.title(), "headers": headers, "content": {MEDIA_TYPE: content}}),
        )
    });
    responses.collect()
}

fn headers() -> Value {
    json!({
        REQUEST_ID: {
            "description": "The id under which the logs know the request: the one it brought, or a new one.",
            "schema": {"type": "string"},
            "example": EXAMPLE_ID.to_string(),
        },
        "Retry-After": {
            "description": "After how many seconds it may be tried again.",
            "schema": {"type": "integer"},
            "example": 5,
        },
        "WWW-Authenticate": {
            "description": "How to present a key.",
            "schema": {"type": "string"},
            "example": "Bearer realm=\"psp\"",
        },
    })
}

fn add_headers(operation: &mut Value) {
    let responses = operation["responses"].as_object_mut().into_iter().flat_map(|responses| responses.values_mut());
    for response in responses.filter(|response| response.get("$ref").is_none()) {
        // poem-openapi writes names of headers in capitals.
        if let Some(location) = response["headers"].as_object_mut().and_then(|headers| headers.shift_remove("LOCATION"))
        {
            response["headers"]["Location"] = location;
        }
        response["headers"][REQUEST_ID] = json!({"$ref": format!("#/components/headers/{REQUEST_ID}")});
    }
}

/// What is not required may be null; in an answer it is there all the same.
fn mend_schema(schema: &mut Value, answered: bool) {
    let required: BTreeSet<String> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        // Indexing has made it up.
        schema.as_object_mut().and_then(|schema| schema.shift_remove("required"));
        return;
    };
    for (_, property) in properties.iter_mut().filter(|(name, _)| !required.contains(*name)) {
        if let Some(reference) = property.get("$ref").cloned() {
            *property = json!({"allOf": [{"$ref": reference}]});
        }
        property["nullable"] = true.into();
    }
    let names: Vec<Value> = properties.keys().map(|name| name.as_str().into()).collect();
    if answered {
        schema["required"] = names.into();
    } else if required.is_empty() {
        schema.as_object_mut().and_then(|schema| schema.shift_remove("required"));
    }
}
