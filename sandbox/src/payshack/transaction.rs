//! One pay-in or pay-out as `PayShack` holds it: only what cannot be derived from its number.

use std::sync::Arc;

use serde::Deserialize;

use crate::{
    chance::{Aspect, grain},
    moment::Moment,
    money::Amount,
    payment::{Outcome, Payment},
    status::{Status, Word},
    truth::Row,
};

use super::client::{Client, project_of};

/// The two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    Payin,
    Payout,
}

/// A made pay-in or pay-out.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    pub(crate) kind: Kind,
    /// `_id`
    pub(crate) number: u64,
    pub(crate) client: Client,
    pub(crate) created: Moment,
    pub(crate) modified: Moment,
    pub(crate) amount: Amount,
    /// What the payer paid; told of successes only.
    pub(crate) paid: Amount,
    pub(crate) order_id: Arc<str>,
    pub(crate) word: Word,
}

impl Transaction {
    /// The pay-in of a payment that has just arrived; it gets its number when it is added.
    pub(crate) fn begun(payment: &Payment) -> Self {
        let (amount, paid) = payment.amounts_at_payshack();
        Self {
            kind: Kind::Payin,
            number: 0,
            client: Client::Game,
            created: payment.arrives,
            modified: payment.arrives,
            amount,
            paid,
            order_id: Arc::clone(&payment.key),
            word: Outcome::Open.at_payshack(payment.shade),
        }
    }

    /// The same pay-in with what became of it.
    pub(crate) fn settled(mut self, payment: &Payment) -> Self {
        self.change(payment.outcome_at_payshack().at_payshack(payment.shade), payment.payin_settles);
        self
    }

    /// A second pay-in of the same order, some minutes later, that came to nothing.
    pub(crate) fn repeated(payment: &Payment) -> Self {
        let again = payment.arrives.plus(120_000 + i64::from(payment.shade) * 1000);
        let word = Outcome::Failed.at_payshack(payment.shade);
        Self { created: again, modified: again.plus(4000), word, ..Self::begun(payment) }
    }

    /// A payment of a client that does not go through Vima.
    pub(crate) fn of_client(client: Client, payment: &Payment) -> Self {
        let kind = if client == Client::Indigate { Kind::Payout } else { Kind::Payin };
        Self { kind, client, ..Self::begun(payment).settled(payment) }
    }

    pub(crate) fn change(&mut self, word: Word, at: Moment) {
        self.word = word;
        self.modified = at;
    }

    /// What the transaction looked like before it was last changed.
    pub(crate) fn earlier(&self) -> Self {
        Self { modified: self.created, word: Word::Borrowed("Initiated"), ..self.clone() }
    }

    pub(crate) fn status(&self) -> Status {
        Status::of_payshack(&self.word)
    }

    pub(crate) fn is_paid(&self) -> bool {
        matches!(self.status(), Status::Success | Status::Refunded)
    }

    /// `txnId`: six letters that look random before the number, so that it is unique.
    pub(crate) fn txn_id(&self) -> String {
        const LETTERS: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let mut rest = grain(u128::from(self.number), Aspect::Reference);
        let mut id = String::with_capacity(6);
        for _ in 0..6 {
            id.push(char::from(LETTERS[usize::try_from(rest % 36).unwrap_or_default()]));
            rest /= 36;
        }
        format!("{id}{:012}", self.number)
    }

    pub(crate) fn row(&self) -> Row {
        let told = self.kind == Kind::Payin && self.is_paid();
        Row {
            source_id: self.txn_id(),
            key: Some(Arc::clone(&self.order_id)),
            project: project_of(self.client.name()),
            amount: self.amount.decimal(),
            paid: told.then(|| self.paid.decimal()),
            currency: "INR".into(),
            status: self.status(),
            original_status: self.word.clone(),
            created: self.created,
            updated: Some(self.modified),
            version: None,
        }
    }
}
