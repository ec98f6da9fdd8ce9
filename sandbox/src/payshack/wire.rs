//! The wire shapes of pay-ins and pay-outs.

use crate::{
    chance::{Aspect, falls_in, grain},
    json::{Object, object},
    money::Amount,
    people::Person,
    status::Status,
    switches::{Amounts, Switches},
};

use super::{
    client::RESELLER_ID,
    transaction::{Kind, Transaction},
};

/// What decides how records are written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    amounts: Amounts,
    nul: f64,
}

impl Form {
    pub(crate) fn of(switches: &Switches, nul: f64) -> Self {
        Self { amounts: switches.payshack_amounts, nul }
    }
}

/// Writes a transaction with all its documented fields.
pub(crate) fn write(out: &mut String, transaction: &Transaction, form: Form) {
    let id = u128::from(transaction.number);
    let person = Person::of(id, falls_in(form.nul, id, Aspect::Nul));
    object(out, |o| match transaction.kind {
        Kind::Payin => write_payin(o, transaction, &person, form),
        Kind::Payout => write_payout(o, transaction, &person, form),
    });
}

fn write_payin(o: &mut Object<'_>, payin: &Transaction, person: &Person, form: Form) {
    let fields = grain(u128::from(payin.number), Aspect::Fields);
    o.bare("_id", payin.number).quoted("txnId", payin.txn_id());
    o.quoted("spTxnId", format_args!("1003sb{fields:020}"));
    o.text("orderId", &payin.order_id);
    write_amount(o, "amount", payin.amount, form);
    if payin.is_paid() {
        write_amount(o, "paidAmount", payin.paid, form);
        write_amount(o, "totalCommissionAmount", percent(payin.paid, 250), form);
        o.quoted("utr", utr(fields)).quoted("rrn", utr(fields >> 7));
    } else {
        o.null("paidAmount").bare("totalCommissionAmount", 0).null("utr").null("rrn");
    }
    write_owner(o, payin);
    o.text("transactionType", "UPI_INTENT").text("paymentMode", "UPI");
    let phone = person.phone();
    o.quoted("payerVpa", format_args!("{phone}-2@axl")).text("payerName", &person.name()).text("payerPhone", &phone);
    o.text("upiId", "shop@hdfcbank");
    write_times(o, payin);
    if payin.status() == Status::Success {
        o.quoted("completedAt", payin.modified.iso());
    }
}

/// Some pay-outs have `transactionId` and `status` for `txnId` and `txnStatus`.
fn write_payout(o: &mut Object<'_>, payout: &Transaction, person: &Person, form: Form) {
    let fields = grain(u128::from(payout.number), Aspect::Fields);
    let plain = fields.is_multiple_of(4);
    o.bare("_id", payout.number).quoted(if plain { "transactionId" } else { "txnId" }, payout.txn_id());
    o.text("orderId", &payout.order_id);
    let charges = percent(payout.amount, 100);
    write_amount(o, "amount", payout.amount, form);
    write_amount(o, "txnCharges", charges, form);
    write_amount(o, "netAmount", Amount { minor: payout.amount.minor - charges.minor, ..charges }, form);
    o.text(if plain { "status" } else { "txnStatus" }, &payout.word);
    if payout.is_paid() {
        o.quoted("utr", utr(fields));
    } else {
        o.null("utr");
    }
    o.text("clientName", payout.client.name()).text("clientId", payout.client.id());
    o.text("beneName", &person.name()).quoted("beneAccount", format_args!("0000{:010}", fields % 10_000_000_000));
    o.text("beneIfsc", "TEST0000001").text("beneEmail", &person.email()).text("benePhone", &person.phone());
    write_times(o, payout);
}

fn write_owner(o: &mut Object<'_>, payin: &Transaction) {
    o.text("txnStatus", &payin.word).text("clientName", payin.client.name()).text("clientId", payin.client.id());
    o.text("resellerId", RESELLER_ID);
}

fn write_times(o: &mut Object<'_>, transaction: &Transaction) {
    o.quoted("createdAt", transaction.created.iso()).quoted("modifiedAt", transaction.modified.iso());
}

fn write_amount(o: &mut Object<'_>, name: &str, amount: Amount, form: Form) {
    match form.amounts {
        Amounts::Number => o.bare(name, amount.shortest()),
        Amounts::String => o.quoted(name, amount.shortest()),
    };
}

fn percent(amount: Amount, hundredths: i64) -> Amount {
    Amount { minor: amount.minor * hundredths / 10_000, ..amount }
}

fn utr(fields: u64) -> String {
    format!("{:012}", fields % 1_000_000_000_000)
}
