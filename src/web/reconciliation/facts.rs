//! The fields that a result of a run and the discrepancy about it share.

use poem_openapi::Object;
use uuid::Uuid;

use crate::db::reconciliation::facts;
use crate::domain::reconciliation::DiscrepancyType;
use crate::domain::status::Status;
use crate::web::http::schema::Money;

/// A payment at both providers, and how it differs.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct DiscrepancyFacts {
    /// The first of `types`, by which it is counted; null if the providers do not disagree.
    pub(in crate::web) discrepancy_type: Option<DiscrepancyType>,
    /// What differs between the providers.
    pub(in crate::web) types: Vec<DiscrepancyType>,
    /// The project that the payment belongs to.
    pub(in crate::web) project: Option<String>,
    /// The `id` of Vima's transaction, see `GET /transactions/{id}`.
    pub(in crate::web) vima_txn_id: Option<Uuid>,
    /// The `id` of PayShack's transaction, see `GET /transactions/{id}`.
    pub(in crate::web) payshack_txn_id: Option<Uuid>,
    /// Vima's amount.
    pub(in crate::web) vima_amount: Option<Money>,
    /// PayShack's amount: the paid amount of a success, otherwise the requested amount.
    pub(in crate::web) payshack_amount: Option<Money>,
    /// Vima's amount minus PayShack's, signed; null if one is missing or the currencies differ.
    pub(in crate::web) amount_diff: Option<Money>,
    /// The currency of Vima's amount.
    pub(in crate::web) vima_currency: Option<String>,
    /// The currency of PayShack's amount.
    pub(in crate::web) payshack_currency: Option<String>,
    /// The status at Vima.
    pub(in crate::web) vima_status: Option<Status>,
    /// The status at PayShack.
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
