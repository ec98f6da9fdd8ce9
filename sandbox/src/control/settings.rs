//! Faults, switches, the exchange rate feed, and the request log.

use std::sync::Arc;

use poem::{Request, Response, Result, handler, http::StatusCode, web::Data};
use serde_json::{Map, Value, json};

use crate::{
    Sandbox,
    fx::FxResponse,
    http::{
        json_body::{JsonBody, bad_request},
        query_params::QueryParams,
        response::json,
    },
};

/// Default of the `last` parameter.
const DEFAULT_LAST: usize = 100;

#[handler]
pub(crate) fn faults(Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    json(StatusCode::OK, sandbox.faults().to_json().to_string())
}

#[handler]
pub(crate) fn set_faults(
    request: &Request,
    JsonBody(rates): JsonBody<Map<String, Value>>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Result<Response> {
    let reset = QueryParams::from_request(request).flag("reset").map_err(bad_request)?;
    let mut injector = sandbox.faults();
    if reset {
        injector.clear();
    }
    injector.set_all(&rates).map_err(bad_request)?;
    Ok(json(StatusCode::OK, injector.to_json().to_string()))
}

#[handler]
pub(crate) fn switches(Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    json(StatusCode::OK, json!(sandbox.switches()).to_string())
}

#[handler]
pub(crate) fn set_switches(
    JsonBody(values): JsonBody<Map<String, Value>>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Result<Response> {
    sandbox.set_switches(&values).map_err(bad_request)?;
    Ok(json(StatusCode::OK, json!(sandbox.switches()).to_string()))
}

/// The feed returns the body unchanged.
#[handler]
pub(crate) fn set_fx_response(request: &Request, body: String, Data(sandbox): Data<&Arc<Sandbox>>) -> Result<Response> {
    let status = QueryParams::from_request(request).number("status").map_err(bad_request)?;
    let status = StatusCode::from_u16(status.unwrap_or(200)).map_err(bad_request)?;
    sandbox.set_fx_response(FxResponse { status, body });
    Ok(json(StatusCode::OK, "{}"))
}

#[handler]
pub(crate) fn requests(request: &Request, Data(sandbox): Data<&Arc<Sandbox>>) -> Result<Response> {
    let last = QueryParams::from_request(request).number("last").map_err(bad_request)?;
    Ok(json(StatusCode::OK, sandbox.requests().to_json(last.unwrap_or(DEFAULT_LAST)).to_string()))
}

#[handler]
pub(crate) fn clear_requests(Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    sandbox.requests().clear();
    json(StatusCode::OK, "{}")
}
