//! Scripted responses.

use std::sync::Arc;

use poem::{Response, Result, handler, http::StatusCode, web::Data};
use serde::Deserialize;
use serde_json::json;

use crate::{
    Sandbox,
    http::{
        json_body::{JsonBody, bad_request},
        response::json,
    },
    scripted::ScriptedResponse,
};

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    More(Vec<ScriptedResponse>),
    One(Box<ScriptedResponse>),
}

#[handler]
pub(crate) fn list(Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    json(StatusCode::OK, json!(sandbox.script().remaining()).to_string())
}

#[handler]
pub(crate) fn add(JsonBody(responses): JsonBody<OneOrMore>, Data(sandbox): Data<&Arc<Sandbox>>) -> Result<Response> {
    let responses = match responses {
        OneOrMore::More(responses) => responses,
        OneOrMore::One(response) => vec![*response],
    };
    sandbox.script().add(responses).map_err(bad_request)?;
    Ok(json(StatusCode::OK, "{}"))
}

#[handler]
pub(crate) fn clear(Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    sandbox.script().clear();
    json(StatusCode::OK, "{}")
}
