//! The JSON shapes of pay-ins and pay-outs.

use crate::{
    faults::{Fault, RecordFaults},
    id_hash::{Salt, hash},
    json_writer::{ObjectWriter, object},
    key_form::write_key,
    money::Amount,
    person::Person,
    status::Status,
    switches::{AmountFormat, Switches},
    timestamp::Timestamp,
};

use super::{
    client::RESELLER_ID,
    transaction::{Transaction, TransactionKind},
};

#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordFormat {
    amounts: AmountFormat,
    faults: RecordFaults,
}

impl RecordFormat {
    pub(crate) fn new(switches: &Switches, faults: RecordFaults) -> Self {
        Self { amounts: switches.payshack_amounts, faults }
    }
}

/// Writes all documented fields of a transaction.
pub(crate) fn write(out: &mut String, transaction: &Transaction, format: RecordFormat) {
    let id = u128::from(transaction.number);
    let person = Person::from_id(id, format.faults.has_form(Fault::Nul, id));
    object(out, |o| {
        if format.faults.has_form(Fault::RepeatedName, id) {
            o.text("clientName", "first of two").text("utr", "first of two");
        }
        match transaction.kind {
            TransactionKind::Payin => write_payin(o, transaction, &person, format),
            TransactionKind::Payout => write_payout(o, transaction, &person, format),
        }
    });
}

fn write_payin(o: &mut ObjectWriter<'_>, payin: &Transaction, person: &Person, format: RecordFormat) {
    let field_hash = hash(u128::from(payin.number), Salt::Fields);
    o.unquoted("_id", payin.number).quoted("txnId", payin.txn_id());
    o.quoted("spTxnId", format_args!("1003sb{field_hash:020}"));
    write_key(o, "orderId", &payin.order_id, false, payin.number.into(), format.faults);
    write_amount(o, "amount", payin.amount, format);
    if payin.is_paid() {
        write_amount(o, "paidAmount", payin.paid, format);
        write_amount(o, "totalCommissionAmount", fee(payin.paid, 250), format);
        o.quoted("utr", utr(field_hash)).quoted("rrn", utr(field_hash >> 7));
    } else {
        o.null("paidAmount").unquoted("totalCommissionAmount", 0).null("utr").null("rrn");
    }
    write_client(o, payin);
    o.text("transactionType", "UPI_INTENT").text("paymentMode", "UPI");
    let phone = person.phone();
    o.quoted("payerVpa", format_args!("{phone}-2@axl")).text("payerName", &person.name()).text("payerPhone", &phone);
    o.text("upiId", "shop@hdfcbank");
    write_times(o, payin, format);
    if payin.status() == Status::Success {
        o.quoted("completedAt", payin.modified.iso());
    }
}

/// Some pay-outs have `transactionId` and `status` instead of `txnId` and `txnStatus`.
fn write_payout(o: &mut ObjectWriter<'_>, payout: &Transaction, person: &Person, format: RecordFormat) {
    let field_hash = hash(u128::from(payout.number), Salt::Fields);
    let alternative_names = field_hash.is_multiple_of(4);
    o.unquoted("_id", payout.number).quoted(if alternative_names { "transactionId" } else { "txnId" }, payout.txn_id());
    write_key(o, "orderId", &payout.order_id, false, payout.number.into(), format.faults);
    let charges = fee(payout.amount, 100);
    write_amount(o, "amount", payout.amount, format);
    write_amount(o, "txnCharges", charges, format);
    write_amount(o, "netAmount", Amount { minor: payout.amount.minor - charges.minor, ..charges }, format);
    o.text(if alternative_names { "status" } else { "txnStatus" }, &payout.original_status);
    if payout.is_paid() {
        o.quoted("utr", utr(field_hash));
    } else {
        o.null("utr");
    }
    o.text("clientName", payout.client.name()).text("clientId", payout.client.id());
    o.text("beneName", &person.name()).quoted("beneAccount", format_args!("0000{:010}", field_hash % 10_000_000_000));
    o.text("beneIfsc", "TEST0000001").text("beneEmail", &person.email()).text("benePhone", &person.phone());
    write_times(o, payout, format);
}

fn write_client(o: &mut ObjectWriter<'_>, payin: &Transaction) {
    o.text("txnStatus", &payin.original_status)
        .text("clientName", payin.client.name())
        .text("clientId", payin.client.id());
    o.text("resellerId", RESELLER_ID);
}

fn write_times(o: &mut ObjectWriter<'_>, transaction: &Transaction, format: RecordFormat) {
    let has_leap_seconds = format.faults.has_form(Fault::LeapSecond, transaction.number.into());
    let text = |time: Timestamp| if has_leap_seconds { time.iso_with_leap_second() } else { time.iso() };
    o.quoted("createdAt", text(transaction.created)).quoted("modifiedAt", text(transaction.modified));
}

fn write_amount(o: &mut ObjectWriter<'_>, name: &str, amount: Amount, format: RecordFormat) {
    match format.amounts {
        AmountFormat::Number => o.unquoted(name, amount.shortest()),
        AmountFormat::String => o.quoted(name, amount.shortest()),
    };
}

fn fee(amount: Amount, basis_points: i64) -> Amount {
    Amount { minor: amount.minor * basis_points / 10_000, ..amount }
}

fn utr(field_hash: u64) -> String {
    format!("{:012}", field_hash % 1_000_000_000_000)
}
