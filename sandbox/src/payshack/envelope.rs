//! The envelope around every answer of `PayShack`.

use poem::{Response, http::StatusCode};

use crate::{
    http::answer::json,
    json::{Object, object},
    moment::Moment,
};

/// A good answer; `data` is JSON already.
pub(crate) fn success(message: &str, now: Moment, data: &str) -> Response {
    let mut out = String::with_capacity(data.len() + 160);
    object(&mut out, |o| {
        open(o, StatusCode::OK, message, true, now);
        o.bare("data", data);
    });
    json(StatusCode::OK, out)
}

/// A failure that goes out as HTTP 200, as `PayShack` has it.
pub(crate) fn failure(message: &str, now: Moment) -> Response {
    refused(StatusCode::OK, message, now)
}

pub(crate) fn refused(status: StatusCode, message: &str, now: Moment) -> Response {
    let mut out = String::new();
    object(&mut out, |o| {
        open(o, status, message, false, now);
        o.null("data");
    });
    json(status, out)
}

fn open(o: &mut Object<'_>, status: StatusCode, message: &str, success: bool, now: Moment) {
    let words = status.canonical_reason().unwrap_or_default().to_uppercase();
    o.quoted("timestamp", now.iso()).bare("statusCode", status.as_u16()).text("status", &words);
    o.text("message", message).bare("success", success);
}
