//! `PayShack`'s lists of who takes part, changed by a test's hand.

use std::sync::Arc;

use poem::{
    Error, Response, Result, handler,
    http::StatusCode,
    web::{Data, Path},
};
use serde_json::value::RawValue;

use crate::{
    Sandbox,
    http::{
        answer::{json, refusal},
        posted::Posted,
    },
    payshack::{Fields, List},
};

#[handler]
pub(crate) fn plant_row(
    Path(list): Path<List>,
    Posted(row): Posted<Box<RawValue>>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Response {
    let planted = row.get().to_owned();
    sandbox.state_mut().metadata.plant(list, row);
    json(StatusCode::CREATED, planted)
}

#[handler]
pub(crate) fn change_row(
    Path((list, id)): Path<(List, String)>,
    Posted(fields): Posted<Fields>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Result<Response> {
    let mut state = sandbox.state_mut();
    let changed = state.metadata.change(list, &id, fields).ok_or_else(|| unknown(&id))?;
    Ok(json(StatusCode::OK, changed.get().to_owned()))
}

#[handler]
pub(crate) fn remove_row(
    Path((list, id)): Path<(List, String)>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Result<Response> {
    let removed = sandbox.state_mut().metadata.remove(list, &id);
    if removed { Ok(json(StatusCode::OK, "{}")) } else { Err(unknown(&id)) }
}

fn unknown(id: &str) -> Error {
    Error::from_response(refusal(StatusCode::NOT_FOUND, &format!("no row {id}")))
}
