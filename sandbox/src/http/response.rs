use poem::{
    Body, Response,
    http::{StatusCode, header},
};
use serde_json::json;

const JSON: &str = "application/json; charset=utf-8";

pub(crate) fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    Response::builder().status(status).header(header::CONTENT_TYPE, JSON).body(body)
}

/// `{"error": "reason"}`
pub(crate) fn error(status: StatusCode, reason: &str) -> Response {
    json(status, json!({ "error": reason }).to_string())
}
