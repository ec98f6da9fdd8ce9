//! `GET /operation`.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};
use poem::{
    Request, Response, handler,
    http::{StatusCode, header},
    web::Data,
};

use crate::{
    Sandbox,
    config::Config,
    faults::RequestFaults,
    http::{
        query_params::QueryParams,
        response::{error, json},
    },
};

use super::{operation_store::OperationQuery, page};

/// Also the default.
const MAX_PER_PAGE: usize = 100;

#[handler]
pub(crate) fn operations(request: &Request, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    let params = QueryParams::from_request(request);
    let switches = sandbox.switches();
    if !is_authorized(request, &params, &sandbox.config) {
        let status = StatusCode::from_u16(switches.vima_refusal_status).unwrap_or(StatusCode::UNAUTHORIZED);
        return error(status, "invalid apikey or credentials");
    }
    let query = match parse_query(&params) {
        Ok(query) => query,
        Err(reason) => return error(StatusCode::BAD_REQUEST, &reason),
    };
    let faults = request.extensions().get::<RequestFaults>().map(|faults| faults.page).unwrap_or_default();
    let state = sandbox.state();
    let entries = state.operations.page(&query, &switches, sandbox.clock.now());
    match page::render(&entries, &switches, faults) {
        Some(page) => json(StatusCode::OK, page),
        None => StatusCode::NO_CONTENT.into(),
    }
}

fn is_authorized(request: &Request, params: &QueryParams, config: &Config) -> bool {
    if params.text("apikey").is_some_and(|key| key == config.vima_api_key) {
        return true;
    }
    let encoded = request.header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Basic "));
    let decoded = encoded.and_then(|encoded| STANDARD.decode(encoded.trim()).ok());
    decoded == Some(format!("{}:{}", config.vima_username, config.vima_password).into_bytes())
}

fn parse_query(params: &QueryParams) -> Result<OperationQuery, String> {
    let count = params.number::<usize>("count")?.unwrap_or(MAX_PER_PAGE);
    if !(1..=MAX_PER_PAGE).contains(&count) {
        return Err(format!("count must be between 1 and {MAX_PER_PAGE}"));
    }
    let (date, from, to) = (params.day("date")?, params.day("from")?, params.day("to")?);
    Ok(OperationQuery {
        project: params.text("project").map(str::to_owned),
        status: params.text("status").map(str::to_owned),
        first_day: date.max(from),
        last_day: date.map_or(to, |date| Some(to.map_or(date, |to| to.min(date)))),
        count,
        descending: params.flag("descending")?,
        after_create_id: params.number("from_operation_create_id")?,
        after_update_id: params.number("from_operation_update_id")?,
    })
}
