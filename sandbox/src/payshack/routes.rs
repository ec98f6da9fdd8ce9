//! The documented endpoints: login, pay-ins, pay-outs, metadata.

use std::sync::Arc;

use poem::{
    Request, Response, handler,
    http::{StatusCode, header},
    web::Data,
};
use serde::Deserialize;

use crate::{
    Sandbox,
    faults::{Fault, PageFaults, RequestFaults},
    http::{json_body::JsonBody, query_params::QueryParams},
    json_writer,
    switches::{PayshackEmptyList, SingleEnvelope, Switches, UnknownPayment},
    timestamp::Timestamp,
};

use super::{
    entry::Entry,
    envelope::{error, failure, success},
    metadata::MetadataList,
    page,
    session::CLIENT_ID,
    transaction::TransactionKind,
    transaction_store::{TransactionQuery, TransactionStore},
};

/// The message of a failure without a reason.
const FAILED: &str = "Something went wrong, please try again";
/// Also the default.
const MAX_PER_PAGE: usize = 100;

#[derive(Deserialize)]
struct Credentials {
    email: String,
    password: String,
}

#[handler]
pub(crate) fn login(
    request: &Request,
    JsonBody(credentials): JsonBody<Credentials>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Response {
    let now = sandbox.clock.now();
    let rejected_by_fault = faults(request).fault == Some(Fault::LoginRefused);
    let config = &sandbox.config;
    let valid = credentials.email == config.payshack_email && credentials.password == config.payshack_password;
    let accepted = valid && !rejected_by_fault;
    sandbox.requests().record_login(accepted);
    if !accepted {
        return error(StatusCode::UNAUTHORIZED, "Invalid email or password", now);
    }
    let switches = sandbox.switches();
    let data = sandbox.sessions().create(
        &credentials.email,
        switches.payshack_token_seconds,
        switches.payshack_single_session,
        Timestamp::system_now(),
    );
    success("Login successful", now, &data.to_string())
}

#[handler]
pub(crate) fn payins(request: &Request, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    list(request, sandbox, TransactionKind::Payin)
}

#[handler]
pub(crate) fn payouts(request: &Request, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    list(request, sandbox, TransactionKind::Payout)
}

#[handler]
pub(crate) fn clients(request: &Request, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    metadata_list(request, sandbox, MetadataList::Clients)
}

#[handler]
pub(crate) fn resellers(request: &Request, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    metadata_list(request, sandbox, MetadataList::Resellers)
}

#[handler]
pub(crate) fn service_providers(request: &Request, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    metadata_list(request, sandbox, MetadataList::ServiceProviders)
}

fn metadata_list(request: &Request, sandbox: &Sandbox, list: MetadataList) -> Response {
    if let Some(response) = rejection(request, sandbox) {
        return response;
    }
    let rows = serde_json::to_string(sandbox.state().metadata.rows(list)).expect("rows are valid JSON");
    success("Fetched", sandbox.clock.now(), &rows)
}

fn list(request: &Request, sandbox: &Sandbox, kind: TransactionKind) -> Response {
    if let Some(response) = rejection(request, sandbox) {
        return response;
    }
    let (params, now, switches) = (QueryParams::from_request(request), sandbox.clock.now(), sandbox.switches());
    let faults = faults(request).page;
    let state = sandbox.state();
    let store = state.transactions(kind);
    if kind == TransactionKind::Payin
        && let Some(found) = single(store, &params)
    {
        let special = if found.is_empty() { unknown_payment(&switches, now) } else { None };
        return special.unwrap_or_else(|| success("Transaction fetched", now, &single_data(&found, &switches, faults)));
    }
    match parse_query(&params) {
        Ok(query) => {
            let (total, entries) = store.page(&query, &switches);
            let special = if entries.is_empty() { empty_list(&switches, query.page, now) } else { None };
            special.unwrap_or_else(|| {
                success("Transactions fetched", now, &page::render(&entries, total, &query, &switches, faults))
            })
        }
        Err(reason) => failure(&reason, now),
    }
}

/// The records requested by `orderId` or `transactionId`; `None` if the request is for a list.
fn single<'a>(store: &'a TransactionStore, params: &QueryParams) -> Option<Vec<&'a Entry>> {
    if let Some(id) = params.text("transactionId") {
        let found = store.find(id).map(|slot| store.get(slot));
        let order_id = params.text("orderId");
        return Some(found.filter(|entry| order_id.is_none() || entry.order_id() == order_id).into_iter().collect());
    }
    params.text("orderId").map(|order_id| store.find_order(order_id))
}

