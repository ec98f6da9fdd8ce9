//! What was found of a payment, as a finding of a run and the case about it tell it alike.

use poem_openapi::Object;
use uuid::Uuid;

use crate::db::reconciliation::facts;
use crate::domain::reconciliation::DiscrepancyType;
use crate::domain::status::Status;
use crate::web::http::schema::Money;

/// What both sides tell of a payment, and in what they disagree.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct DiscrepancyFacts {
    /// The first of `types`, by which it is counted; null where it is no discrepancy.
    pub(in crate::web) discrepancy_type: Option<DiscrepancyType>,
    /// In what the providers disagree.
    pub(in crate::web) types: Vec<DiscrepancyType>,
    /// The merchant's project.
    pub(in crate::web) project: Option<String>,
    /// Vima's payment, the id under which it stands here.
    pub(in crate::web) vima_txn_id: Option<Uuid>,
    /// PayShack's payment, the id under which it stands here.
    pub(in crate::web) payshack_txn_id: Option<Uuid>,
    /// Vima's amount.
    pub(in crate::web) vima_amount: Option<Money>,
    /// What PayShack says was paid where that is a success, else what was asked for.
    pub(in crate::web) payshack_amount: Option<Money>,
    /// Vima's amount less PayShack's; null where one is missing or the currencies differ.
    pub(in crate::web) amount_diff: Option<Money>,
    /// The currency of Vima's amount.
    pub(in crate::web) vima_currency: Option<String>,
    /// The currency of PayShack's amount.
    pub(in crate::web) payshack_currency: Option<String>,
    /// What became of the payment, as Vima tells it.
    pub(in crate::web) vima_status: Option<Status>,
    /// What became of the payment, as PayShack tells it.
    pub(in crate::web) payshack_status: Option<Status>,
}

impl From<facts::Facts> for DiscrepancyFacts {
    fn from(facts: facts::Facts) -> Self {
        Self {
            discrepancy_type: facts.types.0.first().copied(),
            types: facts.types.0,
            project: facts.project,
            vima_txn_id: facts.vima_txn_id,
            payshack_txn_id: facts.payshack_txn_id,
            vima_amount: facts.vima_amount.map(Money),
            payshack_amount: facts.payshack_amount.map(Money),
            amount_diff: facts.amount_diff.map(Money),
            vima_currency: facts.vima_currency,
            payshack_currency: facts.payshack_currency,
            vima_status: facts.vima_status.0,
            payshack_status: facts.payshack_status.0,
        }
    }
}
