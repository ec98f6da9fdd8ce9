//! An exchange rate feed with a configurable response.
//!
//! Real feeds differ and fail in different ways, so none is modelled: a test sets the status and the whole body, such as
//! rates, an HTML page or truncated JSON.

use std::sync::{Arc, PoisonError};

use poem::{Request, Response, handler, http::StatusCode, web::Data};

use crate::{Sandbox, http::response::json};

/// Covers the currencies of the generated history.
const DEFAULT_BODY: &str =
    r#"{"base":"USD","date":"2026-01-15","rates":{"USD":1,"INR":83.2,"EUR":0.9225,"GBP":0.789,"JPY":157.84}}"#;

#[derive(Clone, Debug)]
pub(crate) struct FxResponse {
    pub(crate) status: StatusCode,
    pub(crate) body: String,
}

impl Default for FxResponse {
    fn default() -> Self {
        Self { status: StatusCode::OK, body: DEFAULT_BODY.to_owned() }
    }
}

impl Sandbox {
    pub(crate) fn set_fx_response(&self, response: FxResponse) {
        *self.fx_response.write().unwrap_or_else(PoisonError::into_inner) = response;
    }
}

#[handler]
pub(crate) fn latest(request: &Request, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    let uri = request.original_uri();
    if let Some(response) = sandbox.script().next(uri.path(), uri.query().unwrap_or_default()) {
        return response;
    }
    let FxResponse { status, body } = sandbox.fx_response.read().unwrap_or_else(PoisonError::into_inner).clone();
    json(status, body)
}
