//! The result of a transaction's last reconciliation.

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

/// The result of a transaction's last reconciliation.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(in crate::web) struct TransactionReconciliation {
    /// The id of the reconciliation run.
    run_id: Uuid,
    /// The day that was reconciled, in `RECONCILIATION_TIMEZONE`: for a matched pair, that of the Vima transaction.
    recon_date: NaiveDate,
    /// When the run compared the transactions.
    run_at: Time,
    /// The result.
    match_status: MatchStatus,
    /// The first of `types`; null if the providers agree.
    discrepancy_type: Option<DiscrepancyType>,
    /// What the providers disagree on.
    types: Vec<DiscrepancyType>,
    /// The id of the other provider's transaction; null if none was found.
    counterpart_id: Option<Uuid>,
    /// The id of the discrepancy, open or closed; null if none was opened.
    discrepancy_id: Option<Uuid>,
    /// The state of the discrepancy.
    state: Option<DiscrepancyState>,
    /// The values that were compared, in enough detail to verify the result; null if the providers agree.
    details: Option<Value>,
    /// Whether the transaction or its counterpart has changed since the run.
    changed_since: bool,
}

impl TransactionReconciliation {
    pub(super) fn new(transaction_id: Uuid, last_finding: LastFinding) -> Self {
        let LastFinding { finding, discrepancy, changed_since } = last_finding;
        Self {
            run_id: finding.run_id,
            recon_date: finding.recon_date,
            run_at: Time(finding.as_of),
            match_status: finding.match_status,
            discrepancy_type: finding.types.first().copied(),
            counterpart_id: finding.counterpart_of(transaction_id),
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
