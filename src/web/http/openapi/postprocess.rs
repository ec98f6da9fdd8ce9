//! Completes what poem-openapi cannot express, and writes its OpenAPI 3.0 as 3.1, in which any schema may be null.
//!
//! * A query object is written as a parameter per field.
//! * An `Option` in a response is present and may be null; poem-openapi says that it may be absent.
//! * Errors of the extractors (key, query, path, body) are added to those that the operation declares ([`Fails`]).
//! * A response has the description of its schema, an example and `X-Request-Id`.
//!
//! [`Fails`]: crate::web::http::fails::Fails

use std::collections::{BTreeMap, BTreeSet};

use poem_openapi::types::ToJSON;
use serde_json::{Map, Value, json};

use super::EXAMPLE_ID;
use super::headers::{self, IGNORED_PARAMETERS, REQUEST_ID, TRACE_RESPONSE, reference, write_headers};
use crate::domain::day::{FIRST_DAY, LAST_DAY};
use crate::domain::trace::TraceId;
use crate::web::http::auth::cookies;
use crate::web::http::auth::policy::{self, Policy};
use crate::web::http::problem::{MEDIA_TYPE, Problem, ProblemCode};

const SCHEMAS: &str = "#/components/schemas/";
const RESPONSES: &str = "#/components/responses/";
/// The names of the security schemes; one is enough.
const SCHEMES: [&str; 3] = ["bearer", "api_key", "session"];

pub(super) fn complete(document: &mut Value) {
    document["openapi"] = "3.1.0".into();
    merge_all_of(document);
    let mut schemas = take_object(&mut document["components"]["schemas"]);
    let in_requests = schemas_of_bodies(document);
    let mut problems = Map::new();
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    for operation in paths.filter_map(Value::as_object_mut).flat_map(|item| item.values_mut()) {
        write_security(operation);
        write_parameters(operation, &schemas);
        write_problems(operation, &mut problems);
        write_content(operation, &schemas);
        let checked = policy_of(operation).is_some_and(Policy::refuses_unknown_parameters);
        write_headers(operation, checked);
    }
    for (name, schema) in &mut schemas {
        write_schema(schema, !in_requests.contains(name.as_str()));
    }
    problems.sort_keys();
    document["components"]["responses"] = problems.into();
    let used = reachable(document, &schemas);
    schemas.retain(|name, _| used.contains(name));
    document["components"]["schemas"] = schemas.into();
    document["components"]["headers"] = headers::all();
    document["components"]["securitySchemes"] = security_schemes();
}

/// OpenAPI 3.0 allows nothing beside `$ref`, so poem-openapi writes a reference and its description as `allOf`.
fn merge_all_of(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::Array(parts)) = object.shift_remove("allOf") {
                object.extend(parts.into_iter().filter_map(|part| part.as_object().cloned()).flatten());
            }
            object.iter_mut().filter(|(key, _)| *key != "example").for_each(|(_, value)| merge_all_of(value));
        }
        Value::Array(items) => items.iter_mut().for_each(merge_all_of),
        _ => {}
    }
}

fn take_object(value: &mut Value) -> Map<String, Value> {
    match value.take() {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

/// The schemas of request bodies, in which a field may be absent.
fn schemas_of_bodies(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().into_iter().flat_map(|paths| paths.values());
    let operations = paths.filter_map(Value::as_object).flat_map(|methods| methods.values());
    operations.filter_map(|operation| operation.get("requestBody")).flat_map(references).collect()
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

/// The schemas that the paths and the problems refer to, directly or by way of other schemas.
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

/// The schemes with the role of the access policy. An operation without a key says so.
fn write_security(operation: &mut Value) {
    let role = policy_of(operation).and_then(|policy| policy.role);
    operation["security"] = match role {
        Some(role) => SCHEMES.map(|scheme| json!({scheme: [role.as_str()]})).to_vec().into(),
        None => json!([]),
    };
}

fn policy_of(operation: &Value) -> Option<&'static Policy> {
    policy::of_operation(operation["operationId"].as_str().unwrap_or_default())
}

fn security_schemes() -> Value {
    json!({
        "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer <key>`"},
        "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "`X-API-Key: <key>`"},
        "session": {
            "type": "apiKey", "in": "cookie", "name": cookies::SESSION.name(),
            "description": "The cookie of `POST /api/v1/session` or of a sign-in at `/api/v1/session/oidc/login`, which a browser \
                sends by itself. Behind TLS its name begins with `__Host-`. With it, methods other than `GET`, `HEAD` and \
                `OPTIONS` need an `Origin` of this service.",
        },
    })
}

fn write_parameters(operation: &mut Value, schemas: &Map<String, Value>) {
    let Some(Value::Array(parameters)) = operation.get_mut("parameters") else { return };
    *parameters = std::mem::take(parameters)
        .into_iter()
        .flat_map(|parameter| match query_object(&parameter, schemas) {
            Some((object, fields)) => fields.keys().map(|name| query_parameter(name, object)).collect(),
            None => vec![with_example(parameter)],
        })
        .collect();
}

/// The object that a query parameter stands for, if it stands for one, and its properties.
fn query_object<'a>(parameter: &Value, schemas: &'a Map<String, Value>) -> Option<(&'a Value, &'a Map<String, Value>)> {
    let name = references(&parameter["schema"]).pop().filter(|_| parameter["in"] == "query")?;
    schemas.get(&name).and_then(|object| Some((object, object["properties"].as_object()?)))
}

