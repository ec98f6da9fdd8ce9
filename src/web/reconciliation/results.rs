//! What a run found that is not simply matched: what is pending and what cannot be matched is listed here alone, for it is
//! nobody's case.

use std::sync::Arc;

use chrono::NaiveDate;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use uuid::Uuid;

use super::runs::require_run;
use crate::db::reconciliation::results::{self, Finding, Window};
use crate::domain::reconciliation::{DiscrepancyType, MatchStatus};
use crate::domain::status::Status;
use crate::web::app::State;
use crate::web::auth::Viewer;
use crate::web::document::{EXAMPLE_DAY, EXAMPLE_ID, Tag};
use crate::web::error::Problem;
use crate::web::fields::{Fields, FromFields};
use crate::web::page::{self, Page, PageQuery};
use crate::web::path::Path;
use crate::web::query::Query;
use crate::web::schema::{FindingStatus, Money};

/// Which findings are listed. Lists take one value or several by commas.
#[derive(Debug, Clone, Default, Object)]
struct FindingsQuery {
    /// Of this kind.
    match_status: Vec<FindingStatus>,
}

impl FromFields for FindingsQuery {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { match_status: fields.list("match_status")? })
    }
}

/// What a run found of a payment that is not simply matched, or of a row too many.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct ReconciliationFinding {
    /// Its number.
    id: i64,
    /// The day.
    recon_date: NaiveDate,
    /// The key that both sides share; null where a row has none.
    client_operation_id: Option<String>,
    /// The how-manieth payment of the day under this key it is.
    occurrence: i32,
    /// What was found.
    match_status: MatchStatus,
    /// The type that it is counted by; null where it is no discrepancy.
    discrepancy_type: Option<DiscrepancyType>,
    /// Every type.
    types: Vec<DiscrepancyType>,
    /// The merchant's project.
    project: Option<String>,
    /// The payment of Vima's.
    vima_txn_id: Option<Uuid>,
    /// The payment of PayShack's.
    payshack_txn_id: Option<Uuid>,
    /// Vima's amount.
    vima_amount: Option<Money>,
    /// PayShack's: what was paid of a success, else what was asked for.
    payshack_amount: Option<Money>,
    /// Vima's less PayShack's; null where a side is missing or the currencies differ.
    amount_diff: Option<Money>,
    /// The currency of Vima's amount.
    vima_currency: Option<String>,
    /// The currency of PayShack's amount.
    payshack_currency: Option<String>,
    /// What became of it by Vima.
    vima_status: Option<Status>,
    /// What became of it by PayShack.
    payshack_status: Option<Status>,
    /// Why, enough to check it by hand.
    details: Value,
}

impl From<Finding> for ReconciliationFinding {
    fn from(finding: Finding) -> Self {
        let types = finding.types.0;
        Self {
            id: finding.id,
            recon_date: finding.recon_date,
            client_operation_id: finding.key,
            occurrence: finding.occurrence,
            match_status: finding.match_status,
            discrepancy_type: types.first().copied(),
            types,
            project: finding.project,
            vima_txn_id: finding.vima_txn_id,
            payshack_txn_id: finding.payshack_txn_id,
            vima_amount: finding.vima_amount.map(Money),
            payshack_amount: finding.payshack_amount.map(Money),
            amount_diff: finding.amount_diff.map(Money),
            vima_currency: finding.vima_currency,
            payshack_currency: finding.payshack_currency,
            vima_status: finding.vima_status.0,
            payshack_status: finding.payshack_status.0,
            details: finding.details,
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
            details: json!({"reason": "PayShack has not been read far enough"}),
        }
    }
}

/// The endpoints.
pub(super) struct ResultsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Reconciliation")]
impl ResultsApi {
    /// List what a run found
    ///
    /// Everything that is not simply matched, in the order in which it was written down. What a run found never changes; what
    /// people make of it are the discrepancies.
    #[oai(path = "/reconciliation/runs/:id/results", method = "get", operation_id = "listReconciliationResults")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        /// The run's id.
        id: Path<Uuid>,
        query: Query<FindingsQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<ReconciliationFinding>>, Problem> {
        let statuses: Vec<MatchStatus> = query.0.match_status.into_iter().map(|FindingStatus(status)| status).collect();
        let listing = format!("findings of {}", id.0);
        let asked: page::Window<i64> = state.cursors.window(&listing, &page.0)?;
        let window = Window { after: asked.after, offset: asked.offset(), limit: asked.wanted() };
        require_run(&state, id.0).await?;
        let (found, count) = tokio::try_join!(
            results::list(&state.pool, id.0, &statuses, &window),
            results::count(&state.pool, id.0, &statuses)
        )?;
        let page = state.cursors.page(&listing, &asked, count, found, |finding| finding.id);
        Ok(Json(page.map(ReconciliationFinding::from)))
    }
}
