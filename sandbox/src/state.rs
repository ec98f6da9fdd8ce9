//! The records of both providers, and how they change.

use std::sync::Arc;

use rand::Rng;

use crate::{
    json_writer::ObjectWriter,
    live_stream::{LiveStream, PaymentRecords, PaymentStep},
    payment::{Outcome, Payment, SeededDiscrepancy},
    payshack::{self, Client, Metadata, Transaction, TransactionKind, TransactionStore},
    provider::Provider,
    status::{OriginalStatus, Status},
    timestamp::Timestamp,
    vima::{self, Operation, OperationStore},
};

/// One in this many successful payments is refunded later.
const REFUND_ONE_IN: u8 = 64;

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) operations: OperationStore,
    pub(crate) payins: TransactionStore,
    pub(crate) payouts: TransactionStore,
    pub(crate) live: LiveStream,
    pub(crate) metadata: Metadata,
}

impl State {
    /// Creates a random payment and its Vima operation.
    pub(crate) fn start_payment(&mut self, now: Timestamp) -> PaymentRecords {
        let payment = Payment::random(&mut self.live.rng, now, self.live.discrepancy_share);
        let operation =
            (!payment.has(SeededDiscrepancy::MissingOnVima)).then(|| self.operations.add(Operation::new(&payment)));
        PaymentRecords { operation, payin: None, payment }
    }

    /// Adds the PayShack record of a payment, if it has one.
    pub(crate) fn add_payin(&mut self, records: &mut PaymentRecords, now: Timestamp) {
        let payment = &records.payment;
        if payment.goes_through_payshack() && !payment.has(SeededDiscrepancy::MissingOnPayShack) {
            let payin = Transaction { created: now, modified: now, ..Transaction::new(payment) };
            records.payin = Some(self.payins.add(payin));
        }
    }

    /// Adds the second record of a payment with a seeded duplicate.
    pub(crate) fn add_duplicate(&mut self, payment: &Payment, now: Timestamp) {
        if payment.has(SeededDiscrepancy::TwiceOnVima) {
            self.operations.add(Operation { created: now, modified: now, ..Operation::duplicate(payment) });
        }
        if payment.has(SeededDiscrepancy::TwiceOnPayShack) {
            self.payins.add(Transaction { created: now, modified: now, ..Transaction::duplicate(payment) });
        }
    }

    pub(crate) fn settle_operation(&mut self, records: &PaymentRecords, now: Timestamp) {
        let Some(slot) = records.operation else { return };
        let payment = &records.payment;
        let status = payment.outcome.vima_status(payment.variant);
        // Only fixtures can reject a change; these are generated records.
        let _ = self.operations.change(slot, status, Some(payment.paid), now);
    }

    pub(crate) fn settle_payin(&mut self, records: &PaymentRecords, now: Timestamp) {
        if let Some(slot) = records.payin {
            self.change_payin(slot, records.payment.payshack_outcome().payshack_status(records.payment.variant), now);
        }
    }

    fn change_payin(&mut self, slot: payshack::Slot, status: OriginalStatus, now: Timestamp) {
        let _ = self.payins.change(slot, status, None, now);
    }

    pub(crate) fn apply(&mut self, step: PaymentStep, now: Timestamp) {
        match step {
            PaymentStep::AddPayin(mut records) => {
                self.add_payin(&mut records, now);
                self.live.schedule_outcome(records);
            }
            PaymentStep::AddDuplicate(payment) => self.add_duplicate(&payment, now),
            PaymentStep::SettlePayin(records) => {
                self.settle_payin(&records, now);
                if let (Some(slot), true) = (records.payin, records.payment.variant.is_multiple_of(REFUND_ONE_IN)) {
                    self.live.schedule_refund(slot, now);
                }
            }
            PaymentStep::SettleOperation(records) => self.settle_operation(&records, now),
            PaymentStep::Refund(slot) => {
                if let payshack::Entry::Generated(payin) = self.payins.get(slot)
                    && payin.status() == Status::Success
                {
                    self.change_payin(slot, Outcome::Refunded.payshack_status(7), now);
                }
            }
        }
    }

