//! A generated pay-in or pay-out: only the fields that cannot be derived from its number.

use std::sync::Arc;

use serde::Deserialize;

use crate::{
    ground_truth::NormalizedRecord,
    id_hash::{Salt, hash},
    money::Amount,
    payment::{Outcome, Payment},
    status::{OriginalStatus, Status},
    timestamp::Timestamp,
};

use super::client::{Client, project_of};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TransactionKind {
    Payin,
    Payout,
}

#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) kind: TransactionKind,
    /// `_id`
    pub(crate) number: u64,
    pub(crate) client: Client,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
    pub(crate) amount: Amount,
    /// Reported only for successful and refunded pay-ins.
    pub(crate) paid: Amount,
    pub(crate) order_id: Arc<str>,
    pub(crate) original_status: OriginalStatus,
}

impl Transaction {
    /// The open pay-in of a payment. The store assigns the number.
    pub(crate) fn new(payment: &Payment) -> Self {
        let (amount, paid) = payment.payshack_amounts();
        Self {
            kind: TransactionKind::Payin,
            number: 0,
            client: Client::Game,
            created: payment.payshack_created_at,
            modified: payment.payshack_created_at,
            amount,
            paid,
            order_id: Arc::clone(&payment.key),
            original_status: Outcome::Open.payshack_status(payment.variant),
        }
    }

    pub(crate) fn settled(mut self, payment: &Payment) -> Self {
        self.change(payment.payshack_outcome().payshack_status(payment.variant), payment.payshack_settled_at);
        self
    }

    /// A second, failed pay-in of the same order some minutes later.
    pub(crate) fn duplicate(payment: &Payment) -> Self {
        let created = payment.payshack_created_at.plus_millis(120_000 + i64::from(payment.variant) * 1000);
        let original_status = Outcome::Failed.payshack_status(payment.variant);
        Self { created, modified: created.plus_millis(4000), original_status, ..Self::new(payment) }
    }

    /// A transaction of a client whose payments do not go through Vima.
    pub(crate) fn for_client(client: Client, payment: &Payment) -> Self {
        let kind = if client == Client::Indigate { TransactionKind::Payout } else { TransactionKind::Payin };
        Self { kind, client, ..Self::new(payment).settled(payment) }
    }

    pub(crate) fn change(&mut self, original_status: OriginalStatus, at: Timestamp) {
        self.original_status = original_status;
        self.modified = at;
    }

    /// The transaction as created, which faults serve as a stale version.
    pub(crate) fn previous_version(&self) -> Self {
        Self { modified: self.created, original_status: OriginalStatus::Borrowed("Initiated"), ..self.clone() }
    }

    pub(crate) fn status(&self) -> Status {
        Status::from_payshack(&self.original_status)
    }

    pub(crate) fn is_paid(&self) -> bool {
        matches!(self.status(), Status::Success | Status::Refunded)
    }

    /// `txnId`: six pseudo-random letters or digits, then the number, which makes it unique.
    pub(crate) fn txn_id(&self) -> String {
        const LETTERS: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let mut hash = hash(u128::from(self.number), Salt::Reference);
        let mut id = String::with_capacity(6);
        for _ in 0..6 {
            id.push(char::from(LETTERS[usize::try_from(hash % 36).unwrap_or_default()]));
            hash /= 36;
        }
        format!("{id}{:012}", self.number)
    }

    pub(crate) fn normalized(&self) -> NormalizedRecord {
        let reports_paid = self.kind == TransactionKind::Payin && self.is_paid();
        NormalizedRecord {
            source_id: self.txn_id(),
            key: Some(Arc::clone(&self.order_id)),
            project: project_of(self.client.name()),
            amount: self.amount.decimal(),
            paid: reports_paid.then(|| self.paid.decimal()),
            currency: "INR".into(),
            status: self.status(),
            original_status: self.original_status.clone(),
            created: self.created,
            updated: Some(self.modified),
            version: None,
        }
    }
}
