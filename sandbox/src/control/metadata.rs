//! Changes to the rows of PayShack's metadata lists.

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
        json_body::JsonBody,
        response::{error, json},
    },
    payshack::{MetadataFields, MetadataList},
};

#[handler]
pub(crate) fn insert_row(
    Path(list): Path<MetadataList>,
    JsonBody(row): JsonBody<Box<RawValue>>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Response {
    let inserted = row.get().to_owned();
    sandbox.state_mut().metadata.insert(list, row);
    json(StatusCode::CREATED, inserted)
}

#[handler]
pub(crate) fn change_row(
    Path((list, id)): Path<(MetadataList, String)>,
    JsonBody(fields): JsonBody<MetadataFields>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Result<Response> {
    let mut state = sandbox.state_mut();
    let changed = state.metadata.change(list, &id, fields).ok_or_else(|| not_found(&id))?;
    Ok(json(StatusCode::OK, changed.get().to_owned()))
}

#[handler]
pub(crate) fn remove_row(
    Path((list, id)): Path<(MetadataList, String)>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Result<Response> {
    let removed = sandbox.state_mut().metadata.remove(list, &id);
    if removed { Ok(json(StatusCode::OK, "{}")) } else { Err(not_found(&id)) }
}

fn not_found(id: &str) -> Error {
    Error::from_response(error(StatusCode::NOT_FOUND, &format!("no row {id}")))
}
