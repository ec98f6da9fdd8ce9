//! One operation as Vima holds it: only what cannot be derived from its id.

use std::sync::Arc;

use crate::{
    moment::Moment,
    money::Amount,
    payment::{Outcome, Payment, Project},
    status::{Status, Word},
    truth::Row,
};

/// Vima's ids count milliseconds from here, in steps of 2^22.
const IDS_BEGIN_MS: i64 = 1_514_039_531_907;

/// The first id made at a moment, as Vima's look; wide ones lie beyond 64 bits.
pub(crate) fn first_id_at(moment: Moment, wide: bool) -> u128 {
    let elapsed = u128::try_from(moment.millis() - IDS_BEGIN_MS).unwrap_or_default();
    (elapsed << 22) + if wide { 1 << 64 } else { 0 }
}

/// A made operation.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) id: u128,
    pub(crate) create_id: u128,
    pub(crate) update_id: u128,
    pub(crate) created: Moment,
    pub(crate) modified: Moment,
    pub(crate) requested: Amount,
    /// Known once the operation is finished.
    pub(crate) completed: Option<Amount>,
    pub(crate) key: Arc<str>,
    pub(crate) project: Project,
    pub(crate) word: Word,
}

impl Operation {
    /// The operation of a payment just begun; it gets its ids when it is added.
    pub(crate) fn begun(payment: &Payment) -> Self {
        Self {
            id: 0,
            create_id: 0,
            update_id: 0,
            created: payment.created,
            modified: payment.created,
            requested: payment.requested,
            completed: None,
            key: Arc::clone(&payment.key),
            project: payment.project,
            word: Outcome::Open.at_vima(payment.shade),
        }
    }

    /// The same operation with what became of it.
    pub(crate) fn settled(mut self, payment: &Payment) -> Self {
        self.change(payment.outcome.at_vima(payment.shade), payment.paid, payment.operation_settles);
        self
    }

    /// A second operation under the same key, some minutes later, that came to nothing.
    pub(crate) fn repeated(payment: &Payment) -> Self {
        let again = payment.created.plus(120_000 + i64::from(payment.shade) * 1000);
        let mut operation = Self { created: again, modified: again, ..Self::begun(payment) };
        operation.change(Outcome::Failed.at_vima(payment.shade), payment.requested, again.plus(4000));
        operation
    }

    pub(crate) fn change(&mut self, word: Word, paid: Amount, at: Moment) {
        self.completed = match Status::of_vima(&word) {
            Status::Success => Some(paid),
            Status::Failed => Some(self.requested),
            _ => None,
        };
        self.word = word;
        self.modified = at;
    }

    /// What the operation looked like before it was last changed.
    pub(crate) fn earlier(&self) -> Self {
        Self {
            update_id: self.create_id.min(self.update_id),
            modified: self.created,
            completed: None,
            word: Word::Borrowed("in_process"),
            ..self.clone()
        }
    }

    pub(crate) fn row(&self) -> Row {
        let amount = self.completed.unwrap_or(self.requested);
        Row {
            source_id: self.id.to_string(),
            key: Some(Arc::clone(&self.key)),
            project: self.project.name().into(),
            amount: amount.decimal(),
            paid: None,
            currency: amount.currency.code().into(),
            status: Status::of_vima(&self.word),
            original_status: self.word.clone(),
            created: self.created,
            updated: Some(self.modified),
            version: Some(self.update_id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_look_like_vimas() {
        let moment = Moment::parse("2026-01-15T15:46:20.195Z").unwrap();
        assert!(first_id_at(moment, false).to_string().starts_with("106725092166"));
        assert!(first_id_at(moment, true) > u128::from(u64::MAX));
        assert_eq!(first_id_at(moment, true).to_string().len(), 20);
    }
}
