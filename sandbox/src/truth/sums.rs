//! How many records there are and what they add up to.

use std::collections::BTreeMap;

use rust_decimal::Decimal;

use crate::{
    broken::stands_beside,
    json::Object,
    payshack::{self, Transactions},
    state::State,
    status::Status,
    vima,
};

use super::{Row, by_type, discrepancies};

#[derive(Default)]
struct Sums {
    served: usize,
    distinct: usize,
    malformed: usize,
    by_currency: BTreeMap<String, BTreeMap<Status, (usize, Decimal)>>,
}

impl Sums {
    fn add(&mut self, row: Option<&Row>, counts: bool, broken_beside: bool) {
        self.malformed += usize::from(broken_beside) + usize::from(row.is_none());
        let Some(row) = row else { return };
        self.served += 1;
        if !counts {
            return;
        }
        self.distinct += 1;
        let by_status = self.by_currency.entry(row.currency.clone().into_owned()).or_default();
        let (count, sum) = by_status.entry(row.status).or_default();
        *count += 1;
        *sum += row.amount;
    }

    fn write(&self, o: &mut Object<'_>) {
        o.bare("count", self.served).bare("distinct", self.distinct).bare("malformed", self.malformed);
        o.object("sums", |sums| {
            for (currency, by_status) in &self.by_currency {
                sums.object(currency, |o| {
                    for (status, (count, amount)) in by_status {
                        o.object(status.name(), |o| {
                            o.bare("count", count).quoted("amount", amount);
                        });
                    }
                });
            }
        });
    }
}

/// Writes the truth about everything: sums by source and kind, then the discrepancies. The shares are those of the records
/// of Vima and of `PayShack` with a malformed one beside them.
pub(crate) fn summary(o: &mut Object<'_>, state: &State, [vima, payshack]: [f64; 2]) {
    o.object("vima", |o| {
        o.object("payin", |o| of_vima(state, vima).write(o));
    });
    o.object("payshack", |o| {
        o.object("payin", |o| of_payshack(&state.payins, payshack).write(o));
        o.object("payout", |o| of_payshack(&state.payouts, payshack).write(o));
    });
    let findings = discrepancies(state);
    o.object("discrepancies", |o| by_type(o, &findings));
}

fn of_vima(state: &State, malformed: f64) -> Sums {
    let mut sums = Sums::default();
    for (place, entry) in state.operations.entries().iter().enumerate() {
        let broken = matches!(entry, vima::Entry::Made(made) if stands_beside(made.id, malformed));
        sums.add(entry.row().as_ref(), state.operations.counts(place), broken);
    }
    sums
}

fn of_payshack(store: &Transactions, malformed: f64) -> Sums {
    let mut sums = Sums::default();
    for (place, entry) in store.entries().iter().enumerate() {
        let broken = matches!(entry, payshack::Entry::Made(made) if stands_beside(made.number.into(), malformed));
        sums.add(entry.row().as_ref(), store.counts(place), broken);
    }
    sums
}
