//! Faults, switches, the feed of exchange rates, and the log of requests.

use std::sync::Arc;

use poem::{Request, Response, Result, handler, http::StatusCode, web::Data};
use serde_json::{Map, Value, json};

use crate::{
    Sandbox,
    fx::Feed,
    http::{
        answer::json,
        params::Params,
        posted::{Posted, bad_request},
    },
};

/// How many requests are listed unless `last` says otherwise.
const LISTED: usize = 100;

#[handler]
pub(crate) fn faults(Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    json(StatusCode::OK, sandbox.faults().listing().to_string())
}

#[handler]
pub(crate) fn set_faults(
    request: &Request,
    Posted(rates): Posted<Map<String, Value>>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Result<Response> {
    let reset = Params::of(request).flag("reset").map_err(|why| bad_request(&why))?;
    let mut in_force = sandbox.faults();
    if reset {
        in_force.clear();
    }
    in_force.set_all(&rates).map_err(|why| bad_request(&why))?;
    Ok(json(StatusCode::OK, in_force.listing().to_string()))
}

#[handler]
pub(crate) fn switches(Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    json(StatusCode::OK, json!(sandbox.switches()).to_string())
}

#[handler]
pub(crate) fn set_switches(
    Posted(values): Posted<Map<String, Value>>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Result<Response> {
    sandbox.set_switches(&values).map_err(|why| bad_request(&why))?;
    Ok(json(StatusCode::OK, json!(sandbox.switches()).to_string()))
}

/// The body is the feed's answer to the letter.
#[handler]
pub(crate) fn set_feed(request: &Request, body: String, Data(sandbox): Data<&Arc<Sandbox>>) -> Result<Response> {
    let status = Params::of(request).number("status").map_err(|why| bad_request(&why))?;
    let status = StatusCode::from_u16(status.unwrap_or(200)).map_err(|why| bad_request(&why.to_string()))?;
    sandbox.set_feed(Feed { status, body });
    Ok(json(StatusCode::OK, "{}"))
}

#[handler]
pub(crate) fn requests(request: &Request, Data(sandbox): Data<&Arc<Sandbox>>) -> Result<Response> {
    let last = Params::of(request).number("last").map_err(|why| bad_request(&why))?;
    Ok(json(StatusCode::OK, sandbox.requests().listing(last.unwrap_or(LISTED)).to_string()))
}

#[handler]
pub(crate) fn forget_requests(Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    sandbox.requests().forget();
    json(StatusCode::OK, "{}")
}
