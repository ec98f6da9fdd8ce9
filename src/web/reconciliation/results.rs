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
use super::runs::require_results;
use crate::db::reconciliation::results;
use crate::db::reconciliation::results::ResultFilter;
use crate::domain::reconciliation::{DiscrepancyType, MatchStatus};
use crate::domain::status::Status;
use crate::web::http::auth::Caller;
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
    /// Which results are listed.
    struct ResultsQuery {
        /// Filter by match status.
        match_status: Vec<ResultStatus>,
        /// Filter by type of discrepancy (the first of `types`).
        discrepancy_type: Vec<DiscrepancyType>,
    }
}

/// The result of a run for a payment that is not simply matched, or for a duplicate row.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct ReconciliationResult {
    /// The number of the result.
    id: i64,
    /// The reconciled day, in `RECONCILIATION_TIMEZONE`.
    recon_date: NaiveDate,
    /// The key of the payment at both providers; null if the row has none.
    client_operation_id: Option<String>,
    /// The number of this payment among those of the day with the same key, from 1.
    occurrence: i32,
    /// The outcome of the comparison.
    match_status: MatchStatus,
    #[oai(flatten)]
    facts: DiscrepancyFacts,
    /// What was compared and by which rules, enough to check the result by hand.
    details: Value,
}

impl From<results::ReconciliationResult> for ReconciliationResult {
    fn from(mut result: results::ReconciliationResult) -> Self {
        Self {
            id: result.id,
            recon_date: result.recon_date,
            client_operation_id: result.key,
            occurrence: result.occurrence,
            match_status: result.facts.match_status,
            details: take(&mut result.facts.details),
            facts: result.facts.into(),
        }
    }
}

impl Example for ReconciliationResult {
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
    /// change; people work on the discrepancies that follow from them, see `GET /reconciliation/discrepancies`. The results
    /// of a superseded run are deleted after 30 days; its counts stay. A key with a project scope gets those whose payments
    /// are all of its projects.
    #[oai(path = "/reconciliation/runs/:id/results", method = "get", operation_id = "listReconciliationResults")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        /// The id of the run.
        id: Path<Uuid>,
        query: Query<ResultsQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<ReconciliationResult>>, Fails<NotFound>> {
        let filter = ResultFilter {
            run_id: id.0,
            statuses: query.0.match_status.into_iter().map(|ResultStatus(status)| status).collect(),
            discrepancy_types: query.0.discrepancy_type,
            scope: caller.0.scope.clone(),
        };
        let listing = caller.listing(&format!("findings of {}", id.0));
        let window: pagination::Window<i64> = state.cursors.window(&listing, &page.0)?;
        let db_window = window.to_db();
        let (found, count) =
            tokio::try_join!(results::list(&state.pool, &filter, &db_window), results::count(&state.pool, &filter))?;
        // Afterwards, because a run is marked before its results are deleted: what was listed is complete.
        require_results(&state, id.0).await?;
        let page = state.cursors.page(&listing, &window, count, found, |result| result.id);
        Ok(Json(page.map(ReconciliationResult::from)))
    }
}

named_enum!(ResultStatus, "ResultStatus", ResultStatus::all(), "A match status other than `matched`.");

/// The match statuses that a run stores: all but `matched`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ResultStatus(MatchStatus);

impl ResultStatus {
    fn all() -> Vec<Self> {
        MatchStatus::ALL.into_iter().filter(|status| *status != MatchStatus::Matched).map(Self).collect()
    }

    fn as_str(self) -> &'static str {
        self.0.as_str()
    }
}
