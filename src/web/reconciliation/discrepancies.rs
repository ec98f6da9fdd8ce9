//! Discrepancies: listed, shown, and updated by people, one by one or many at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;
use uuid::Uuid;

use super::discrepancy::Discrepancy;
use super::discrepancy_detail::DiscrepancyDetail;
use super::discrepancy_update::{DiscrepanciesUpdate, DiscrepancyUpdate, UpdatedDiscrepancies};
use crate::db::discrepancies;
use crate::db::discrepancies::listing;
use crate::domain::entity_tag::Precondition;
use crate::operations::audit::AuditContext;
use crate::operations::update_discrepancies::{UpdateError, update_discrepancies};
use crate::web::filters::discrepancies::DiscrepancyQuery;
use crate::web::http::auth::Caller;
use crate::web::http::body::Body;
use crate::web::http::entity_tag::{IfMatch, WithEtag};
use crate::web::http::fails::{Fails, Failure, NotFound};
use crate::web::http::openapi::Tag;
use crate::web::http::pagination;
use crate::web::http::pagination::{Page, PageQuery};
use crate::web::http::path::Path;
use crate::web::http::problem::{Problem, ProblemCode};
use crate::web::http::query::Query;
use crate::web::state::State;

pub(in crate::web) struct DiscrepanciesApi;

#[OpenApi(prefix_path = "/api/v1/reconciliation", tag = "Tag::Reconciliation")]
impl DiscrepanciesApi {
    /// List discrepancies
    ///
    /// The newest day first. A discrepancy lives across runs: its amounts and statuses are those of the last run that
    /// found it; its state is changed by people, and by runs that no longer find it (`auto_resolved`). A key with a
    /// project scope gets those whose payments are all of its projects.
    #[oai(path = "/discrepancies", method = "get", operation_id = "listDiscrepancies")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<DiscrepancyQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<Discrepancy>>, Fails> {
        let today = state.clock.now().with_timezone(&state.reconciliation.zone).date_naive();
        let filter = query.0.filter(today, &caller)?;
        let listing = caller.listing("discrepancies");
        let window: pagination::Window<discrepancies::DiscrepancyCursor> = state.cursors.window(&listing, &page.0)?;
        let db_window = window.to_db();
        let (found, count) =
            tokio::try_join!(listing::list(&state.pool, &filter, &db_window), listing::count(&state.pool, &filter))?;
        let page = state.cursors.page(&listing, &window, count, found, discrepancies::Discrepancy::cursor);
        let pii_access = caller.pii_access();
        Ok(Json(page.map(|found| Discrepancy::new(found, &state, pii_access))))
    }

    /// Update many discrepancies
    ///
    /// Makes the same change to up to 1,000 discrepancies: to all of them or to none. An unknown id is a 404, an
    /// illegal change of state a 409; both name the first few ids. The rules are those of `PATCH
    /// /reconciliation/discrepancies/{id}`.
    #[oai(path = "/discrepancies", method = "patch", operation_id = "moveDiscrepancies")]
    async fn update_many(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        caller: Caller,
        body: Body<DiscrepanciesUpdate>,
    ) -> Result<Json<UpdatedDiscrepancies>, Fails<UpdateError>> {
        let State { pool, clock, .. } = &***state;
        let ids = body.value.distinct_ids();
        let updated =
            update_discrepancies(pool, &**clock, &ids, &body.value.update.into(), &Precondition::None, &audit).await?;
        let ids: Vec<Uuid> = ids.into_iter().collect();
        let found = listing::list_by_ids(pool, &ids, &caller.0.scope).await?;
        let items = found.into_iter().map(|found| Discrepancy::new(found, &state, caller.pii_access())).collect();
        Ok(Json(UpdatedDiscrepancies { updated: updated as u64, items }))
    }

    /// Get a discrepancy
    ///
    /// Returns the discrepancy with both transactions as they are now and its history. Personal data is masked for a
    /// viewer.
    #[oai(path = "/discrepancies/:id", method = "get", operation_id = "getDiscrepancy")]
    async fn get(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        /// The id of the discrepancy.
        id: Path<Uuid>,
    ) -> Result<WithEtag<DiscrepancyDetail>, Fails<NotFound>> {
        Ok(WithEtag(DiscrepancyDetail::get(&state, &caller.0, id.0).await?))
    }

    /// Update a discrepancy
    ///
    /// Sets the state, the assignee or a note; absent fields stay as they are. `assignee` null or empty removes the
    /// assignee. The state can change from `open` to `acknowledged`, `resolved` or `ignored`; from `acknowledged` to
    /// `open`, `resolved` or `ignored`; and from `resolved`, `ignored` or `auto_resolved` to `open`. Any other change
    /// of state is a 409. Every change is recorded in the history with its author and time; values that are already set
    /// are not recorded again. `If-Match` with the `etag` of what was read prevents that a change by somebody else, or by a run, is
    /// overwritten.
    #[oai(path = "/discrepancies/:id", method = "patch", operation_id = "moveDiscrepancy")]
    async fn update(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The id of the discrepancy.
        id: Path<Uuid>,
        /// Update only if this is the current `ETag`, or one of several; otherwise 412.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: Body<DiscrepancyUpdate>,
    ) -> Result<WithEtag<DiscrepancyDetail>, Fails<UpdateError>> {
        let State { pool, clock, .. } = &***state;
        let ids = BTreeSet::from([id.0]);
        update_discrepancies(pool, &**clock, &ids, &body.value.into(), &if_match.0, &audit).await?;
        Ok(WithEtag(DiscrepancyDetail::get(&state, &audit.principal, id.0).await?))
    }
}

impl Failure for UpdateError {
    const CODES: &'static [ProblemCode] =
        &[ProblemCode::NotFound, ProblemCode::Conflict, ProblemCode::PreconditionFailed];

    fn into_problem(self) -> Problem {
        match self {
            Self::NotFound(_) => Problem::new(ProblemCode::NotFound, self.to_string()),
            Self::Illegal(_) => Problem::new(ProblemCode::Conflict, self.to_string()),
            Self::Precondition(error) => error.into(),
            Self::Db(error) => error.into(),
        }
    }
}
