//! Vima's JSON.
//!
//! A page is first split into the texts of its records, so that each is stored verbatim and a malformed record affects no
//! other. The field rules follow real responses; any field except `operation_id`, the amount and the creation time may be
//! missing, null or of another type.
//!
//! Every operation is a pay-in: the collector has nothing else.

use std::borrow::Cow;
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::exchange_rate::in_dollars;
use crate::domain::money::Currency;
use crate::domain::record::{Malformed, Record};
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source, Transaction, TransactionKey};
use crate::domain::version::{SequenceId, Version};
use crate::providers::field::{Field, FieldError, Object, describe};
use crate::providers::http::{Rejection, message_of};

/// Operations in the order of the response, including malformed ones.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct OperationsPage {
    pub operations: Vec<Operation>,
}

/// A record and its positions in Vima's two orders. A malformed record can have them too, and the cursor must pass it.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    pub record: Record,
    /// The position in the order of creation (`operation_create_id`).
    pub create_id: Option<SequenceId>,
    /// The position in the order of updates (`operation_update_id`).
    pub update_id: Option<SequenceId>,
}

impl OperationsPage {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// The highest `operation_create_id` of the page, which is not necessarily sorted.
    #[must_use]
    pub fn newest_create_id(&self) -> Option<SequenceId> {
        self.operations.iter().filter_map(|operation| operation.create_id).max()
    }

    /// The highest `operation_update_id` of the page.
    #[must_use]
    pub fn newest_update_id(&self) -> Option<SequenceId> {
        self.operations.iter().filter_map(|operation| operation.update_id).max()
    }
}

/// Parses a page: an array, or an object with the array in `operations`.
pub(super) fn read_page(response: &str) -> Result<OperationsPage, Rejection> {
    let unreadable = |error: serde_json::Error| Rejection::Unreadable(error.to_string());
    let records: Vec<&RawValue> = if response.trim_start().starts_with('{') {
        let wrapped: Wrapped<'_> = serde_json::from_str(response).map_err(unreadable)?;
        let Some(operations) = wrapped.operations else { return Err(without_operations(response)) };
        serde_json::from_str(operations.get()).map_err(unreadable)?
    } else {
        serde_json::from_str(response).map_err(unreadable)?
    };
    Ok(OperationsPage { operations: records.into_iter().map(|record| read_operation(record.get())).collect() })
}

#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    operations: Option<&'a RawValue>,
}

/// An object that is not a page: its message, if it has one.
fn without_operations(response: &str) -> Rejection {
    message_of(response).map_or_else(
        || Rejection::Unreadable("neither an array nor an object with operations".to_owned()),
        Rejection::Refused,
    )
}

/// Parses one operation; the result contains the JSON text.
#[must_use]
pub fn read_operation(raw: &str) -> Operation {
    if !raw.starts_with('{') {
        return malformed(raw, &OperationJson::default(), format!("the record is {}, not an object", describe(raw)));
    }
    match serde_json::from_str::<OperationJson<'_>>(raw) {
        Err(error) => malformed(raw, &OperationJson::default(), format!("the record cannot be parsed: {error}")),
        Ok(json) => match transaction(&json, raw) {
            Err(error) => malformed(raw, &json, error.to_string()),
            Ok(payment) => placed(Record::Payment(Box::new(payment)), &json),
        },
    }
}

fn malformed(raw: &str, json: &OperationJson<'_>, reason: String) -> Operation {
    let source_id = json.operation_id.identity("operation_id").ok().flatten();
    let malformed = Malformed { source: Source::Vima, kind: Kind::Payin, source_id, reason, raw: raw.to_owned() };
    placed(Record::Malformed(malformed), json)
}

fn placed(record: Record, json: &OperationJson<'_>) -> Operation {
    Operation {
        record,
        create_id: sequence(json.operation_create_id, "operation_create_id"),
        update_id: sequence(json.operation_update_id, "operation_update_id"),
    }
}

fn sequence(field: Field<'_>, name: &'static str) -> Option<SequenceId> {
    field.text(name)?.parse().ok()
}

/// Fields that are not named here are only in the raw text.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct OperationJson<'a> {
    operation_id: Field<'a>,
    reference_id: Field<'a>,
    client_operation_id: Field<'a>,
    project: Field<'a>,
    user_id: Field<'a>,
    contact: Field<'a>,
    create_params: Object<CreateParams<'a>>,
    current_status: Field<'a>,
    payment_status: Field<'a>,
    payment_product: Field<'a>,
    payment_method_code: Field<'a>,
    credentials_owner: Field<'a>,
    operation_created_at: Field<'a>,
    operation_modified_at: Field<'a>,
    card_finish: Field<'a>,
    complete_amount: Field<'a>,
    complete_currency: Field<'a>,
    complete_created_at: Field<'a>,
    rates: Field<'a>,
    operation_create_id: Field<'a>,
    operation_update_id: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct CreateParams<'a> {
    params: Object<Params<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Params<'a> {
    payment: Object<Payment<'a>>,
}

/// The payment as requested by the merchant.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Payment<'a> {
    payer: Object<Payer<'a>>,
    amount: Object<Requested<'a>>,
    client: Object<Client<'a>>,
    identifiers: Object<Identifiers<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Payer<'a> {
    email: Field<'a>,
    phone: Field<'a>,
    person: Object<Person<'a>>,
    customer_account: Object<CustomerAccount<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Person<'a> {
    first_name: Field<'a>,
    last_name: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct CustomerAccount<'a> {
    id: Field<'a>,
}

