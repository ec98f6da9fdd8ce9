//! The runs of a schedule.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::count::Count;
use crate::db::page::TimeCursor;
use crate::db::reports::runs;
use crate::domain::reports::schedule::ReportState;
use crate::operations::reports::ReportError;
use crate::operations::reports::manage::find_schedule;
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::path::Path;
use crate::web::http::query::Query;
use crate::web::http::schema::{Time, named_enum};
use crate::web::state::State;

named_enum!(ReportState, "ReportState", ReportState::ALL, "The state of a report.");

/// A report that was sent, or is being sent.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct ReportRun {
    /// The id of the run.
    id: Uuid,
    /// The time of the schedule that it is for, or when a person requested it: what it covers depends on this time.
    due_at: Time,
    /// The name of the key that requested it; null if the schedule did.
    requested_by: Option<String>,
    /// Whether it was delivered. For a webhook: handed over to its deliveries, which have their own states.
    state: ReportState,
    /// The job that creates and delivers it, see `GET /jobs/{id}`.
    job_id: Uuid,
    /// The export that was made for it, see `GET /exports/{id}`; null if it has none yet.
    export_id: Option<Uuid>,
    /// What was delivered: `delivery_id` of a webhook, the number of `recipients`, or the `file` in the object store; of a digest also
    /// whether it is `provisional`. Null until then.
    result: Option<Value>,
    /// Why it failed.
    error: Option<String>,
    /// When it was enqueued.
    created_at: Time,
    /// When it was delivered, or failed.
    finished_at: Option<Time>,
}

impl ReportRun {
    pub(super) fn new(run: runs::ReportRun, caller: &Caller) -> Self {
        Self {
            id: run.id,
            due_at: Time(run.due_at),
            requested_by: run.requested_by,
            state: run.state,
            job_id: run.job_id.0,
            export_id: run.export_id,
            result: run.result,
            error: run.error.map(|error| caller.pii_access().text(error)),
            created_at: Time(run.created_at),
            finished_at: run.finished_at.map(Time),
        }
    }
}

impl Example for ReportRun {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            due_at: Time(EXAMPLE_TIME),
            requested_by: None,
            state: ReportState::Delivered,
            job_id: EXAMPLE_ID,
            export_id: None,
            result: Some(json!({"recipients": 2, "provisional": false})),
            error: None,
            created_at: Time(EXAMPLE_TIME),
            finished_at: Some(Time(EXAMPLE_TIME)),
        }
    }
}

pub(in crate::web) struct ReportRunsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Reports")]
impl ReportRunsApi {
    /// List runs of a report schedule
    ///
    /// Those of the last 90 days, newest first. Requires the role operator.
    #[oai(path = "/report-schedules/:id/runs", method = "get", operation_id = "listReportRuns")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        /// The id of the schedule.
        id: Path<Uuid>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<ReportRun>>, Fails<ReportError>> {
        let schedule = find_schedule(&state.pool, &caller.0, id.0).await?;
        let listing = format!("report runs {}", schedule.id);
        let window: Window<TimeCursor> = state.cursors.window(&listing, &page.0)?;
        let db_window = window.to_db();
        let (found, total) =
            tokio::try_join!(runs::list(&state.pool, id.0, &db_window), runs::count(&state.pool, id.0))?;
        let count = Count { total, exact: true };
        let page = state.cursors.page(&listing, &window, count, found, runs::ReportRun::cursor);
        Ok(Json(page.map(|run| ReportRun::new(run, &caller))))
    }
}
