//! Record counts and sums of amounts per provider, kind, currency and status.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::{
    faults::RecordFaults,
    json_writer::ObjectWriter,
    payshack::{self, TransactionStore},
    state::State,
    status::Status,
    vima,
};

use super::{NormalizedRecord, discrepancies, write_by_type};

#[derive(Default)]
struct Totals {
    served: usize,
    distinct: usize,
    malformed: usize,
    by_currency: BTreeMap<String, BTreeMap<Status, (usize, Decimal)>>,
}

impl Totals {
    fn add(&mut self, record: Option<&NormalizedRecord>, is_newest_version: bool, companions: usize) {
        self.malformed += companions + usize::from(record.is_none());
        let Some(record) = record else { return };
        self.served += 1;
        if !is_newest_version {
            return;
        }
        self.distinct += 1;
        let by_status = self.by_currency.entry(record.currency.clone().into_owned()).or_default();
        let (count, sum) = by_status.entry(record.status).or_default();
        *count += 1;
        *sum += record.amount;
    }

    fn write(&self, o: &mut ObjectWriter<'_>) {
        o.unquoted("count", self.served).unquoted("distinct", self.distinct).unquoted("malformed", self.malformed);
        o.object("sums", |sums| {
            for (currency, by_status) in &self.by_currency {
                sums.object(currency, |o| {
                    for (status, (count, amount)) in by_status {
                        o.object(status.into_str(), |o| {
                            o.unquoted("count", count).quoted("amount", amount);
                        });
                    }
                });
            }
        });
    }
}

/// Writes the totals per provider and kind, then the discrepancies. The faults are those of Vima's and PayShack's records.
pub(crate) fn write_summary(o: &mut ObjectWriter<'_>, state: &State, [vima, payshack]: [RecordFaults; 2]) {
    o.object("vima", |o| {
        o.object("payin", |o| vima_totals(state, vima).write(o));
    });
    o.object("payshack", |o| {
        o.object("payin", |o| payshack_totals(&state.payins, payshack).write(o));
        o.object("payout", |o| payshack_totals(&state.payouts, payshack).write(o));
    });
    let findings = discrepancies(state);
    o.object("discrepancies", |o| write_by_type(o, &findings));
}

fn vima_totals(state: &State, faults: RecordFaults) -> Totals {
    let mut totals = Totals::default();
    for (index, entry) in state.operations.entries().iter().enumerate() {
        let companions = match entry {
            vima::Entry::Generated(operation) => faults.companions(operation.id).count(),
            vima::Entry::Fixture(_) => 0,
        };
        totals.add(entry.normalized().as_ref(), state.operations.is_newest_version(index), companions);
    }
    totals
}

fn payshack_totals(store: &TransactionStore, faults: RecordFaults) -> Totals {
    let mut totals = Totals::default();
    for (index, entry) in store.entries().iter().enumerate() {
        let companions = match entry {
            payshack::Entry::Generated(transaction) => faults.companions(transaction.number.into()).count(),
            payshack::Entry::Fixture(_) => 0,
        };
        totals.add(entry.normalized().as_ref(), store.is_newest_version(index), companions);
    }
    totals
}
