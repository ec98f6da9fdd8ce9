//! The JSON shape of an operation.

use crate::{
    faults::{Fault, RecordFaults},
    id_hash::{Salt, hash},
    json_writer::{ObjectWriter, object},
    key_form::write_key,
    money::{Amount, Currency},
    person::Person,
    switches::{AmountFormat, KeyFormat, Switches},
    timestamp::Timestamp,
};

use super::operation::Operation;

#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordFormat {
    key: KeyFormat,
    amounts: AmountFormat,
    faults: RecordFaults,
}

impl RecordFormat {
    pub(crate) fn new(switches: &Switches, faults: RecordFaults) -> Self {
        Self { key: switches.vima_key_form, amounts: switches.vima_amounts, faults }
    }

    fn time(self, id: u128, time: Timestamp) -> String {
        if self.faults.has_form(Fault::LeapSecond, id) { time.iso_with_leap_second() } else { time.iso() }
    }

    fn key_format(self, field_hash: u64) -> KeyFormat {
        match (self.key, field_hash % 32) {
            (KeyFormat::Mixed, 0) => KeyFormat::Number,
            (KeyFormat::Mixed, 1) => KeyFormat::CId,
            (KeyFormat::Mixed, _) => KeyFormat::String,
            (format, _) => format,
        }
    }
}

/// Writes all documented fields of an operation.
pub(crate) fn write(out: &mut String, operation: &Operation, format: RecordFormat) {
    let field_hash = hash(operation.id, Salt::Fields);
    object(out, |o| {
        if format.faults.has_form(Fault::RepeatedName, operation.id) {
            o.text("project", "first of two").object("payment_custom_data", |_| {});
        }
        write_identity(o, operation, format.key_format(field_hash), format.faults);
        write_request(o, operation, format);
        write_state(o, operation, format, field_hash);
        write_cards(o, operation, format);
        write_completion(o, operation, format, field_hash);
        write_rates(o, operation.requested.currency, field_hash);
        o.quoted("operation_create_id", operation.create_id).quoted("operation_update_id", operation.update_id);
        o.object("payment_custom_data", |data| {
            data.text("name", "apm");
        });
    });
}

fn write_identity(o: &mut ObjectWriter<'_>, operation: &Operation, key: KeyFormat, faults: RecordFaults) {
    let (reference, account) = (hash(operation.id, Salt::Reference), hash(operation.id, Salt::Account));
    o.quoted("operation_id", operation.id).quoted("reference_id", format_args!("{reference:016x}{account:016x}"));
    if key != KeyFormat::CId {
        let as_number = key == KeyFormat::Number;
        write_key(o, "client_operation_id", &operation.key, as_number, operation.id, faults);
    }
    o.text("service", "multihub-api").text("service_env", "prod-123hub");
    o.text("project", operation.project.into_str()).text("project_env", "prod");
    o.quoted("user_id", format_args!("{account:016x}{reference:016x}"));
}

fn write_request(o: &mut ObjectWriter<'_>, operation: &Operation, format: RecordFormat) {
    let person = Person::from_id(operation.id, format.faults.has_form(Fault::Nul, operation.id));
    let (reference, account) = (hash(operation.id, Salt::Reference), hash(operation.id, Salt::Account));
    let email = person.email();
    o.text("contact", &email).text("ip_addr", "");
    o.object("create_params", |create| {
        create.text("method", "payment.in").unquoted("service_id", 14_701).object("params", |params| {
            params.object("payment", |payment| {
                payment.object("payer", |payer| {
                    payer.text("email", &email).text("phone", &person.phone());
                    payer.object("person", |names| {
                        names.text("first_name", &person.first()).text("last_name", person.last());
                    });
                    payer.object("customer_account", |owner| {
                        owner.quoted("id", format_args!("{account:016x}{reference:016x}"));
                    });
                });
                payment.object("amount", |amount| {
                    amount.unquoted("value", operation.requested.minor);
                    amount.text("currency", operation.requested.currency.into_str());
                });
                payment.object("client", |client| {
                    client.text("country", "IN").text("language", "EN");
                });
                payment.object("identifiers", |identifiers| {
                    write_key(identifiers, "c_id", &operation.key, true, operation.id, format.faults);
                });
            });
        });
    });
}

/// Some records have only one of the two statuses.
fn write_state(o: &mut ObjectWriter<'_>, operation: &Operation, format: RecordFormat, field_hash: u64) {
    o.text("current_status", &operation.original_status);
    match field_hash >> 8 & 31 {
        0 => {}
        1 => {
            o.null("payment_status");
        }
        _ => {
            o.text("payment_status", &operation.original_status);
        }
    }
    o.text("payment_product", "multihub-api").text("payment_method_type", "fiat").text("payment_method_code", "apm");
    o.text("operation_state", "in_process").text("credentials_owner", "123hub").text("integration_type", "direct");
    o.quoted("operation_created_at", format.time(operation.id, operation.created));
    o.quoted("operation_modified_at", format.time(operation.id, operation.modified));
}

fn write_cards(o: &mut ObjectWriter<'_>, operation: &Operation, format: RecordFormat) {
    o.array("card_start", [operation.requested], |out, amount| {
        object(out, |card| {
            card.text("oper_type", "deposit").text("currency", amount.currency.into_str());
            write_major(card, "amount", amount, format);
            card.quoted("created_at", operation.created.space_separated());
        });
    });
    o.array("card_finish", operation.completed, |out, amount| {
        object(out, |card| {
            card.text("currency", amount.currency.into_str());
            write_major(card, "amount", amount, format);
            card.text("charged_currency", amount.currency.into_str());
            write_major(card, "charged_amount", amount, format);
            write_major(card, "charged_fee", Amount { minor: 0, ..amount }, format);
            card.text("result", &operation.original_status).quoted("created_at", operation.modified.space_separated());
        });
    });
}

/// In an unfinished operation the completion fields are `null` or missing.
fn write_completion(o: &mut ObjectWriter<'_>, operation: &Operation, format: RecordFormat, field_hash: u64) {
    match operation.completed {
        Some(amount) => {
            write_major(o, "complete_amount", amount, format);
            o.text("complete_currency", amount.currency.into_str());
            o.quoted("complete_created_at", operation.modified.iso());
            o.quoted("complete_modified_at", operation.modified.iso());
        }
        None if field_hash >> 16 & 1 == 0 => {
            o.null("complete_amount").null("complete_currency");
        }
        None => {}
    }
}

fn write_rates(o: &mut ObjectWriter<'_>, currency: Currency, field_hash: u64) {
    let rate = match currency {
        Currency::Inr if !(field_hash >> 24).is_multiple_of(10) => ("INR-USD", "0.01201"),
        Currency::Eur => ("EUR-USD", "1.0842"),
        _ => return,
    };
    o.object("rates", |rates| {
        rates.unquoted(rate.0, rate.1);
    });
}

fn write_major(o: &mut ObjectWriter<'_>, name: &str, amount: Amount, format: RecordFormat) {
    let value = amount.with_eight_decimals();
    match format.amounts {
        AmountFormat::Number => o.unquoted(name, value),
        AmountFormat::String => o.quoted(name, value),
    };
}
