//! Answers in JSON.

use poem::{
    Body, Response,
    http::{StatusCode, header},
};
use serde_json::json;

const JSON: &str = "application/json; charset=utf-8";

pub(crate) fn json(status: StatusCode, body: impl Into<Body>) -> Response {
    Response::builder().status(status).header(header::CONTENT_TYPE, JSON).body(body)
}

/// An error in the plain form: `{"error": "why"}`.
pub(crate) fn refusal(status: StatusCode, why: &str) -> Response {
    json(status, json!({ "error": why }).to_string())
}
