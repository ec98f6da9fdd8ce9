//! Schedules of reports, and their runs.

mod request;
mod runs;
mod schema;

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;
use uuid::Uuid;

use self::request::ReportScheduleRequest;
use self::runs::ReportRun;
use self::schema::ReportSchedule;
use crate::db::count::Count;
use crate::db::page::TimeCursor;
use crate::db::reports::schedules;
use crate::operations::audit::AuditContext;
use crate::operations::reports::ReportError;
use crate::operations::reports::manage::{
    create_schedule, delete_schedule, find_schedule, request_run, update_schedule,
};
use crate::web::http::accepted::Accepted;
use crate::web::http::auth::Caller;
use crate::web::http::body::Body;
use crate::web::http::entity_tag::{CreatedWithEtag, IfMatch, WithEtag};
use crate::web::http::fails::{Fails, Failure};
use crate::web::http::openapi::Tag;
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::path::Path;
use crate::web::http::problem::{Problem, ProblemCode};
use crate::web::http::query::Query;
use crate::web::state::State;

const LISTING: &str = "report schedules";

pub(in crate::web) fn operations() -> impl OpenApi + 'static {
    (ReportSchedulesApi, runs::ReportRunsApi)
}

struct ReportSchedulesApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Reports")]
impl ReportSchedulesApi {
    /// List report schedules
    ///
    /// Newest first; those of keys that see no more projects than the caller. Requires the role operator.
    #[oai(path = "/report-schedules", method = "get", operation_id = "listReportSchedules")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<ReportSchedule>>, Fails> {
        let (listing, scope) = (caller.listing(LISTING), &caller.0.scope);
        let window: Window<TimeCursor> = state.cursors.window(&listing, &page.0)?;
        let db_window = window.to_db();
        let (found, total) =
            tokio::try_join!(schedules::list(&state.pool, scope, &db_window), schedules::count(&state.pool, scope))?;
        let count = Count { total, exact: true };
        let page = state.cursors.page(&listing, &window, count, found, |found| (found.created_at, found.id));
        Ok(Json(page.map(ReportSchedule::from)))
    }

    /// Create a report schedule
    ///
    /// The caller becomes its owner: the reports contain what this key may see, and stop when the key is revoked or expires. A
    /// digest is about the day before the time of its run, in the time zone of the schedule. An export is created as by `POST
    /// /exports`, with the days of `period`. 409 if there are 200 schedules. Requires the role operator.
    #[oai(path = "/report-schedules", method = "post", operation_id = "createReportSchedule")]
    async fn create(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        body: Body<ReportScheduleRequest>,
    ) -> Result<CreatedWithEtag<ReportSchedule>, Fails<ReportError>> {
        let properties = body.value.properties(&state, None, &audit.principal)?;
        let created = create_schedule(&state.pool, properties, &audit, state.clock.now()).await?;
        Ok(CreatedWithEtag(created.into()))
    }

    /// Get a report schedule
    ///
    /// With the time of its next run. Requires the role operator.
    #[oai(path = "/report-schedules/:id", method = "get", operation_id = "getReportSchedule")]
    async fn get(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        /// The id of the schedule.
        id: Path<Uuid>,
    ) -> Result<WithEtag<ReportSchedule>, Fails<ReportError>> {
        Ok(WithEtag(find_schedule(&state.pool, &caller.0, id.0).await?.into()))
    }

    /// Update a report schedule
    ///
    /// Changes the given fields. The owner stays, and the reports contain what the owner may see, unless `take_over` is true. A
    /// schedule that is enabled again does not make up for what it has missed. 409 if it would be enabled, but the key of its owner
    /// has ended. Requires the role operator, and at least that of the owner.
    #[oai(path = "/report-schedules/:id", method = "patch", operation_id = "updateReportSchedule")]
    async fn update(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The id of the schedule.
        id: Path<Uuid>,
        /// Update only if this is the current `ETag`, or one of several; otherwise 412.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: Body<ReportScheduleRequest>,
    ) -> Result<WithEtag<ReportSchedule>, Fails<ReportError>> {
        let (take_over, now) = (body.value.takes_over(), state.clock.now());
        let updated = update_schedule::<Problem>(
            &state.pool,
            id.0,
            take_over,
            &if_match.0,
            |properties, owner| body.value.properties(&state, Some(&properties), owner),
            &audit,
            now,
        );
        Ok(WithEtag(updated.await?.into()))
    }

    /// Delete a report schedule
    ///
    /// With its runs. Files in the object store stay. Returns the schedule as it was. Requires the role operator, and at least that of
    /// the owner.
    #[oai(path = "/report-schedules/:id", method = "delete", operation_id = "deleteReportSchedule")]
    async fn delete(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The id of the schedule.
        id: Path<Uuid>,
        /// Delete only if this is the current `ETag`, or one of several; otherwise 412.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
    ) -> Result<Json<ReportSchedule>, Fails<ReportError>> {
        Ok(Json(delete_schedule(&state.pool, id.0, &if_match.0, &audit, state.clock.now()).await?.into()))
    }

    /// Run a report schedule now
    ///
    /// Creates and delivers the report of this moment, also if the schedule is not enabled; its own times stay as they are. 409 if the
    /// key of its owner has ended. Requires the role operator, and at least that of the owner.
    #[oai(path = "/report-schedules/:id/run", method = "post", operation_id = "runReportSchedule")]
    async fn run(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        caller: Caller,
        /// The id of the schedule.
        id: Path<Uuid>,
    ) -> Result<Accepted<ReportRun>, Fails<ReportError>> {
        let State { pool, redis, clock, .. } = &***state;
        let run = request_run(pool, redis, id.0, &audit, clock.now()).await?;
        Ok(Accepted::at(format!("/api/v1/report-schedules/{}/runs", id.0), ReportRun::new(run, &caller)))
    }
}

impl Failure for ReportError {
    const CODES: &'static [ProblemCode] =
        &[ProblemCode::NotFound, ProblemCode::Conflict, ProblemCode::PreconditionFailed];

    fn into_problem(self) -> Problem {
        match self {
            Self::Db(error) => error.into(),
            Self::Precondition(error) => error.into(),
            Self::NotFound => Problem::new(ProblemCode::NotFound, self.to_string()),
            Self::OwnerHasHigherRole => Problem::new(ProblemCode::Forbidden, self.to_string()),
            Self::NoWebhook => Problem::field("webhook_id", self.to_string()),
            Self::TooMany(_) | Self::OwnerEnded(_) => Problem::new(ProblemCode::Conflict, self.to_string()),
        }
    }
}