/// Without an example, which Swagger UI would send as a filter that the user did not choose. An absent list is empty.
fn query_parameter(name: &str, object: &Value) -> Value {
    let mut schema = object["properties"][name].clone();
    describe_days(&mut schema);
    let description = schema.as_object_mut().and_then(|schema| {
        schema.shift_remove("example");
        schema.shift_remove("description")
    });
    write_limits(&mut schema);
    let explode = schema["type"] != "array";
    let required = explode && object["required"].as_array().is_some_and(|names| names.contains(&name.into()));
    json!({
        "name": name, "in": "query", "description": description, "required": required, "style": "form", "explode": explode,
        "schema": schema,
    })
}

/// JSON Schema has no limits for days.
fn describe_days(schema: &mut Value) {
    if schema["format"] == "naive-date" {
        let description = schema["description"].as_str().unwrap_or_default();
        schema["description"] = format!("{description} From {FIRST_DAY} to {LAST_DAY}.").trim_start().into();
    }
}

fn with_example(mut parameter: Value) -> Value {
    if parameter["required"] == true && parameter["schema"]["format"] == "uuid" {
        parameter["example"] = EXAMPLE_ID.to_string().into();
    }
    parameter
}

/// Replaces the declared problems by references, and adds those of the extractors.
fn write_problems(operation: &mut Value, components: &mut Map<String, Value>) {
    let mut codes: BTreeMap<String, Vec<ProblemCode>> = BTreeMap::new();
    for code in declared_problems(operation).into_iter().chain(extractor_problems(operation)) {
        let of_status = codes.entry(code.status().as_str().to_owned()).or_default();
        if !of_status.contains(&code) {
            of_status.push(code);
        }
    }
    for (status, codes) in codes {
        let name = codes.iter().map(|code| format!("{code:?}")).collect::<Vec<_>>().join("Or");
        operation["responses"][status] = json!({"$ref": format!("{RESPONSES}{name}")});
        components.entry(name).or_insert_with(|| problem_response(&codes));
    }
    if let Some(responses) = operation["responses"].as_object_mut() {
        responses.sort_keys();
    }
}

/// The problems of `Fails`, which describes each response by the problem's title.
fn declared_problems(operation: &Value) -> Vec<ProblemCode> {
    let responses = operation["responses"].as_object().into_iter().flat_map(|responses| responses.values());
    let problems = responses.filter(|response| response["content"].get(MEDIA_TYPE).is_some());
    problems
        .filter_map(|response| ProblemCode::ALL.into_iter().find(|code| response["description"] == code.title()))
        .collect()
}

fn extractor_problems(operation: &Value) -> BTreeSet<ProblemCode> {
    use ProblemCode as Code;
    let mut codes =
        BTreeSet::from([Code::InternalError, Code::UriTooLong, Code::HeadersTooLarge, Code::MisdirectedRequest]);
    if policy_of(operation).is_some_and(|policy| !policy.path.starts_with("/health")) {
        codes.insert(Code::RateLimited);
    }
    if policy_of(operation).is_some_and(Policy::refuses_unknown_parameters) {
        codes.insert(Code::ValidationError);
    }
    if policy_of(operation).is_some_and(|policy| policy.method != "GET") {
        codes.insert(Code::UnsupportedMediaType);
    }
    if let Some(Policy { role: Some(_), .. }) = policy_of(operation) {
        // 403 also because of the network from which the key is used.
        codes.extend([Code::Unauthenticated, Code::Forbidden, Code::ServiceUnavailable]);
    }
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        match parameter["in"].as_str() {
            Some("query") => codes.extend([Code::BadRequest, Code::ValidationError]),
            // Any text is a name.
            Some("path") if parameter["schema"] == json!({"type": "string"}) => {}
            Some("header") if parameter["name"] == "If-Match" => codes.extend([Code::BadRequest]),
            _ => codes.extend([Code::ValidationError]),
        }
    }
    if operation.get("requestBody").is_some() {
        codes.extend([Code::BadRequest, Code::PayloadTooLarge, Code::UnsupportedMediaType, Code::ValidationError]);
    }
    codes
}