/// The response for an unknown id in another form than an empty list, if the switches say so.
fn unknown_payment(switches: &Switches, now: Timestamp) -> Option<Response> {
    const MESSAGE: &str = "No such transaction";
    Some(match switches.payshack_unknown_payment {
        UnknownPayment::List => return None,
        UnknownPayment::DataNull => success(MESSAGE, now, "null"),
        UnknownPayment::DataList => success(MESSAGE, now, "[]"),
        UnknownPayment::TransactionNull => success(MESSAGE, now, r#"{"transaction":null}"#),
        UnknownPayment::NotFound => error(StatusCode::NOT_FOUND, MESSAGE, now),
        UnknownPayment::Gone => error(StatusCode::GONE, MESSAGE, now),
        UnknownPayment::Unprocessable => error(StatusCode::UNPROCESSABLE_ENTITY, MESSAGE, now),
        UnknownPayment::SuccessFalse => failure(MESSAGE, now),
    })
}

/// An empty page in another form than a list with totals, if the switches say so.
fn empty_list(switches: &Switches, page: usize, now: Timestamp) -> Option<Response> {
    const MESSAGE: &str = "No more transactions";
    match switches.payshack_empty_list {
        PayshackEmptyList::DataNull => Some(success(MESSAGE, now, "null")),
        PayshackEmptyList::DataList => Some(success(MESSAGE, now, "[]")),
        PayshackEmptyList::TransactionsNull => Some(success(MESSAGE, now, r#"{"transactions":null}"#)),
        PayshackEmptyList::NoContent => Some(StatusCode::NO_CONTENT.into()),
        PayshackEmptyList::NotFound if page > 1 => Some(error(StatusCode::NOT_FOUND, MESSAGE, now)),
        PayshackEmptyList::BadRequest if page > 1 => Some(error(StatusCode::BAD_REQUEST, MESSAGE, now)),
        PayshackEmptyList::SuccessFalse if page > 1 => Some(failure(MESSAGE, now)),
        _ => None,
    }
}

fn single_data(found: &[&Entry], switches: &Switches, faults: PageFaults) -> String {
    if let ([entry], SingleEnvelope::Transaction) = (found, switches.payshack_single_envelope) {
        let mut out = String::new();
        json_writer::object(&mut out, |o| {
            o.unquoted("transaction", page::record(entry, switches, faults));
        });
        return out;
    }
    let query = TransactionQuery { page: 1, limit: MAX_PER_PAGE, ..TransactionQuery::default() };
    page::render(found, found.len(), &query, switches, faults)
}

fn parse_query(params: &QueryParams) -> Result<TransactionQuery, String> {
    let page = params.number("page")?.unwrap_or(1);
    let limit = params.number("limit")?.unwrap_or(MAX_PER_PAGE);
    if page == 0 || !(1..=MAX_PER_PAGE).contains(&limit) {
        return Err(format!("page must be at least 1 and limit must be between 1 and {MAX_PER_PAGE}"));
    }
    Ok(TransactionQuery {
        page,
        limit,
        status: params.text("status").map(str::to_owned),
        first_day: params.day("dateFrom")?,
        last_day: params.day("dateTo")?,
    })
}

/// The error response to a request with an invalid token or the wrong reseller, or with an injected failure.
fn rejection(request: &Request, sandbox: &Sandbox) -> Option<Response> {
    let now = sandbox.clock.now();
    let refused = |reason: &str| match StatusCode::from_u16(sandbox.switches().payshack_refusal_status) {
        Ok(StatusCode::OK) => failure(FAILED, now),
        status => error(status.unwrap_or(StatusCode::UNAUTHORIZED), reason, now),
    };
    let token = request.header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let Some(token) = token else { return Some(refused("no token")) };
    let fault = faults(request).fault;
    if fault == Some(Fault::TokenRevoked) {
        sandbox.sessions().revoke(token);
    }
    if let Some(reason) = sandbox.sessions().rejection(token, Timestamp::system_now()) {
        return Some(refused(reason));
    }
    if request.header("reseller-id") != Some(CLIENT_ID) {
        return Some(error(StatusCode::FORBIDDEN, "reseller-id must be the clientId of the login", now));
    }
    (fault == Some(Fault::SuccessFalse)).then(|| failure(FAILED, now))
}

fn faults(request: &Request) -> RequestFaults {
    request.extensions().get::<RequestFaults>().copied().unwrap_or_default()
}
