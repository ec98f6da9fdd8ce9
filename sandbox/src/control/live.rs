//! Payments created and changed on request, and the rate of the live stream.

use std::sync::Arc;

use poem::{Response, Result, handler, http::StatusCode, web::Data};
use serde::Deserialize;

use crate::{
    Sandbox,
    config::checked_rate_per_second,
    http::{
        json_body::{JsonBody, bad_request},
        response::json,
    },
    json_writer::object,
    live_stream::PaymentRecords,
    payshack,
    state::State,
    timestamp::Timestamp,
};

const MAX_PER_CALL: u32 = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LiveRequest {
    #[serde(default)]
    create: u32,
    #[serde(default)]
    change: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LiveRate {
    per_second: f64,
}

enum Change {
    Settled(Box<PaymentRecords>),
    Refunded(payshack::Slot),
}

#[handler]
pub(crate) fn create_and_change(
    JsonBody(request): JsonBody<LiveRequest>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Result<Response> {
    if request.create.max(request.change) > MAX_PER_CALL {
        return Err(bad_request(format!("create and change must be at most {MAX_PER_CALL}")));
    }
    let now = sandbox.clock.now();
    let mut state = sandbox.state_mut();
    let changed: Vec<Change> = (0..request.change).filter_map(|_| change(&mut state, now)).collect();
    let created: Vec<PaymentRecords> = (0..request.create).map(|_| create(&mut state, now)).collect();
    let mut out = String::new();
    object(&mut out, |o| {
        o.array("created", created, |out, records| object(out, |o| state.write_records(o, &records)));
        o.array("changed", changed, |out, change| {
            object(out, |o| match change {
                Change::Settled(records) => state.write_records(o, &records),
                Change::Refunded(slot) => state.write_payin(o, Some(slot)),
            });
        });
    });
    Ok(json(StatusCode::OK, out))
}

/// Creates an open payment at both providers, which settles only on request.
fn create(state: &mut State, now: Timestamp) -> PaymentRecords {
    let mut records = state.start_payment(now);
    state.add_payin(&mut records, now);
    state.add_duplicate(&records.payment, now);
    state.live.open.push_back(records.clone());
    records
}

/// Settles the oldest open payment, or refunds a successful one if none is open.
fn change(state: &mut State, now: Timestamp) -> Option<Change> {
    if let Some(records) = state.settle_oldest(now) {
        return Some(Change::Settled(Box::new(records)));
    }
    state.refund_random(now).map(Change::Refunded)
}

#[handler]
pub(crate) fn set_rate(JsonBody(rate): JsonBody<LiveRate>, Data(sandbox): Data<&Arc<Sandbox>>) -> Result<Response> {
    let per_second = checked_rate_per_second(rate.per_second).map_err(bad_request)?;
    sandbox.state_mut().live.per_second = per_second;
    Ok(json(StatusCode::OK, serde_json::json!({ "per_second": per_second }).to_string()))
}