/// The response for problems of one status.
fn problem_response(codes: &[ProblemCode]) -> Value {
    let titles: Vec<&str> = codes.iter().map(|code| code.title()).collect();
    let names = [REQUEST_ID, TRACE_RESPONSE, IGNORED_PARAMETERS];
    let mut headers = Value::Object(names.map(|name| (name.to_owned(), reference(name))).into_iter().collect());
    if codes.contains(&ProblemCode::ServiceUnavailable) || codes.contains(&ProblemCode::RateLimited) {
        headers["Retry-After"] = reference("Retry-After");
    }
    if codes.contains(&ProblemCode::RateLimited) {
        for name in ["RateLimit", "RateLimit-Policy"] {
            headers[name] = reference(name);
        }
    }
    if codes.contains(&ProblemCode::Unauthenticated) {
        headers["WWW-Authenticate"] = reference("WWW-Authenticate");
    }
    let mut content = json!({"schema": {"$ref": format!("{SCHEMAS}Problem")}});
    match codes {
        [code] => content["example"] = problem_example(*code),
        _ => {
            for code in codes {
                content["examples"][format!("{code:?}")] = json!({"value": problem_example(*code)});
            }
        }
    }
    json!({"description": titles.join(", or: "), "headers": headers, "content": {MEDIA_TYPE: content}})
}

fn problem_example(code: ProblemCode) -> Value {
    let problem = match code {
        ProblemCode::ValidationError => Problem::field("status", "must be one of success, failed, pending"),
        _ => Problem::new(code, code.title()),
    };
    problem.body(&EXAMPLE_ID.to_string(), TraceId::from_random(EXAMPLE_ID.as_u128())).to_json().unwrap_or_default()
}

/// Gives bodies and responses their examples, and responses the description of their schema.
fn write_content(operation: &mut Value, schemas: &Map<String, Value>) {
    let listed = operation["summary"].as_str().and_then(|summary| summary.strip_prefix("List ")).map(str::to_owned);
    if let Some(body) = operation.get_mut("requestBody") {
        write_examples(body, schemas);
    }
    let responses = operation["responses"].as_object_mut().into_iter().flat_map(|responses| responses.values_mut());
    for response in responses.filter(|response| response.get("$ref").is_none()) {
        if response["description"] == "" {
            let name = references(&response["content"]).into_iter().next().unwrap_or_default();
            response["description"] = match &listed {
                Some(items) if name.starts_with("Page_") => format!("A page of {items}.").into(),
                _ => schemas.get(&name).map(|schema| schema["description"].clone()).unwrap_or_default(),
            };
        }
        write_examples(response, schemas);
    }
}

fn write_examples(message: &mut Value, schemas: &Map<String, Value>) {
    let Some(Value::Object(contents)) = message.as_object_mut().and_then(|message| message.shift_remove("content"))
    else {
        return;
    };
    for (media_type, mut content) in contents {
        let of_schema = references(&content).first().and_then(|name| schemas.get(name)?.get("example").cloned());
        let inline = || content["schema"].as_object_mut().and_then(|schema| schema.shift_remove("example"));
        if let Some(example) = of_schema.or_else(inline) {
            content["example"] = example;
        }
        // `charset` is not part of the name of a media type, and JSON is always UTF-8.
        let essence = media_type.split(';').next().unwrap_or_default();
        message["content"][essence] = content;
    }
}

/// A field that is not required may be null; in a response it is present all the same.
fn write_schema(schema: &mut Value, in_response: bool) {
    let Some(object) = schema.as_object_mut() else { return };
    let required = object.shift_remove("required").unwrap_or_else(|| json!([]));
    let Some(properties) = object.get_mut("properties").and_then(Value::as_object_mut) else { return };
    for (name, property) in properties.iter_mut() {
        write_limits(property);
        if !in_response {
            describe_days(property);
        }
        if !required.as_array().is_some_and(|required| required.iter().any(|it| it == name)) {
            make_nullable(property);
        }
    }
    let required = if in_response { properties.keys().cloned().collect() } else { required };
    if required.as_array().is_some_and(|required| !required.is_empty()) {
        object.insert("required".to_owned(), required);
    }
}

fn make_nullable(schema: &mut Value) {
    let null_type = json!({"type": "null"});
    if let Some(reference) = schema.as_object_mut().and_then(|schema| schema.shift_remove("$ref")) {
        schema["anyOf"] = json!([{"$ref": reference}, null_type]);
    } else if let Some(one_of) = schema.get_mut("oneOf").and_then(Value::as_array_mut) {
        one_of.push(null_type);
    } else if let Some(kind) = schema.get("type").cloned() {
        schema["type"] = json!([kind, "null"]);
    }
}

/// poem-openapi writes the limits of integers as floats.
fn write_limits(schema: &mut Value) {
    for limit in ["minimum", "maximum"] {
        if let Some(number) = schema.get(limit).and_then(Value::as_f64).filter(|_| schema["type"] == "integer") {
            schema[limit] = format!("{number}").parse::<i64>().map_or_else(|_| number.into(), Value::from);
        }
    }
}
