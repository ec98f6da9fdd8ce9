//! The wire shape of an operation.

use crate::{
    chance::{Aspect, falls_in, grain},
    json::{Object, object},
    money::{Amount, Currency},
    people::Person,
    switches::{Amounts, KeyForm, Switches},
};

use super::operation::Operation;

/// What decides how records are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    key: KeyForm,
    amounts: Amounts,
    nul: f64,
}

impl Form {
    pub(crate) fn of(switches: &Switches, nul: f64) -> Self {
        Self { key: switches.vima_key_form, amounts: switches.vima_amounts, nul }
    }

    fn key_of(self, fields: u64) -> KeyForm {
        match (self.key, fields % 32) {
            (KeyForm::Mixed, 0) => KeyForm::Number,
            (KeyForm::Mixed, 1) => KeyForm::CId,
            (KeyForm::Mixed, _) => KeyForm::String,
            (form, _) => form,
        }
    }
}

/// Writes an operation with all its documented fields.
pub(crate) fn write(out: &mut String, operation: &Operation, form: Form) {
    let fields = grain(operation.id, Aspect::Fields);
    object(out, |o| {
        write_identity(o, operation, form.key_of(fields));
        write_request(o, operation, form);
        write_state(o, operation, fields);
        write_cards(o, operation, form);
        write_completion(o, operation, form, fields);
        write_rates(o, operation.requested.currency, fields);
        o.quoted("operation_create_id", operation.create_id).quoted("operation_update_id", operation.update_id);
        o.object("payment_custom_data", |data| {
            data.text("name", "apm");
        });
    });
}

fn write_identity(o: &mut Object<'_>, operation: &Operation, key: KeyForm) {
    let (reference, account) = (grain(operation.id, Aspect::Reference), grain(operation.id, Aspect::Account));
    o.quoted("operation_id", operation.id).quoted("reference_id", format_args!("{reference:016x}{account:016x}"));
    match key {
        KeyForm::CId => {}
        KeyForm::Number if is_number(&operation.key) => {
            o.bare("client_operation_id", &operation.key);
        }
        _ => {
            o.text("client_operation_id", &operation.key);
        }
    }
    o.text("service", "multihub-api").text("service_env", "prod-123hub");
    o.text("project", operation.project.name()).text("project_env", "prod");
    o.quoted("user_id", format_args!("{account:016x}{reference:016x}"));
}

fn write_request(o: &mut Object<'_>, operation: &Operation, form: Form) {
    let person = Person::of(operation.id, falls_in(form.nul, operation.id, Aspect::Nul));
    let (reference, account) = (grain(operation.id, Aspect::Reference), grain(operation.id, Aspect::Account));
    let email = person.email();
    o.text("contact", &email).text("ip_addr", "");
    o.object("create_params", |create| {
        create.text("method", "payment.in").bare("service_id", 14_701).object("params", |params| {
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
                    amount.bare("value", operation.requested.minor);
                    amount.text("currency", operation.requested.currency.code());
                });
                payment.object("client", |client| {
                    client.text("country", "IN").text("language", "EN");
                });
                payment.object("identifiers", |identifiers| {
                    if is_number(&operation.key) {
                        identifiers.bare("c_id", &operation.key);
                    } else {
                        identifiers.text("c_id", &operation.key);
                    }
                });
            });
        });
    });
}

/// Now and then a record has only one of the two statuses.
fn write_state(o: &mut Object<'_>, operation: &Operation, fields: u64) {
    o.text("current_status", &operation.word);
    match fields >> 8 & 31 {
        0 => {}
        1 => {
            o.null("payment_status");
        }
        _ => {
            o.text("payment_status", &operation.word);
        }
    }
    o.text("payment_product", "multihub-api").text("payment_method_type", "fiat").text("payment_method_code", "apm");
    o.text("operation_state", "in_process").text("credentials_owner", "123hub").text("integration_type", "direct");
    o.quoted("operation_created_at", operation.created.iso());
    o.quoted("operation_modified_at", operation.modified.iso());
}

fn write_cards(o: &mut Object<'_>, operation: &Operation, form: Form) {
    o.array("card_start", [operation.requested], |out, amount| {
        object(out, |card| {
            card.text("oper_type", "deposit").text("currency", amount.currency.code());
            write_major(card, "amount", amount, form);
            card.quoted("created_at", operation.created.spaced());
        });
    });
    o.array("card_finish", operation.completed, |out, amount| {
        object(out, |card| {
            card.text("currency", amount.currency.code());
            write_major(card, "amount", amount, form);
            card.text("charged_currency", amount.currency.code());
            write_major(card, "charged_amount", amount, form);
            write_major(card, "charged_fee", Amount { minor: 0, ..amount }, form);
            card.text("result", &operation.word).quoted("created_at", operation.modified.spaced());
        });
    });
}

/// An unfinished operation lacks the complete amount, or has `null` for it.
fn write_completion(o: &mut Object<'_>, operation: &Operation, form: Form, fields: u64) {
    match operation.completed {
        Some(amount) => {
            write_major(o, "complete_amount", amount, form);
            o.text("complete_currency", amount.currency.code());
            o.quoted("complete_created_at", operation.modified.iso());
            o.quoted("complete_modified_at", operation.modified.iso());
        }
        None if fields >> 16 & 1 == 0 => {
            o.null("complete_amount").null("complete_currency");
        }
        None => {}
    }
}

fn write_rates(o: &mut Object<'_>, currency: Currency, fields: u64) {
    let rate = match currency {
        Currency::Inr if !(fields >> 24).is_multiple_of(10) => ("INR-USD", "0.01201"),
        Currency::Eur => ("EUR-USD", "1.0842"),
        _ => return,
    };
    o.object("rates", |rates| {
        rates.bare(rate.0, rate.1);
    });
}

fn write_major(o: &mut Object<'_>, name: &str, amount: Amount, form: Form) {
    let value = amount.with_eight_decimals();
    match form.amounts {
        Amounts::Number => o.bare(name, value),
        Amounts::String => o.quoted(name, value),
    };
}

fn is_number(key: &str) -> bool {
    !key.starts_with('0') && key.bytes().all(|byte| byte.is_ascii_digit())
}
