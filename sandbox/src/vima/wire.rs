//! The JSON shape of an operation.

use crate::{
    id_hash::{Salt, hash, in_share},
    json_writer::{ObjectWriter, object},
    money::{Amount, Currency},
    person::Person,
    switches::{AmountFormat, KeyFormat, Switches},
};

use super::operation::Operation;

#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordFormat {
    key: KeyFormat,
    amounts: AmountFormat,
    nul_share: f64,
}

impl RecordFormat {
    pub(crate) fn new(switches: &Switches, nul_share: f64) -> Self {
        Self { key: switches.vima_key_form, amounts: switches.vima_amounts, nul_share }
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
        write_identity(o, operation, format.key_format(field_hash));
        write_request(o, operation, format);
        write_state(o, operation, field_hash);
        write_cards(o, operation, format);
        write_completion(o, operation, format, field_hash);
        write_rates(o, operation.requested.currency, field_hash);
        o.quoted("operation_create_id", operation.create_id).quoted("operation_update_id", operation.update_id);
        o.object("payment_custom_data", |data| {
            data.text("name", "apm");
        });
    });
}

fn write_identity(o: &mut ObjectWriter<'_>, operation: &Operation, key: KeyFormat) {
    let (reference, account) = (hash(operation.id, Salt::Reference), hash(operation.id, Salt::Account));
    o.quoted("operation_id", operation.id).quoted("reference_id", format_args!("{reference:016x}{account:016x}"));
    match key {
        KeyFormat::CId => {}
        KeyFormat::Number if is_number(&operation.key) => {
            o.unquoted("client_operation_id", &operation.key);
        }
        _ => {
            o.text("client_operation_id", &operation.key);
        }
    }
    o.text("service", "multihub-api").text("service_env", "prod-123hub");
    o.text("project", operation.project.into_str()).text("project_env", "prod");
    o.quoted("user_id", format_args!("{account:016x}{reference:016x}"));
}

fn write_request(o: &mut ObjectWriter<'_>, operation: &Operation, format: RecordFormat) {
    let person = Person::from_id(operation.id, in_share(format.nul_share, operation.id, Salt::Nul));
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
                    if is_number(&operation.key) {
                        identifiers.unquoted("c_id", &operation.key);
                    } else {
                        identifiers.text("c_id", &operation.key);
                    }
                });
            });
        });
    });
}

/// Some records have only one of the two statuses.
fn write_state(o: &mut ObjectWriter<'_>, operation: &Operation, field_hash: u64) {
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
    o.quoted("operation_created_at", operation.created.iso());
    o.quoted("operation_modified_at", operation.modified.iso());
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

fn is_number(key: &str) -> bool {
    !key.starts_with('0') && key.bytes().all(|byte| byte.is_ascii_digit())
}
