//! Payments made and changed at a test's word.

use std::sync::Arc;

use poem::{Response, Result, handler, http::StatusCode, web::Data};
use serde::Deserialize;

use crate::{
    Sandbox,
    config::checked_rate_per_second,
    http::{
        answer::json,
        posted::{Posted, bad_request},
    },
    json::object,
    live::Pair,
    moment::Moment,
    payshack,
    state::State,
};

/// Most creations or changes at once.
const MOST: u32 = 100_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default)]
    create: u32,
    #[serde(default)]
    change: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    per_second: f64,
}

/// What a change was.
enum Changed {
    Settled(Box<Pair>),
    Refunded(payshack::Slot),
}

#[handler]
pub(crate) fn do_now(Posted(wish): Posted<Wish>, Data(sandbox): Data<&Arc<Sandbox>>) -> Result<Response> {
    if wish.create.max(wish.change) > MOST {
        return Err(bad_request(&format!("at most {MOST} at once")));
    }
    let now = sandbox.clock.now();
    let mut state = sandbox.state_mut();
    let changed: Vec<Changed> = (0..wish.change).filter_map(|_| change(&mut state, now)).collect();
    let created: Vec<Pair> = (0..wish.create).map(|_| create(&mut state, now)).collect();
    let mut out = String::new();
    object(&mut out, |o| {
        o.array("created", created, |out, pair| object(out, |o| state.write_pair(o, &pair)));
        o.array("changed", changed, |out, changed| {
            object(out, |o| match changed {
                Changed::Settled(pair) => state.write_pair(o, &pair),
                Changed::Refunded(slot) => state.write_payin(o, Some(slot)),
            });
        });
    });
    Ok(json(StatusCode::OK, out))
}

/// A payment on both sides at once; it stays open until it is changed.
fn create(state: &mut State, now: Moment) -> Pair {
    let mut pair = state.begin(now);
    state.arrive(&mut pair, now);
    state.repeat(&pair.payment, now);
    state.live.open.push_back(pair.clone());
    pair
}

/// The oldest open payment is settled; where none is left, a success is refunded.
fn change(state: &mut State, now: Moment) -> Option<Changed> {
    if let Some(pair) = state.settle_oldest(now) {
        return Some(Changed::Settled(Box::new(pair)));
    }
    state.refund_any(now).map(Changed::Refunded)
}

#[handler]
pub(crate) fn set_rate(Posted(rate): Posted<Rate>, Data(sandbox): Data<&Arc<Sandbox>>) -> Result<Response> {
    let per_second = checked_rate_per_second(rate.per_second).map_err(|why| bad_request(&why))?;
    sandbox.state_mut().live.per_second = per_second;
    Ok(json(StatusCode::OK, serde_json::json!({ "per_second": per_second }).to_string()))
}