/// In minor units of the currency.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Requested<'a> {
    value: Field<'a>,
    currency: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Client<'a> {
    country: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Identifiers<'a> {
    c_id: Field<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct CardFinish<'a> {
    charged_currency: Field<'a>,
    charged_fee: Field<'a>,
}

fn transaction(json: &OperationJson<'_>, raw: &str) -> Result<Transaction, FieldError> {
    let payment = &json.create_params.0.params.0.payment.0;
    let source_id = json.operation_id.identity("operation_id")?.ok_or(FieldError::Missing { field: "operation_id" })?;
    let created_at = json
        .operation_created_at
        .time("operation_created_at")?
        .ok_or(FieldError::Missing { field: "operation_created_at" })?;
    let updated_at = json.operation_modified_at.time("operation_modified_at").ok().flatten();
    let (amount, currency) = money(json, &payment.amount.0)?;
    let rate = dollars_for_one(&currency, json.rates);
    let dollars = |amount: Decimal| in_dollars(amount, rate?);
    let fee = charged_fee(json.card_finish, &currency);
    let original_status =
        json.payment_status.text("payment_status").or_else(|| json.current_status.text("current_status"));
    let status = original_status.as_deref().map_or(Status::Unknown, Status::from_vima);
    let payer = &payment.payer.0;
    Ok(Transaction {
        key: TransactionKey { source: Source::Vima, kind: Kind::Payin, source_id },
        version: Version {
            sequence: sequence(json.operation_update_id, "operation_update_id"),
            modified_at: updated_at,
        },
        reference_id: json.reference_id.text("reference_id"),
        client_operation_id: json
            .client_operation_id
            .text("client_operation_id")
            .or_else(|| payment.identifiers.0.c_id.text("identifiers.c_id")),
        order_id: None,
        project: json.project.text("project"),
        merchant_id: json.credentials_owner.text("credentials_owner"),
        amount,
        paid_amount: None,
        amount_usd: dollars(amount),
        fee,
        fee_usd: fee.and_then(dollars),
        exchange_rate: rate,
        currency,
        status,
        original_status,
        user_id: json.user_id.text("user_id").or_else(|| payer.customer_account.0.id.text("customer_account.id")),
        user_email: payer.email.text("payer.email").or_else(|| email(json.contact)),
        user_phone: payer.phone.text("payer.phone"),
        user_name: name(&payer.person.0),
        country: payment.client.0.country.text("client.country"),
        utr: None,
        payment_method: json.payment_method_code.text("payment_method_code"),
        payment_product: json.payment_product.text("payment_product"),
        created_at,
        updated_at,
        completed_at: completed_at(json, status),
        raw: raw.to_owned(),
    })
}

/// The completed amount, or else the requested one. An invalid completed amount is an error, never replaced by the
/// requested one.
fn money(json: &OperationJson<'_>, requested: &Requested<'_>) -> Result<(Decimal, Currency), FieldError> {
    const REQUESTED: &str = "create_params.params.payment.amount.value";
    let requested_currency = || requested.currency.currency("create_params.params.payment.amount.currency");
    if let Some(amount) = json.complete_amount.decimal("complete_amount")? {
        let currency = match json.complete_currency.currency("complete_currency")? {
            Some(currency) => Some(currency),
            None => requested_currency()?,
        };
        return Ok((amount, currency.ok_or(FieldError::Missing { field: "complete_currency" })?));
    }
    let minor = requested.value.decimal(REQUESTED)?.ok_or(FieldError::Missing { field: REQUESTED })?;
    let currency =
        requested_currency()?.ok_or(FieldError::Missing { field: "create_params.params.payment.amount.currency" })?;
    Ok((currency.from_minor_units(minor).normalize(), currency))
}

/// The record's own rate, if it is positive.
fn dollars_for_one(currency: &Currency, rates: Field<'_>) -> Option<Decimal> {
    if currency.as_str() == "USD" {
        return Some(Decimal::ONE);
    }
    let rates: BTreeMap<Cow<'_, str>, Field<'_>> = serde_json::from_str(rates.json()?).ok()?;
    let rate = rates.get(format!("{currency}-USD").as_str())?.decimal("rates").ok()??;
    (rate > Decimal::ZERO).then_some(rate)
}

/// The fee of the last charge that has one, if it is in the payment's currency.
fn charged_fee(card_finish: Field<'_>, currency: &Currency) -> Option<Decimal> {
    let charges: Vec<Object<CardFinish<'_>>> = card_finish.list();
    charges.iter().rev().find_map(|Object(charge)| {
        let fee = charge.charged_fee.decimal("charged_fee").ok()??;
        let charged_in = charge.charged_currency.currency("charged_currency").ok()?;
        Some(charged_in.is_none_or(|charged_in| charged_in == *currency).then_some(fee))
    })?
}

/// The completion time of a final payment; open payments have the field too, without meaning.
fn completed_at(json: &OperationJson<'_>, status: Status) -> Option<DateTime<Utc>> {
    if !status.is_final() {
        return None;
    }
    json.complete_created_at.time("complete_created_at").ok().flatten()
}

/// The contact if it is an email address; it may also be a phone number.
fn email(contact: Field<'_>) -> Option<String> {
    contact.text("contact").filter(|contact| contact.contains('@'))
}

fn name(person: &Person<'_>) -> Option<String> {
    let names: Vec<String> =
        [person.first_name.text("first_name"), person.last_name.text("last_name")].into_iter().flatten().collect();
    (!names.is_empty()).then(|| names.join(" "))
}

#[cfg(test)]
mod tests;
