//! The cases: listed, each shown, and moved by people, one by one or many at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;
use uuid::Uuid;

use super::discrepancy::Discrepancy;
use super::discrepancy_detail::DiscrepancyDetail;
use super::discrepancy_move::{DiscrepanciesMoved, DiscrepancyMove, DiscrepancyMoves};
use crate::db::discrepancies;
use crate::db::discrepancies::listing;
use crate::operations::update_discrepancies::move_cases;
use crate::web::filters::discrepancies::DiscrepancyQuery;
use crate::web::http::auth::{Operator, Viewer};
use crate::web::http::body::Body;
use crate::web::http::openapi::Tag;
use crate::web::http::pagination;
use crate::web::http::pagination::{Page, PageQuery};
use crate::web::http::path::Path;
use crate::web::http::problem::Problem;
use crate::web::http::query::Query;
use crate::web::state::State;

/// What cursors are signed for.
const LISTING: &str = "discrepancies";

/// The endpoints.
pub(in crate::web) struct DiscrepanciesApi;

#[OpenApi(prefix_path = "/api/v1/reconciliation", tag = "Tag::Reconciliation")]
impl DiscrepanciesApi {
    /// List discrepancies
    ///
    /// Of the newest day first. Each is a case that lives across runs: what it is about is as the last run found it, where
    /// it stands is up to people, and to runs that no longer find it.
    #[oai(path = "/discrepancies", method = "get", operation_id = "listDiscrepancies")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<DiscrepancyQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<Discrepancy>>, Problem> {
        let today = state.clock.now().with_timezone(&state.reconciliation.zone).date_naive();
        let filter = query.0.filter(today);
        let asked: pagination::Window<discrepancies::DiscrepancyCursor> = state.cursors.window(LISTING, &page.0)?;
        let window = asked.to_db();
        let (found, count) =
            tokio::try_join!(listing::list(&state.pool, &filter, &window), listing::count(&state.pool, &filter))?;
        let page = state.cursors.page(LISTING, &asked, count, found, discrepancies::Discrepancy::cursor);
        Ok(Json(page.map(|found| Discrepancy::shown(found, &state))))
    }

    /// Move many discrepancies
    ///
    /// All of them or none: an unknown id is a 404 and an illegal move a 409, which name the first few that are at fault.
    /// Otherwise as one is moved. Takes the role operator.
    #[oai(path = "/discrepancies", method = "patch", operation_id = "moveDiscrepancies")]
    async fn move_many(
        &self,
        state: Data<&Arc<State>>,
        operator: Operator,
        body: Body<DiscrepancyMoves>,
    ) -> Result<Json<DiscrepanciesMoved>, Problem> {
        let State { pool, clock, .. } = &***state;
        let ids = body.value.cases();
        let updated = move_cases(pool, &**clock, &ids, &body.value.asked.into(), &operator.0.name).await?;
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let found = listing::list_by_ids(pool, &ids).await?;
        let items = found.into_iter().map(|found| Discrepancy::shown(found, &state)).collect();
        Ok(Json(DiscrepanciesMoved { updated: updated as u64, items }))
    }

    /// Show a discrepancy
    ///
    /// With both payments side by side, as they are now, and what became of the case. Personal data is masked for a viewer.
    #[oai(path = "/discrepancies/:id", method = "get", operation_id = "getDiscrepancy")]
    async fn show(
        &self,
        state: Data<&Arc<State>>,
        viewer: Viewer,
        /// The case's id.
        id: Path<Uuid>,
    ) -> Result<Json<DiscrepancyDetail>, Problem> {
        Ok(Json(DiscrepancyDetail::get(&state, &viewer.0, id.0).await?))
    }

    /// Move a discrepancy
    ///
    /// Says where it is to stand, who is to look into it, and a note; what is left out stays. From open it goes to
    /// acknowledged, resolved or ignored, from acknowledged to open, resolved or ignored, and from resolved, ignored and
    /// `auto_resolved` to open; anything else is a 409. Every change is kept in the history, with who and when; what is so
    /// already changes nothing. `assignee` null or empty takes the case away from whoever had it. Takes the role operator.
    #[oai(path = "/discrepancies/:id", method = "patch", operation_id = "moveDiscrepancy")]
    async fn move_one(
        &self,
        state: Data<&Arc<State>>,
        operator: Operator,
        /// The case's id.
        id: Path<Uuid>,
        body: Body<DiscrepancyMove>,
    ) -> Result<Json<DiscrepancyDetail>, Problem> {
        let State { pool, clock, .. } = &***state;
        let ids = BTreeSet::from([id.0]);
        move_cases(pool, &**clock, &ids, &body.value.into(), &operator.0.name).await?;
        Ok(Json(DiscrepancyDetail::get(&state, &operator.0, id.0).await?))
    }
}
