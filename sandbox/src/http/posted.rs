//! The JSON body of a request; one that cannot be read is answered with the reason.

use poem::{Error, FromRequest, Request, RequestBody, Result, http::StatusCode};
use serde::de::DeserializeOwned;

use super::answer::refusal;

/// A body read as JSON, whatever its content type says.
pub(crate) struct Posted<T>(pub(crate) T);

impl<'a, T: DeserializeOwned> FromRequest<'a> for Posted<T> {
    async fn from_request(_: &'a Request, body: &mut RequestBody) -> Result<Self> {
        let bytes = body.take()?.into_vec().await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| bad_request(&error.to_string()))
    }
}

/// An error that says what was wrong with a request.
pub(crate) fn bad_request(why: &str) -> Error {
    Error::from_response(refusal(StatusCode::BAD_REQUEST, why))
}
