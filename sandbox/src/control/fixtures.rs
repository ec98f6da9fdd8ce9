//! Records that tests insert into the providers' lists, change and replace.

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
    ground_truth::NormalizedRecord,
    http::{
        json_body::{JsonBody, bad_request},
        response::{error, json},
    },
    json_writer::object,
    money::{Amount, Currency},
    payshack::{self, TransactionKind},
    raw_json,
    status::OriginalStatus,
    vima,
};

#[handler]
pub(crate) fn insert_operation(
    JsonBody(record): JsonBody<Box<RawValue>>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Response {
    let now = sandbox.clock.now();
    let mut state = sandbox.state_mut();
    let slot = state.operations.insert_fixture(record, now);
    let entry = state.operations.get(slot);
    let mut out = String::new();
    object(&mut out, |o| {
        o.text("operation_id", &entry.id().unwrap_or_default());
        o.quoted("operation_create_id", entry.create_id()).quoted("operation_update_id", entry.update_id());
        o.unquoted("malformed", entry.normalized().is_none());
    });
    json(StatusCode::CREATED, out)
}

#[handler]
pub(crate) fn insert_payin(JsonBody(record): JsonBody<Box<RawValue>>, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    insert_transaction(record, sandbox, TransactionKind::Payin)
}

#[handler]
pub(crate) fn insert_payout(JsonBody(record): JsonBody<Box<RawValue>>, Data(sandbox): Data<&Arc<Sandbox>>) -> Response {
    insert_transaction(record, sandbox, TransactionKind::Payout)
}

fn insert_transaction(record: Box<RawValue>, sandbox: &Sandbox, kind: TransactionKind) -> Response {
    let now = sandbox.clock.now();
    let mut state = sandbox.state_mut();
    let store = state.transactions_mut(kind);
    let slot = store.insert_fixture(record, now);
    let entry = store.get(slot);
    let mut out = String::new();
    object(&mut out, |o| {
        o.text("txn_id", &entry.id().unwrap_or_default()).unquoted("malformed", entry.normalized().is_none());
    });
    json(StatusCode::CREATED, out)
}

/// `{"status": "success", "amount": "99.50"}`: the new status and optionally the new paid amount.
struct RecordChange {
    original_status: String,
    paid: Option<Decimal>,
}

fn parse_change(record: &RawValue) -> Result<RecordChange> {
    let original_status = raw_json::text(record, &["status"]).ok_or_else(|| bad_request("status is missing"))?;
    let paid = raw_json::decimal(record, &["amount"]);
    if paid.is_none() && raw_json::at(record, &["amount"]).is_some() {
        return Err(bad_request("amount is not a number"));
    }
    Ok(RecordChange { original_status, paid })
}

#[handler]
pub(crate) fn change_operation(
    Path(id): Path<String>,
    JsonBody(record): JsonBody<Box<RawValue>>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Result<Response> {
    let RecordChange { original_status, paid } = parse_change(&record)?;
    let now = sandbox.clock.now();
    let mut state = sandbox.state_mut();
    let Some(slot) = state.operations.find(&id) else { return Err(not_found(&id)) };
    let currency = match state.operations.get(slot) {
        vima::Entry::Generated(operation) => Some(operation.requested.currency),
        vima::Entry::Fixture(_) => None,
    };
    let changed = paid_amount(paid, currency)
        .and_then(|paid| state.operations.change(slot, OriginalStatus::Owned(original_status), paid, now));
    changed_response(changed, state.operations.get(slot).normalized())
}

#[handler]
pub(crate) fn replace_operation(
    Path(id): Path<String>,
    JsonBody(record): JsonBody<Box<RawValue>>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Result<Response> {
    let now = sandbox.clock.now();
    let mut state = sandbox.state_mut();
    let Some(slot) = state.operations.find(&id) else { return Err(not_found(&id)) };
    let replaced = state.operations.replace(slot, record, now);
    changed_response(replaced, state.operations.get(slot).normalized())
}

#[handler]
pub(crate) fn change_payin(
    Path(id): Path<String>,
    JsonBody(record): JsonBody<Box<RawValue>>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Result<Response> {
    change_transaction(&id, &record, sandbox, TransactionKind::Payin)
}

#[handler]
pub(crate) fn change_payout(
    Path(id): Path<String>,
    JsonBody(record): JsonBody<Box<RawValue>>,
    Data(sandbox): Data<&Arc<Sandbox>>,
) -> Result<Response> {
    change_transaction(&id, &record, sandbox, TransactionKind::Payout)
}

fn change_transaction(id: &str, record: &RawValue, sandbox: &Sandbox, kind: TransactionKind) -> Result<Response> {
    let RecordChange { original_status, paid } = parse_change(record)?;
    let now = sandbox.clock.now();
    let mut state = sandbox.state_mut();
    let store = state.transactions_mut(kind);
    let Some(slot) = store.find(id) else { return Err(not_found(id)) };
    let currency = matches!(store.get(slot), payshack::Entry::Generated(_)).then_some(Currency::Inr);
    let changed = paid_amount(paid, currency)
        .and_then(|paid| store.change(slot, OriginalStatus::Owned(original_status), paid, now));
    changed_response(changed, store.get(slot).normalized())
}

/// The paid amount in the record's currency; `currency` is `None` for fixtures, whose amount cannot be changed.
fn paid_amount(paid: Option<Decimal>, currency: Option<Currency>) -> Result<Option<Amount>, String> {
    match (paid, currency) {
        (None, _) => Ok(None),
        (Some(_), None) => {
            Err("the amount of a fixture cannot be changed: insert a newer version of the record".into())
        }
        (Some(paid), Some(currency)) => Amount::from_major(paid, currency)
            .map(Some)
            .ok_or_else(|| format!("{paid} is not a valid {} amount", currency.into_str())),
    }
}

fn not_found(id: &str) -> Error {
    Error::from_response(error(StatusCode::NOT_FOUND, &format!("no record {id}")))
}

fn changed_response(changed: Result<(), String>, record: Option<NormalizedRecord>) -> Result<Response> {
    changed.map_err(bad_request)?;
    let mut out = String::new();
    object(&mut out, |o| {
        if let Some(record) = record {
            record.write(o);
        }
    });
    Ok(json(StatusCode::OK, out))
}
