//! The headers of responses in the OpenAPI document.

use serde_json::{Value, json};

use super::EXAMPLE_ID;

pub(super) const REQUEST_ID: &str = "X-Request-Id";
pub(super) const TRACE_RESPONSE: &str = "traceresponse";
/// The unknown query parameters that were ignored.
pub(super) const IGNORED_PARAMETERS: &str = "X-Ignored-Parameters";
/// The headers of every response.
const ALWAYS: [&str; 2] = [REQUEST_ID, TRACE_RESPONSE];
const EXAMPLE_TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/headers/{name}")})
}

/// The headers by their names.
pub(super) fn all() -> Value {
    json!({
        REQUEST_ID: {
            "description": "The id of the request in the logs: the one that the request had, or a new one.",
            "schema": {"type": "string"},
            "example": EXAMPLE_ID.to_string(),
        },
        TRACE_RESPONSE: {
            "description": "The trace of the request, as W3C Trace Context writes it: that of its `traceparent`, or a new one.",
            "schema": {"type": "string"},
            "example": EXAMPLE_TRACE,
        },
        IGNORED_PARAMETERS: {
            "description": "The names of unknown query parameters, percent-encoded and separated by commas; only with \
                `LENIENT_PARAMETERS=true`, which ignores them.",
            "schema": {"type": "string"},
            "example": "projct, utm_source",
        },
        "Retry-After": {
            "description": "The number of seconds to wait before the next attempt.",
            "schema": {"type": "integer"},
            "example": 5,
        },
        "RateLimit": {
            "description": "How many requests are left (`r`), and the seconds until the quota is complete again (`t`).",
            "schema": {"type": "string"},
            "example": "\"key\";r=1180;t=1",
        },
        "RateLimit-Policy": {
            "description": "How many requests (`q`) are allowed in how many seconds (`w`), for whom.",
            "schema": {"type": "string"},
            "example": "\"key\";q=1200;w=60",
        },
        "WWW-Authenticate": {
            "description": "How to present a key.",
            "schema": {"type": "string"},
            "example": "Bearer realm=\"psp\"",
        },
    })
}

/// The headers of every response, and those of operations whose parameters are `checked`.
pub(super) fn write_headers(operation: &mut Value, checked: bool) {
    let names = ALWAYS.into_iter().chain(checked.then_some(IGNORED_PARAMETERS));
    let responses = operation["responses"].as_object_mut().into_iter().flat_map(|responses| responses.values_mut());
    for response in responses.filter(|response| response.get("$ref").is_none()) {
        for name in names.clone() {
            response["headers"][name] = reference(name);
        }
    }
}
