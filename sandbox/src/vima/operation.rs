//! A generated operation: only the fields that cannot be derived from its id.

use std::sync::Arc;

use crate::{
    ground_truth::NormalizedRecord,
    money::Amount,
    payment::{Outcome, Payment, Project},
    status::{OriginalStatus, Status},
    timestamp::Timestamp,
};

/// Vima's ids are milliseconds since this time, multiplied by 2^22.
const ID_EPOCH_MS: i64 = 1_514_039_531_907;

/// The smallest id of a timestamp. Wide ids exceed 64 bits.
pub(crate) fn first_id_at(timestamp: Timestamp, wide: bool) -> u128 {
    let elapsed = u128::try_from(timestamp.millis() - ID_EPOCH_MS).unwrap_or_default();
    (elapsed << 22) + if wide { 1 << 64 } else { 0 }
}

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) id: u128,
    pub(crate) create_id: u128,
    pub(crate) update_id: u128,
    pub(crate) created: Timestamp,
    pub(crate) modified: Timestamp,
    pub(crate) requested: Amount,
    /// `None` until the operation is finished.
    pub(crate) completed: Option<Amount>,
    pub(crate) key: Arc<str>,
    pub(crate) project: Project,
    pub(crate) original_status: OriginalStatus,
}

impl Operation {
    /// The open operation of a payment. The store assigns the ids.
    pub(crate) fn new(payment: &Payment) -> Self {
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
            original_status: Outcome::Open.vima_status(payment.variant),
        }
    }

    pub(crate) fn settled(mut self, payment: &Payment) -> Self {
        self.change(payment.outcome.vima_status(payment.variant), payment.paid, payment.vima_settled_at);
        self
    }

    /// A second, failed operation with the same key some minutes later.
    pub(crate) fn duplicate(payment: &Payment) -> Self {
        let created = payment.created.plus_millis(120_000 + i64::from(payment.variant) * 1000);
        let mut operation = Self { created, modified: created, ..Self::new(payment) };
        operation.change(Outcome::Failed.vima_status(payment.variant), payment.requested, created.plus_millis(4000));
        operation
    }

    pub(crate) fn change(&mut self, original_status: OriginalStatus, paid: Amount, at: Timestamp) {
        self.completed = match Status::from_vima(&original_status) {
            Status::Success => Some(paid),
            Status::Failed => Some(self.requested),
            _ => None,
        };
        self.original_status = original_status;
        self.modified = at;
    }

    /// The operation as created, which faults serve as a stale version.
    pub(crate) fn previous_version(&self) -> Self {
        Self {
            update_id: self.create_id.min(self.update_id),
            modified: self.created,
            completed: None,
            original_status: OriginalStatus::Borrowed("in_process"),
            ..self.clone()
        }
    }

    pub(crate) fn normalized(&self) -> NormalizedRecord {
        let amount = self.completed.unwrap_or(self.requested);
        NormalizedRecord {
            source_id: self.id.to_string(),
            key: Some(Arc::clone(&self.key)),
            project: self.project.into_str().into(),
            amount: amount.decimal(),
            paid: None,
            currency: amount.currency.into_str().into(),
            status: Status::from_vima(&self.original_status),
            original_status: self.original_status.clone(),
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
    fn ids_have_vimas_format() {
        let timestamp = Timestamp::parse("2026-01-15T15:46:20.195Z").unwrap();
        assert!(first_id_at(timestamp, false).to_string().starts_with("106725092166"));
        assert!(first_id_at(timestamp, true) > u128::from(u64::MAX));
        assert_eq!(first_id_at(timestamp, true).to_string().len(), 20);
    }
}
