//! The envelope of every PayShack response.

use poem::{Response, http::StatusCode};

use crate::{
    http::response::json,
    json_writer::{ObjectWriter, object},
    timestamp::Timestamp,
};

/// `data` is serialized JSON.
pub(crate) fn success(message: &str, now: Timestamp, data: &str) -> Response {
    let mut out = String::with_capacity(data.len() + 160);
    object(&mut out, |o| {
        write_header(o, StatusCode::OK, message, true, now);
        o.unquoted("data", data);
    });
    json(StatusCode::OK, out)
}

/// A failure with HTTP status 200, which PayShack uses for most errors.
pub(crate) fn failure(message: &str, now: Timestamp) -> Response {
    error(StatusCode::OK, message, now)
}

pub(crate) fn error(status: StatusCode, message: &str, now: Timestamp) -> Response {
    let mut out = String::new();
    object(&mut out, |o| {
        write_header(o, status, message, false, now);
        o.null("data");
    });
    json(status, out)
}

fn write_header(o: &mut ObjectWriter<'_>, status: StatusCode, message: &str, success: bool, now: Timestamp) {
    let reason = status.canonical_reason().unwrap_or_default().to_uppercase();
    o.quoted("timestamp", now.iso()).unquoted("statusCode", status.as_u16()).text("status", &reason);
    o.text("message", message).unquoted("success", success);
}
