//! The results of a run. Pending and unmatchable ones exist only here: they do not become discrepancies.

use std::mem::take;
use std::sync::Arc;

use chrono::NaiveDate;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use uuid::Uuid;

use super::facts::DiscrepancyFacts;
use super::runs::require_run;
use crate::db::reconciliation::results::{self, ReconciliationResult};
use crate::domain::reconciliation::MatchStatus;
use crate::domain::status::Status;
use crate::web::http::auth::Viewer;
use crate::web::http::fails::{Fails, NotFound};
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::{EXAMPLE_DAY, EXAMPLE_ID, Tag};
use crate::web::http::pagination;
use crate::web::http::pagination::{Page, PageQuery};
use crate::web::http::path::Path;
use crate::web::http::query::Query;
use crate::web::http::schema::{Money, named_enum};
use crate::web::state::State;

request_fields! {
    /// Which findings are listed. Lists take one value or several by commas.
    struct FindingsQuery {
        /// Of this kind.
        match_status: Vec<FindingStatus>,
    }
}

/// The result of a run for a payment that is not simply matched, or for a duplicate row.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct ReconciliationFinding {
    /// The number of the result.
    id: i64,
    /// The reconciled day, in `RECONCILIATION_TIMEZONE`.
    recon_date: NaiveDate,
    /// The key of the payment at both providers; null if the row has none.
    client_operation_id: Option<String>,
    /// The number of this payment among those of the day with the same key, from 1.
    occurrence: i32,
    /// The result.
    match_status: MatchStatus,
    #[oai(flatten)]
    facts: DiscrepancyFacts,
    /// What was compared and by which rules, enough to check the result by hand.
    details: Value,
}

impl From<ReconciliationResult> for ReconciliationFinding {
    fn from(mut finding: ReconciliationResult) -> Self {
        Self {
            id: finding.id,
            recon_date: finding.recon_date,
            client_operation_id: finding.key,
            occurrence: finding.occurrence,
            match_status: finding.facts.match_status,
            details: take(&mut finding.facts.details),
            facts: finding.facts.into(),
        }
    }
}

impl Example for ReconciliationFinding {
    fn example() -> Self {
        Self {
            id: 4711,
            recon_date: EXAMPLE_DAY,
            client_operation_id: Some("91G-000042".to_owned()),
            occurrence: 1,
            match_status: MatchStatus::Pending,
            facts: DiscrepancyFacts {
                discrepancy_type: None,
                types: vec![],
                project: Some("91game".to_owned()),
                vima_txn_id: Some(EXAMPLE_ID),
                payshack_txn_id: None,
                vima_amount: Some(Money(Decimal::new(154_250, 2))),
                payshack_amount: None,
                amount_diff: None,
                vima_currency: Some("INR".to_owned()),
                payshack_currency: None,
                vima_status: Some(Status::Success),
                payshack_status: None,
            },
            details: json!({"reason": "PayShack has not been read far enough"}),
        }
    }
}

pub(in crate::web) struct ResultsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Reconciliation")]
impl ResultsApi {
    /// List the results of a reconciliation run
    ///
    /// One result for each payment that is not simply matched, in the order in which they were stored. Results never
    /// change; people work on the discrepancies that follow from them, see `GET /reconciliation/discrepancies`.
    #[oai(path = "/reconciliation/runs/:id/results", method = "get", operation_id = "listReconciliationResults")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        /// The id of the run.
        id: Path<Uuid>,
        query: Query<FindingsQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<ReconciliationFinding>>, Fails<NotFound>> {
        let statuses: Vec<MatchStatus> = query.0.match_status.into_iter().map(|FindingStatus(status)| status).collect();
        let listing = format!("findings of {}", id.0);
        let asked: pagination::Window<i64> = state.cursors.window(&listing, &page.0)?;
        let window = asked.to_db();
        require_run(&state, id.0).await?;
        let (found, count) = tokio::try_join!(
            results::list(&state.pool, id.0, &statuses, &window),
            results::count(&state.pool, id.0, &statuses)
        )?;
        let page = state.cursors.page(&listing, &asked, count, found, |finding| finding.id);
        Ok(Json(page.map(ReconciliationFinding::from)))
    }
}

named_enum!(FindingStatus, "FindingStatus", FindingStatus::all(), "A match status other than `matched`.");

/// The result of a payment that a run records: every match status but `matched`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FindingStatus(MatchStatus);

impl FindingStatus {
    fn all() -> Vec<Self> {
        MatchStatus::ALL.into_iter().filter(|status| *status != MatchStatus::Matched).map(Self).collect()
    }

    fn as_str(self) -> &'static str {
        self.0.as_str()
    }
}
