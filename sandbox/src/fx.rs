//! A feed of exchange rates: says what it was told to say.
//!
//! Real feeds are many and fail each in its own way, so there is no model of one: a test hands over the whole answer,
//! rates, a page of HTML or half a JSON, and the status that it comes with.

use std::sync::{Arc, PoisonError};

use poem::{Response, handler, http::StatusCode, web::Data};

use crate::{Sandbox, http::answer::json};

/// The first answer: the currencies of the made history.
const USUAL: &str =
    r#"{"base":"USD","date":"2026-01-15","rates":{"USD":1,"INR":83.2,"EUR":0.9225,"GBP":0.789,"JPY":157.84}}"#;

/// What the feed says.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
}

impl Default for Feed {
    fn default() -> Self {
        Self { status: StatusCode::OK, body: USUAL.to_owned() }
    }
}

impl Sandbox {
    pub(crate) fn set_feed(&self, feed: Feed) {
        *self.feed.write().unwrap_or_else(PoisonError::into_inner) = feed;
    }
}

#[handler]
pub(crate) fn latest(Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    let Feed { status, body } = sandbox.feed.read().unwrap_or_else(PoisonError::into_inner).clone();
    json(status, body)
}
