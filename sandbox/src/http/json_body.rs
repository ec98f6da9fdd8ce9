use std::fmt::Display;

use poem::{Error, FromRequest, Request, RequestBody, Result, http::StatusCode};
use serde::de::DeserializeOwned;

use super::response;

/// A body parsed as JSON, whatever its content type. Invalid JSON is rejected with status 400 and the reason.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<'a, T: DeserializeOwned> FromRequest<'a> for JsonBody<T> {
    async fn from_request(_: &'a Request, body: &mut RequestBody) -> Result<Self> {
        let bytes = body.take()?.into_vec().await?;
        serde_json::from_slice(&bytes).map(Self).map_err(bad_request)
    }
}

pub(crate) fn bad_request(reason: impl Display) -> Error {
    Error::from_response(response::error(StatusCode::BAD_REQUEST, &reason.to_string()))
}