    /// Settles the oldest open payment at both providers.
    pub(crate) fn settle_oldest(&mut self, now: Timestamp) -> Option<PaymentRecords> {
        while let Some(mut records) = self.live.open.pop_front() {
            let open_at_vima = records.operation.is_some_and(|slot| match self.operations.get(slot) {
                vima::Entry::Generated(operation) => Status::from_vima(&operation.original_status).is_open(),
                vima::Entry::Fixture(_) => false,
            });
            let open_at_payshack = records.payin.is_some_and(|slot| match self.payins.get(slot) {
                payshack::Entry::Generated(payin) => payin.status().is_open(),
                payshack::Entry::Fixture(_) => false,
            });
            if !open_at_vima && !open_at_payshack {
                continue;
            }
            if records.payment.outcome == Outcome::Open {
                records.payment.outcome =
                    if records.payment.variant.is_multiple_of(4) { Outcome::Failed } else { Outcome::Success };
            }
            self.settle_payin(&records, now);
            self.settle_operation(&records, now);
            return Some(records);
        }
        None
    }

    /// Refunds a random successful pay-in of 91game. Its Vima operation stays successful.
    pub(crate) fn refund_random(&mut self, now: Timestamp) -> Option<payshack::Slot> {
        let entries = self.payins.entries();
        let count = entries.len();
        let start = self.live.rng.random_range(0..count.max(1));
        let index = (0..count).map(|step| (start + step) % count).find(|index| {
            matches!(&entries[*index], payshack::Entry::Generated(payin)
                if payin.client == Client::Game && payin.status() == Status::Success)
        })?;
        let slot = payshack::Slot::try_from(index).ok()?;
        self.change_payin(slot, Outcome::Refunded.payshack_status(7), now);
        Some(slot)
    }

    /// Writes the current records of a payment at both providers.
    pub(crate) fn write_records(&self, o: &mut ObjectWriter<'_>, records: &PaymentRecords) {
        o.text("key", &records.payment.key);
        if let Some(operation) = records.operation.and_then(|slot| self.operations.get(slot).normalized()) {
            o.object("vima", |o| operation.write(o));
        }
        self.write_payin(o, records.payin);
        if let Some(discrepancy) = records.payment.discrepancy {
            o.quoted("flaw", format_args!("{discrepancy:?}"));
        }
    }

    pub(crate) fn write_payin(&self, o: &mut ObjectWriter<'_>, slot: Option<payshack::Slot>) {
        if let Some(payin) = slot.and_then(|slot| self.payins.get(slot).normalized()) {
            o.object("payshack", |o| payin.write(o));
        }
    }

    /// The newest version of every record that is reconciled: its key, provider and index.
    pub(crate) fn reconcilable(&self) -> Vec<(Arc<str>, Provider, usize)> {
        let vima = self.operations.entries().iter().enumerate().filter_map(|(index, entry)| {
            let key = entry.reconcilable_key().filter(|_| self.operations.is_newest_version(index))?;
            Some((key, Provider::Vima, index))
        });
        let payshack = self.payins.entries().iter().enumerate().filter_map(|(index, entry)| {
            let key = entry.reconcilable_key().filter(|_| self.payins.is_newest_version(index))?;
            Some((key, Provider::PayShack, index))
        });
        vima.chain(payshack).collect()
    }

    pub(crate) fn transactions(&self, kind: TransactionKind) -> &TransactionStore {
        match kind {
            TransactionKind::Payin => &self.payins,
            TransactionKind::Payout => &self.payouts,
        }
    }

    pub(crate) fn transactions_mut(&mut self, kind: TransactionKind) -> &mut TransactionStore {
        match kind {
            TransactionKind::Payin => &mut self.payins,
            TransactionKind::Payout => &mut self.payouts,
        }
    }
}
