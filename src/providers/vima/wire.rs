//! The JSON of Vima's operations.
//!
//! The field rules follow real responses; any field except `operation_id`, the amount and the creation time may be
//! missing or null, and any that does not decide about money may be of another type.
//!
//! Every operation is a pay-in: the collector has nothing else.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::Deserialize;

use crate::domain::exchange_rate::in_dollars;
use crate::domain::money::{Currency, is_plausible_amount};
use crate::domain::record::{Malformed, Record};
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source, Transaction, TransactionKey};
use crate::domain::version::{SequenceId, Version};
use crate::providers::field::{Field, FieldError, Members, Object, describe};
use crate::providers::rescue::{RecordNames, rescue, structural_problem};

const NAMES: RecordNames = RecordNames {
    once: &[
        "operation_id",
        "operation_create_id",
        "operation_update_id",
        "client_operation_id",
        "c_id",
        "payment_status",
        "current_status",
        "complete_amount",
        "complete_currency",
        "create_params",
        "params",
        "payment",
        "amount",
        "value",
        "currency",
        "rates",
        "card_finish",
        "charged_fee",
        "charged_amount",
        "charged_currency",
    ],
    ids: &["operation_id", "operation_create_id", "operation_update_id"],
};

/// A record and its positions in Vima's two orders. A malformed record can have them too, and the cursor must pass it.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    pub record: Record,
    /// The position in the order of creation (`operation_create_id`).
    pub create_id: Option<SequenceId>,
    /// The position in the order of updates (`operation_update_id`).
    pub update_id: Option<SequenceId>,
}

/// Parses one operation; the result contains the JSON text.
#[must_use]
pub fn read_operation(raw: &str) -> Operation {
    if !raw.starts_with('{') {
        return malformed(raw, &OperationJson::default(), format!("the record is {}, not an object", describe(raw)));
    }
    let error = match serde_json::from_str::<OperationJson<'_>>(raw) {
        Ok(json) => return evaluated(raw, &json, structural_problem(raw)),
        Err(error) => error,
    };
    let rescued = rescue(raw, &error, NAMES);
    match serde_json::from_str(&rescued.json) {
        Ok(json) => evaluated(raw, &json, rescued.problem),
        Err(error) => malformed(raw, &OperationJson::default(), format!("the record cannot be parsed: {error}")),
    }
}

fn evaluated(raw: &str, json: &OperationJson<'_>, problem: Option<String>) -> Operation {
    let payment = problem.map_or_else(|| transaction(json, raw).map_err(|error| error.to_string()), Err);
    match payment {
        Ok(payment) => placed(Record::Payment(Box::new(payment)), json),
        Err(reason) => malformed(raw, json, reason),
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
        create_id: json.operation_create_id.sequence_id("operation_create_id").ok().flatten(),
        update_id: json.operation_update_id.sequence_id("operation_update_id").ok().flatten(),
    }
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
    #[serde(rename = "charged_currency")]
    currency: Field<'a>,
    #[serde(rename = "charged_amount")]
    amount: Field<'a>,
    #[serde(rename = "charged_fee")]
    fee: Field<'a>,
}

