//! What the last reconciliation found of a payment, as the payment shows it.

use chrono::NaiveDate;
use poem_openapi::Object;
use poem_openapi::types::Example;
use serde_json::Value;
use uuid::Uuid;

use crate::domain::discrepancy::DiscrepancyState;
use crate::domain::reconciliation::{DiscrepancyType, MatchStatus};
use crate::operations::find_counterpart::LastFinding;
use crate::web::http::openapi::{EXAMPLE_DAY, EXAMPLE_ID, EXAMPLE_TIME};
use crate::web::http::schema::Time;

/// What the last run that looked at a payment found of it.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(in crate::web) struct TransactionReconciliation {
    /// The run.
    run_id: Uuid,
    /// Its day, in `RECONCILIATION_TIMEZONE`: that of Vima's payment, where there are both.
    recon_date: NaiveDate,
    /// The time at which it judged.
    run_at: Time,
    /// What was found.
    match_status: MatchStatus,
    /// The first of `types`; null where the providers agree.
    discrepancy_type: Option<DiscrepancyType>,
    /// In what the providers disagree.
    types: Vec<DiscrepancyType>,
    /// The other provider's payment that it was held against.
    counterpart_id: Option<Uuid>,
    /// The case about it, where one was opened, be it closed since.
    discrepancy_id: Option<Uuid>,
    /// Where that case stands.
    state: Option<DiscrepancyState>,
    /// Why, enough to check it by hand; null where the providers agree.
    details: Option<Value>,
    /// Whether the payment or its counterpart has changed since the run judged.
    changed_since: bool,
}

impl TransactionReconciliation {
    /// What is known of `payment`.
    pub(in crate::web) fn of(payment: Uuid, last_finding: LastFinding) -> Self {
        let LastFinding { finding, discrepancy, changed_since } = last_finding;
        Self {
            run_id: finding.run_id,
            recon_date: finding.recon_date,
            run_at: Time(finding.as_of),
            match_status: finding.match_status,
            discrepancy_type: finding.types.first().copied(),
            counterpart_id: finding.counterpart_of(payment),
            types: finding.types,
            discrepancy_id: discrepancy.map(|discrepancy| discrepancy.id),
            state: discrepancy.map(|discrepancy| discrepancy.state),
            details: finding.details,
            changed_since,
        }
    }
}

impl Example for TransactionReconciliation {
    fn example() -> Self {
        Self {
            run_id: EXAMPLE_ID,
            recon_date: EXAMPLE_DAY,
            run_at: Time(EXAMPLE_TIME),
            match_status: MatchStatus::Matched,
            discrepancy_type: None,
            types: vec![],
            counterpart_id: Some(EXAMPLE_ID),
            discrepancy_id: None,
            state: None,
            details: None,
            changed_since: false,
        }
    }
}
