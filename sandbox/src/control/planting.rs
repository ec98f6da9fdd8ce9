//! Records put into the lists, changed and replaced there by a test's hand.

use std::sync::Arc;

use poem::{
    Error, Response, Result, handler,
    http::StatusCode,
    web::{Data, Path},
};
use rust_decimal::Decimal;
use serde_json::value::RawValue;

use crate::{
    Sandbox,
    http::{
        answer::{json, refusal},
        posted::{Posted, bad_request},
    },
    json::object,
    money::{Amount, Currency},
    payshack::{self, Kind, Transactions},
    raw,
    state::State,
    status::Word,
    truth::Row,
    vima,
};

#[handler]
pub(crate) fn plant_operation(Posted(record): Posted<Box<RawValue>>, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    let now = sandbox.clock.now();
    let mut state = sandbox.state_mut();
    let slot = state.operations.plant(record, now);
    let entry = state.operations.get(slot);
    let mut out = String::new();
    object(&mut out, |o| {
        o.text("operation_id", &entry.id().unwrap_or_default());
        o.quoted("operation_create_id", entry.create_id()).quoted("operation_update_id", entry.update_id());
        o.bare("malformed", entry.row().is_none());
    });
    json(StatusCode::CREATED, out)
}

#[handler]
pub(crate) fn plant_payin(Posted(record): Posted<Box<RawValue>>, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    plant_transaction(record, sandbox, Kind::Payin)
}

#[handler]
pub(crate) fn plant_payout(Posted(record): Posted<Box<RawValue>>, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    plant_transaction(record, sandbox, Kind::Payout)
}

fn plant_transaction(record: Box<RawValue>, sandbox: &Sandbox, kind: Kind) -> Response {
    let now = sandbox.clock.now();
    let mut state = sandbox.state_mut();
    let store = store(&mut state, kind);
    let slot = store.plant(record, now);
    let entry = store.get(slot);
    let mut out = String::new();
    object(&mut out, |o| {
        o.text("txn_id", &entry.id().unwrap_or_default()).bare("malformed", entry.row().is_none());
    });
    json(StatusCode::CREATED, out)
}

/// `{"status": "success"}`, and what was paid where that is to change: `{"status": "success", "amount": "99.50"}`.
struct Change {
    word: String,
    paid: Option<Decimal>,
}

fn change(record: &RawValue) -> Result<Change> {
    let word = raw::text(record, &["status"]).ok_or_else(|| bad_request("status is missing"))?;
    let paid = raw::decimal(record, &["amount"]);
    if paid.is_none() && raw::at(record, &["amount"]).is_some() {
        return Err(bad_request("amount cannot be read"));
    }
    Ok(Change { word, paid })
}

#[handler]
pub(crate) fn change_operation(
    Path(id): Path<String>,
    Posted(record): Posted<Box<RawValue>>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Result<Response> {
    let Change { word, paid } = change(&record)?;
    let now = sandbox.clock.now();
    let mut state = sandbox.state_mut();
    let Some(slot) = state.operations.find(&id) else { return Err(unknown(&id)) };
    let (currency, requested) = match state.operations.get(slot) {
        vima::Entry::Made(made) => (Some(made.requested.currency), Some(made.completed.unwrap_or(made.requested))),
        vima::Entry::Planted(_) => (None, None),
    };
    let changed = exact(paid, currency).and_then(|paid| {
        let word_made = Word::Owned(word.clone());
        state.operations.change(
            slot,
            now,
            |made| made.change(word_made, paid.or(requested).unwrap_or(made.requested), now),
            &word,
        )
    });
    answer(changed, state.operations.get(slot).row())
}

#[handler]
pub(crate) fn replace_operation(
    Path(id): Path<String>,
    Posted(record): Posted<Box<RawValue>>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Result<Response> {
    let now = sandbox.clock.now();
    let mut state = sandbox.state_mut();
    let Some(slot) = state.operations.find(&id) else { return Err(unknown(&id)) };
    let replaced = state.operations.replace(slot, record, now);
    answer(replaced, state.operations.get(slot).row())
}

#[handler]
pub(crate) fn change_payin(
    Path(id): Path<String>,
    Posted(record): Posted<Box<RawValue>>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Result<Response> {
    change_transaction(&id, &record, sandbox, Kind::Payin)
}

#[handler]
pub(crate) fn change_payout(
    Path(id): Path<String>,
    Posted(record): Posted<Box<RawValue>>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Result<Response> {
    change_transaction(&id, &record, sandbox, Kind::Payout)
}

fn change_transaction(id: &str, record: &RawValue, sandbox: &Sandbox, kind: Kind) -> Result<Response> {
    let Change { word, paid } = change(record)?;
    let now = sandbox.clock.now();
    let mut state = sandbox.state_mut();
    let store = store(&mut state, kind);
    let Some(slot) = store.find(id) else { return Err(unknown(id)) };
    let currency = matches!(store.get(slot), payshack::Entry::Made(_)).then_some(Currency::Inr);
    let changed = exact(paid, currency).and_then(|paid| {
        let word_made = Word::Owned(word.clone());
        store.change(
            slot,
            now,
            |made| {
                made.change(word_made, now);
                made.paid = paid.unwrap_or(made.paid);
            },
            &word,
        )
    });
    answer(changed, store.get(slot).row())
}

/// The amount in the record's currency; a planted record has only its status changed by hand.
fn exact(paid: Option<Decimal>, currency: Option<Currency>) -> Result<Option<Amount>, String> {
    match (paid, currency) {
        (None, _) => Ok(None),
        (Some(_), None) => Err("plant a newer version to change the amount of a planted record".into()),
        (Some(paid), Some(currency)) => {
            Amount::of(paid, currency).map(Some).ok_or_else(|| format!("{paid} is no amount of {}", currency.code()))
        }
    }
}

fn store(state: &mut State, kind: Kind) -> &mut Transactions {
    match kind {
        Kind::Payin => &mut state.payins,
        Kind::Payout => &mut state.payouts,
    }
}

fn unknown(id: &str) -> Error {
    Error::from_response(refusal(StatusCode::NOT_FOUND, &format!("no record {id}")))
}

fn answer(changed: Result<(), String>, row: Option<Row>) -> Result<Response> {
    changed.map_err(|why| bad_request(&why))?;
    let mut out = String::new();
    object(&mut out, |o| {
        if let Some(row) = row {
            row.write(o);
        }
    });
    Ok(json(StatusCode::OK, out))
}