fn transaction(json: &OperationJson<'_>, raw: &str) -> Result<Transaction, FieldError> {
    let payment = &json.create_params.0.params.0.payment.0;
    let source_id = json.operation_id.identity("operation_id")?.ok_or(FieldError::Missing { field: "operation_id" })?;
    let created_at = json
        .operation_created_at
        .time("operation_created_at")?
        .ok_or(FieldError::Missing { field: "operation_created_at" })?;
    let updated_at = json.operation_modified_at.time("operation_modified_at").ok().flatten();
    // Not stored, but the next page of a list begins after it, and the database cannot hold a larger one.
    json.operation_create_id.sequence_id("operation_create_id")?;
    let sequence = json.operation_update_id.sequence_id("operation_update_id")?;
    let (amount, currency) = money(json, &payment.amount.0)?;
    let rate = dollars_for_one(&currency, json.rates)?;
    let dollars = |amount: Decimal| in_dollars(amount, rate?);
    let fee = charged_fee(json.card_finish, &currency)?;
    let original_status =
        json.payment_status.text("payment_status").or_else(|| json.current_status.text("current_status"));
    let status = original_status.as_deref().map_or(Status::Unknown, Status::from_vima);
    let payer = &payment.payer.0;
    Ok(Transaction {
        key: TransactionKey { source: Source::Vima, kind: Kind::Payin, source_id },
        version: Version { sequence, modified_at: updated_at },
        reference_id: json.reference_id.key("reference_id"),
        client_operation_id: json
            .client_operation_id
            .key("client_operation_id")
            .or_else(|| payment.identifiers.0.c_id.key("identifiers.c_id")),
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
/// requested one; so is an amount that no payment can have.
fn money(json: &OperationJson<'_>, requested: &Requested<'_>) -> Result<(Decimal, Currency), FieldError> {
    const REQUESTED: &str = "create_params.params.payment.amount.value";
    let requested_currency = || requested.currency.currency("create_params.params.payment.amount.currency");
    if let Some(amount) = json.complete_amount.amount("complete_amount")? {
        let currency = match json.complete_currency.currency("complete_currency")? {
            Some(currency) => Some(currency),
            None => requested_currency()?,
        };
        return Ok((amount, currency.ok_or(FieldError::Missing { field: "complete_currency" })?));
    }
    let minor = requested.value.decimal(REQUESTED)?.ok_or(FieldError::Missing { field: REQUESTED })?;
    let currency =
        requested_currency()?.ok_or(FieldError::Missing { field: "create_params.params.payment.amount.currency" })?;
    let amount = currency.from_minor_units(minor).normalize();
    if is_plausible_amount(amount) { Ok((amount, currency)) } else { Err(requested.value.implausible(REQUESTED)) }
}

/// The record's own rate, if it is positive. Rates of other currencies do not matter.
fn dollars_for_one(currency: &Currency, rates: Field<'_>) -> Result<Option<Decimal>, FieldError> {
    if currency.as_str() == "USD" {
        return Ok(Some(Decimal::ONE));
    }
    let Some(json) = rates.composite("rates")? else { return Ok(None) };
    let unreadable = || FieldError::Unreadable { field: "rates", expected: "an object", found: describe(json) };
    // An empty list is how some languages write an empty object.
    let is_empty_list = json.strip_prefix('[').is_some_and(|rest| rest.trim_start().starts_with(']'));
    let rates: Members<'_> =
        if is_empty_list { Members::default() } else { serde_json::from_str(json).map_err(|_| unreadable())? };
    let Some(rate) = rates.single(&format!("{currency}-USD"), "rates")? else { return Ok(None) };
    Ok(rate.decimal("rates")?.filter(|rate| *rate > Decimal::ZERO))
}

/// The fee of the last charge that has one, if it is in the payment's currency.
fn charged_fee(card_finish: Field<'_>, currency: &Currency) -> Result<Option<Decimal>, FieldError> {
    let Some(json) = card_finish.composite("card_finish")? else { return Ok(None) };
    // A single charge may be outside a list.
    let charges: Vec<Field<'_>> = if json.starts_with('{') {
        vec![card_finish]
    } else {
        serde_json::from_str(json).map_err(|_| no_charge(json))?
    };
    for json in charges.iter().rev().filter_map(|charge| charge.json()) {
        if !json.starts_with('{') {
            return Err(no_charge(json));
        }
        let charge: CardFinish<'_> = serde_json::from_str(json).map_err(|_| no_charge(json))?;
        charge.amount.amount("card_finish.charged_amount")?;
        let Some(fee) = charge.fee.amount("card_finish.charged_fee")? else { continue };
        let charged_in = charge.currency.currency("card_finish.charged_currency")?;
        return Ok(charged_in.is_none_or(|charged_in| charged_in == *currency).then_some(fee));
    }
    Ok(None)
}

fn no_charge(json: &str) -> FieldError {
    FieldError::Unreadable { field: "card_finish", expected: "a list of charges", found: describe(json) }
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
