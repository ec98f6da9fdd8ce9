//! Everything both providers hold, and how it changes.

use std::sync::Arc;

use rand::Rng;

use crate::{
    json::Object,
    live::{Live, Pair, Step},
    moment::Moment,
    payment::{Flaw, Outcome, Payment},
    payshack::{self, Client, Metadata, Transaction, Transactions},
    status::{Status, Word},
    vima::{self, Operation, Operations},
};

/// One in so many successes is refunded in the end.
const REFUNDS_ONE_IN: u8 = 64;

/// The providers' records and the stream that goes on from them.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) operations: Operations,
    pub(crate) payins: Transactions,
    pub(crate) payouts: Transactions,
    pub(crate) live: Live,
    pub(crate) metadata: Metadata,
}

impl State {
    /// Begins a payment at Vima.
    pub(crate) fn begin(&mut self, now: Moment) -> Pair {
        let payment = Payment::drawn(&mut self.live.dice, now, self.live.flawed);
        let operation = (!payment.has(Flaw::MissingOnVima)).then(|| self.operations.add(Operation::begun(&payment)));
        Pair { operation, payin: None, payment }
    }

    /// Lets a begun payment arrive at `PayShack`.
    pub(crate) fn arrive(&mut self, pair: &mut Pair, now: Moment) {
        let payment = &pair.payment;
        if payment.goes_through_payshack() && !payment.has(Flaw::MissingOnPayShack) {
            let payin = Transaction { created: now, modified: now, ..Transaction::begun(payment) };
            pair.payin = Some(self.payins.add(payin));
        }
    }

    /// Writes down the second record of a payment that one side has twice.
    pub(crate) fn repeat(&mut self, payment: &Payment, now: Moment) {
        if payment.has(Flaw::TwiceOnVima) {
            self.operations.add(Operation { created: now, modified: now, ..Operation::repeated(payment) });
        }
        if payment.has(Flaw::TwiceOnPayShack) {
            self.payins.add(Transaction { created: now, modified: now, ..Transaction::repeated(payment) });
        }
    }

    pub(crate) fn settle_operation(&mut self, pair: &Pair, now: Moment) {
        let Some(slot) = pair.operation else { return };
        let payment = &pair.payment;
        let (word, amount) = (payment.outcome.at_vima(payment.shade), payment.paid);
        let word_text = word.clone();
        // Pairs are made records: they cannot refuse a change as a planted one may.
        let _ = self.operations.change(slot, now, |made| made.change(word, amount, now), &word_text);
    }

    pub(crate) fn settle_payin(&mut self, pair: &Pair, now: Moment) {
        if let Some(slot) = pair.payin {
            self.change_payin(slot, pair.payment.outcome_at_payshack().at_payshack(pair.payment.shade), now);
        }
    }

    fn change_payin(&mut self, slot: payshack::Slot, word: Word, now: Moment) {
        let word_text = word.clone();
        let _ = self.payins.change(slot, now, |made| made.change(word, now), &word_text);
    }

    /// Carries out what has come due.
    pub(crate) fn carry_out(&mut self, step: Step, now: Moment) {
        match step {
            Step::Arrive(mut pair) => {
                self.arrive(&mut pair, now);
                self.live.plan_outcome(pair);
            }
            Step::Repeat(payment) => self.repeat(&payment, now),
            Step::SettlePayin(pair) => {
                self.settle_payin(&pair, now);
                if let (Some(slot), true) = (pair.payin, pair.payment.shade.is_multiple_of(REFUNDS_ONE_IN)) {
                    self.live.plan_refund(slot, now);
                }
            }
            Step::SettleOperation(pair) => self.settle_operation(&pair, now),
            Step::Refund(slot) => {
                if let payshack::Entry::Made(made) = self.payins.get(slot)
                    && made.status() == Status::Success
                {
                    self.change_payin(slot, Outcome::Refunded.at_payshack(7), now);
                }
            }
        }
    }

    /// Settles the oldest open payment on both sides.
    pub(crate) fn settle_oldest(&mut self, now: Moment) -> Option<Pair> {
        while let Some(mut pair) = self.live.open.pop_front() {
            let open_at_vima = pair.operation.is_some_and(|slot| match self.operations.get(slot) {
                vima::Entry::Made(made) => Status::of_vima(&made.word).is_open(),
                vima::Entry::Planted(_) => false,
            });
            let open_at_payshack = pair.payin.is_some_and(|slot| match self.payins.get(slot) {
                payshack::Entry::Made(made) => made.status().is_open(),
                payshack::Entry::Planted(_) => false,
            });
            if !open_at_vima && !open_at_payshack {
                continue;
            }
            if pair.payment.outcome == Outcome::Open {
                pair.payment.outcome =
                    if pair.payment.shade.is_multiple_of(4) { Outcome::Failed } else { Outcome::Success };
            }
            self.settle_payin(&pair, now);
            self.settle_operation(&pair, now);
            return Some(pair);
        }
        None
    }

    /// Refunds some successful pay-in that Vima knows as a success, and goes on knowing as one.
    pub(crate) fn refund_any(&mut self, now: Moment) -> Option<payshack::Slot> {
        let entries = self.payins.entries();
        let count = entries.len();
        let start = self.live.dice.random_range(0..count.max(1));
        let place = (0..count).map(|step| (start + step) % count).find(|place| {
            matches!(&entries[*place], payshack::Entry::Made(made)
                if made.client == Client::Game && made.status() == Status::Success)
        })?;
        let slot = payshack::Slot::try_from(place).ok()?;
        self.change_payin(slot, Outcome::Refunded.at_payshack(7), now);
        Some(slot)
    }

    /// Writes what both sides now say about a payment.
    pub(crate) fn write_pair(&self, o: &mut Object<'_>, pair: &Pair) {
        o.text("key", &pair.payment.key);
        if let Some(row) = pair.operation.and_then(|slot| self.operations.get(slot).row()) {
            o.object("vima", |side| row.write(side));
        }
        self.write_payin(o, pair.payin);
        if let Some(flaw) = pair.payment.flaw {
            o.quoted("flaw", format_args!("{flaw:?}"));
        }
    }

    pub(crate) fn write_payin(&self, o: &mut Object<'_>, slot: Option<payshack::Slot>) {
        if let Some(row) = slot.and_then(|slot| self.payins.get(slot).row()) {
            o.object("payshack", |side| row.write(side));
        }
    }

    /// The keys both sides are matched by: which side, which record.
    pub(crate) fn reconcilable(&self) -> Vec<(Arc<str>, Side, usize)> {
        let vima = self.operations.entries().iter().enumerate().filter_map(|(place, entry)| {
            let key = entry.reconcilable_key().filter(|_| self.operations.counts(place))?;
            Some((key, Side::Vima, place))
        });
        let payshack = self.payins.entries().iter().enumerate().filter_map(|(place, entry)| {
            let key = entry.reconcilable_key().filter(|_| self.payins.counts(place))?;
            Some((key, Side::PayShack, place))
        });
        vima.chain(payshack).collect()
    }
}

/// One of the two records of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    Vima,
    PayShack,
}
