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
    faults::Draw,
    http::{
        answer::{json, refusal},
        params::Params,
    },
};

use super::{operations::Listing, page};

/// The longest page Vima gives on request.
const MOST_PER_PAGE: usize = 100;

#[handler]
pub(crate) fn operations(request: &Request, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    let params = Params::of(request);
    let switches = sandbox.switches();
    if !is_let_in(request, &params, &sandbox.config) {
        let status = StatusCode::from_u16(switches.vima_refusal_status).unwrap_or(StatusCode::UNAUTHORIZED);
        return refusal(status, "unknown apikey or user");
    }
    let listing = match listing(&params) {
        Ok(listing) => listing,
        Err(why) => return refusal(StatusCode::BAD_REQUEST, &why),
    };
    let faults = request.extensions().get::<Draw>().map(|draw| draw.page).unwrap_or_default();
    let state = sandbox.state();
    let entries = state.operations.page(&listing, &switches, sandbox.clock.now());
    json(StatusCode::OK, page::render(&entries, &switches, faults))
}

fn is_let_in(request: &Request, params: &Params, config: &Config) -> bool {
    if params.text("apikey").is_some_and(|key| key == config.vima_api_key) {
        return true;
    }
    let encoded = request.header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Basic "));
    let decoded = encoded.and_then(|encoded| STANDARD.decode(encoded.trim()).ok());
    decoded == Some(format!("{}:{}", config.vima_username, config.vima_password).into_bytes())
}

fn listing(params: &Params) -> Result<Listing, String> {
    let count = params.number::<usize>("count")?.unwrap_or(MOST_PER_PAGE);
    if !(1..=MOST_PER_PAGE).contains(&count) {
        return Err(format!("count must be from 1 to {MOST_PER_PAGE}"));
    }
    let (date, from, to) = (params.day("date")?, params.day("from")?, params.day("to")?);
    Ok(Listing {
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
