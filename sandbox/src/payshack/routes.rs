//! The documented calls: login, the two lists, the metadata.

use std::sync::Arc;

use poem::{
    Request, Response, handler,
    http::{StatusCode, header},
    web::Data,
};
use serde::Deserialize;

use crate::{
    Sandbox,
    faults::{Draw, Fault, PageFaults},
    http::{params::Params, posted::Posted},
    json,
    moment::Moment,
    switches::{SingleEnvelope, Switches},
};

use super::{
    entry::Entry,
    envelope::{failure, refused, success},
    metadata::List,
    page,
    session::CLIENT_ID,
    transaction::Kind,
    transactions::{Listing, Transactions},
};

/// The longest page on request.
const MOST_PER_PAGE: usize = 100;

#[derive(Deserialize)]
struct Credentials {
    email: String,
    password: String,
}

#[handler]
pub(crate) fn login(
    request: &Request,
    Posted(credentials): Posted<Credentials>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Response {
    let now = sandbox.clock.now();
    let refused_by_fault = draw(request).fault == Some(Fault::LoginRefused);
    let config = &sandbox.config;
    let right = credentials.email == config.payshack_email && credentials.password == config.payshack_password;
    let accepted = right && !refused_by_fault;
    sandbox.requests().login(accepted);
    if !accepted {
        return refused(StatusCode::UNAUTHORIZED, "Invalid email or password", now);
    }
    let switches = sandbox.switches();
    let data = sandbox.sessions().open(
        &credentials.email,
        switches.payshack_token_seconds,
        switches.payshack_single_session,
        Moment::on_the_wall(),
    );
    success("Login successful", now, &data.to_string())
}

#[handler]
pub(crate) fn payins(request: &Request, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    list(request, sandbox, Kind::Payin)
}

#[handler]
pub(crate) fn payouts(request: &Request, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    list(request, sandbox, Kind::Payout)
}

#[handler]
pub(crate) fn clients(request: &Request, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    metadata_list(request, sandbox, List::Clients)
}

#[handler]
pub(crate) fn resellers(request: &Request, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    metadata_list(request, sandbox, List::Resellers)
}

#[handler]
pub(crate) fn service_providers(request: &Request, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    metadata_list(request, sandbox, List::ServiceProviders)
}

fn metadata_list(request: &Request, sandbox: &Sandbox, list: List) -> Response {
    if let Some(answer) = stopped(request, sandbox) {
        return answer;
    }
    let rows = serde_json::to_string(sandbox.state().metadata.rows(list)).expect("texts of JSON are JSON");
    success("Fetched", sandbox.clock.now(), &rows)
}

fn list(request: &Request, sandbox: &Sandbox, kind: Kind) -> Response {
    if let Some(answer) = stopped(request, sandbox) {
        return answer;
    }
    let (params, now, switches) = (Params::of(request), sandbox.clock.now(), sandbox.switches());
    let faults = draw(request).page;
    let state = sandbox.state();
    let store = match kind {
        Kind::Payin => &state.payins,
        Kind::Payout => &state.payouts,
    };
    if kind == Kind::Payin
        && let Some(found) = single(store, &params)
    {
        return success("Transaction fetched", now, &single_data(&found, &switches, faults));
    }
    match listing(&params) {
        Ok(listing) => {
            let (total, entries) = store.page(&listing, &switches);
            success("Transactions fetched", now, &page::render(&entries, total, &listing, &switches, faults))
        }
        Err(why) => failure(&why, now),
    }
}

/// The records asked for by `orderId` or `transactionId`; `None` where a list was asked for.
fn single<'a>(store: &'a Transactions, params: &Params) -> Option<Vec<&'a Entry>> {
    if let Some(id) = params.text("transactionId") {
        let found = store.find(id).map(|slot| store.get(slot));
        let order_id = params.text("orderId");
        return Some(found.filter(|entry| order_id.is_none() || entry.order_id() == order_id).into_iter().collect());
    }
    params.text("orderId").map(|order_id| store.of_order(order_id))
}

fn single_data(found: &[&Entry], switches: &Switches, faults: PageFaults) -> String {
    if let ([entry], SingleEnvelope::Transaction) = (found, switches.payshack_single_envelope) {
        let mut out = String::new();
        json::object(&mut out, |o| {
            o.bare("transaction", page::record(entry, switches, faults));
        });
        return out;
    }
    let listing = Listing { page: 1, limit: MOST_PER_PAGE, ..Listing::default() };
    page::render(found, found.len(), &listing, switches, faults)
}

fn listing(params: &Params) -> Result<Listing, String> {
    let page = params.number("page")?.unwrap_or(1);
    let limit = params.number("limit")?.unwrap_or(MOST_PER_PAGE);
    if page == 0 || !(1..=MOST_PER_PAGE).contains(&limit) {
        return Err(format!("page counts from 1 and limit is from 1 to {MOST_PER_PAGE}"));
    }
    Ok(Listing {
        page,
        limit,
        status: params.text("status").map(str::to_owned),
        first_day: params.day("dateFrom")?,
        last_day: params.day("dateTo")?,
    })
}

/// The answer to a request that gets no further: no valid token, another reseller, or a drawn failure.
fn stopped(request: &Request, sandbox: &Sandbox) -> Option<Response> {
    let now = sandbox.clock.now();
    let status = StatusCode::from_u16(sandbox.switches().payshack_refusal_status).unwrap_or(StatusCode::UNAUTHORIZED);
    let token = request.header(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    let Some(token) = token else { return Some(refused(status, "no token", now)) };
    let fault = draw(request).fault;
    if fault == Some(Fault::TokenDropped) {
        sandbox.sessions().drop_token(token);
    }
    if let Some(why) = sandbox.sessions().refuses(token, Moment::on_the_wall()) {
        return Some(refused(status, why, now));
    }
    if request.header("reseller-id") != Some(CLIENT_ID) {
        return Some(refused(StatusCode::FORBIDDEN, "reseller-id is not the clientId of the login", now));
    }
    (fault == Some(Fault::SuccessFalse)).then(|| failure("Something went wrong, please try again", now))
}

fn draw(request: &Request) -> Draw {
    request.extensions().get::<Draw>().copied().unwrap_or_default()
}
