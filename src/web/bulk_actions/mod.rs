//! Bulk actions: confirmed, shown, listed and stopped. What they change is previewed where it is listed.

mod schema;

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;
use uuid::Uuid;

use self::schema::{BulkAction, BulkConfirmation, SkippedItem};
use crate::db::bulk_actions::{self, batches};
use crate::db::count::Count;
use crate::db::page::TimeCursor;
use crate::domain::bulk_action;
use crate::operations::audit::AuditContext;
use crate::operations::bulk_actions::confirm::confirm_bulk_action;
use crate::operations::bulk_actions::stop::stop_bulk_action;
use crate::operations::bulk_actions::{BulkActionError, find_bulk_action};
use crate::web::http::accepted::Accepted;
use crate::web::http::auth::Caller;
use crate::web::http::body::Body;
use crate::web::http::fails::{Fails, Failure};
use crate::web::http::openapi::Tag;
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::path::Path;
use crate::web::http::problem::{Problem, ProblemCode};
use crate::web::http::query::Query;
use crate::web::state::State;

const LISTING: &str = "bulk actions";

pub(in crate::web) struct BulkActionsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::BulkActions")]
impl BulkActionsApi {
    /// Confirm a bulk action
    ///
    /// Starts the job that changes what a preview has counted, with the rights of the key, which must be the one that made the preview.
    /// What has changed since the preview is skipped and reported. Confirming the same token again returns the same bulk action. 404
    /// for a token of another key, 409 if it has expired. Requires the role operator.
    #[oai(path = "/bulk-actions", method = "post", operation_id = "confirmBulkAction")]
    async fn confirm(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        body: Body<BulkConfirmation>,
    ) -> Result<Accepted<BulkAction>, Fails<BulkActionError>> {
        let State { pool, redis, clock, .. } = &***state;
        let id = confirm_bulk_action(pool, redis, &body.value.token, &audit, clock.now()).await?;
        let action = find_bulk_action(pool, &audit.principal, id).await?;
        Ok(Accepted::at(format!("/api/v1/bulk-actions/{id}"), BulkAction::new(action, clock.now())))
    }

    /// List bulk actions
    ///
    /// Those that were confirmed by keys that see no more projects than the caller, newest first; they are kept for 30 days. Requires
    /// the role operator.
    #[oai(path = "/bulk-actions", method = "get", operation_id = "listBulkActions")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<BulkAction>>, Fails> {
        let (listing, scope, now) = (caller.listing(LISTING), &caller.0.scope, state.clock.now());
        let window: Window<TimeCursor> = state.cursors.window(&listing, &page.0)?;
        let db_window = window.to_db();
        let (found, total) = tokio::try_join!(
            bulk_actions::list(&state.pool, scope, &db_window),
            bulk_actions::count(&state.pool, scope)
        )?;
        let count = Count { total, exact: true };
        let page = state.cursors.page(&listing, &window, count, found, |action| (action.created_at, action.id));
        Ok(Json(page.map(|action| BulkAction::new(action, now))))
    }

    /// Get a bulk action
    ///
    /// With how many items were changed, were skipped and remain. Requires the role operator.
    #[oai(path = "/bulk-actions/:id", method = "get", operation_id = "getBulkAction")]
    async fn get(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        /// The id of the bulk action.
        id: Path<Uuid>,
    ) -> Result<Json<BulkAction>, Fails<BulkActionError>> {
        let action = find_bulk_action(&state.pool, &caller.0, id.0).await?;
        Ok(Json(BulkAction::new(action, state.clock.now())))
    }

    /// List skipped items of a bulk action
    ///
    /// What was left as it is, and why, ordered by id. Requires the role operator.
    #[oai(path = "/bulk-actions/:id/skipped", method = "get", operation_id = "listSkippedItems")]
    async fn list_skipped(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        /// The id of the bulk action.
        id: Path<Uuid>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<SkippedItem>>, Fails<BulkActionError>> {
        let listing = format!("{} {}", caller.listing(LISTING), id.0);
        let window: Window<Uuid> = state.cursors.window(&listing, &page.0)?;
        let action = find_bulk_action(&state.pool, &caller.0, id.0).await?;
        let found = batches::list_skipped(&state.pool, id.0, &window.to_db()).await?;
        let count = Count { total: action.counts.skipped, exact: true };
        let page = state.cursors.page(&listing, &window, count, found, |item: &bulk_action::SkippedItem| item.id);
        Ok(Json(page.map(SkippedItem::from)))
    }

    /// Stop a bulk action
    ///
    /// Cancels its job, which ends within two seconds, between two batches. What was changed stays changed. To continue, retry the job
    /// (`POST /jobs/{job_id}/retry`). 409 if it has ended. Requires the role operator.
    #[oai(path = "/bulk-actions/:id/stop", method = "post", operation_id = "stopBulkAction")]
    async fn stop(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The id of the bulk action.
        id: Path<Uuid>,
    ) -> Result<Accepted<BulkAction>, Fails<BulkActionError>> {
        let now = state.clock.now();
        let stopped = stop_bulk_action(&state.pool, id.0, &audit, now).await?;
        Ok(Accepted::at(format!("/api/v1/bulk-actions/{}", id.0), BulkAction::new(stopped, now)))
    }
}

impl Failure for BulkActionError {
    const CODES: &'static [ProblemCode] = &[ProblemCode::NotFound, ProblemCode::Conflict];

    fn into_problem(self) -> Problem {
        match self {
            Self::Db(error) => error.into(),
            Self::NotFound | Self::UnknownToken => Problem::new(ProblemCode::NotFound, self.to_string()),
            Self::Expired | Self::Ended => Problem::new(ProblemCode::Conflict, self.to_string()),
        }
    }
}
