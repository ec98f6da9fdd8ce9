//! Jobs: listed, shown with their attempts, cancelled and retried.

pub(in crate::web) mod bulk_actions;
pub(crate) mod detail;
pub(crate) mod query;
pub(crate) mod queue_history;
pub(crate) mod queues;
pub(crate) mod schedule;
pub(crate) mod workers;

use std::sync::Arc;

use poem::Request;
use poem::web::Data;
use poem_openapi::param::Header;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use self::detail::{Job, JobDetail};
use self::query::JobQuery;
use super::http::accepted::Accepted;
use super::http::auth::Caller;
use super::http::fails::{Fails, Failure, NotFound};
use super::http::idempotency::idempotent;
use super::http::openapi::{EXAMPLE_ID, Tag};
use super::http::pagination;
use super::http::pagination::{Page, PageQuery};
use super::http::path::Path;
use super::http::problem::{Problem, ProblemCode};
use super::http::query::Query;
use super::state::State;
use crate::db::jobs::listing::{self, JobWindow};
use crate::db::jobs::waiting;
use crate::db::page::TimeCursor;
use crate::domain::job::{JobId, JobKind, JobState, KINDS};
use crate::operations::audit::AuditContext;
use crate::operations::cancel_job::{CancelError, cancel_job};
use crate::operations::retry_job::{RetriedJob, RetryError, RetryMode, retry_job};

/// The job that was cancelled or retried.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct JobMoved {
    /// The id of the job; after a retry, it can be that of a new job.
    job_id: Uuid,
    /// The state of the job.
    state: JobState,
    /// What happened, in English.
    message: String,
}

impl JobMoved {
    fn cancelled(job_id: JobId, state: JobState) -> Self {
        let message = match state {
            JobState::Running => "the job is running: its worker stops it within two seconds",
            _ => "the job is cancelled",
        };
        Self { job_id: job_id.0, state, message: message.to_owned() }
    }
}

impl From<RetriedJob> for JobMoved {
    fn from(retried: RetriedJob) -> Self {
        let message = match retried.mode {
            RetryMode::NewJob => "a new job was created with the same arguments",
            RetryMode::Joined => "a job with the same arguments is already queued or running",
            RetryMode::BroughtForward => "the job is queued now instead of at its due time",
        };
        Self { job_id: retried.job_id.0, state: retried.state, message: message.to_owned() }
    }
}

impl Example for JobMoved {
    fn example() -> Self {
        Self::from(RetriedJob { job_id: JobId(EXAMPLE_ID), state: JobState::Queued, mode: RetryMode::NewJob })
    }
}

pub(in crate::web) struct JobsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Jobs")]
impl JobsApi {
    /// List jobs
    ///
    /// Jobs, by default the newest first. List filters take one value or several, comma-separated. Jobs that succeeded are deleted
    /// after a week, failed ones after a month.
    #[oai(path = "/jobs", method = "get", operation_id = "listJobs")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<JobQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<Job>>, Fails> {
        let Query(query) = query;
        let (sort_by, order) = (query.sort_by.unwrap_or_default(), query.order.unwrap_or_default());
        let filter = query.filter(caller.0.role)?;
        let listing = format!("jobs {} {}", sort_by.as_str(), order.as_str());
        let asked: pagination::Window<TimeCursor> = state.cursors.window(&listing, &page.0)?;
        let window = JobWindow { sort_by, order, page: asked.to_db() };
        let (jobs, count) = tokio::try_join!(
            listing::list(&state.pool, &filter, &window),
            listing::count(&state.pool, &filter, sort_by)
        )?;
        let page = state.cursors.page(&listing, &asked, count, jobs, |job| job.cursor(sort_by));
        let pii_access = caller.pii_access();
        Ok(Json(page.map(|job| Job::new(job, pii_access))))
    }

    /// Get a job
    ///
    /// Includes its result, its attempts and, if it waits, what it waits for.
    #[oai(path = "/jobs/:id", method = "get", operation_id = "getJob")]
    async fn show(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        /// The job's id.
        id: Path<Uuid>,
    ) -> Result<Json<JobDetail>, Fails<NotFound>> {
        let job_id = JobId(id.0);
        let job = listing::find(&state.pool, job_id).await?;
        // Read after the job, so that a finished job has no attempt that appears to be running.
        let attempts = listing::list_attempts(&state.pool, job_id).await?;
        let job = job.ok_or(NotFound("job"))?;
        let facts = waiting::find(&state.pool, job_id, &JobKind::long_keys(KINDS.into_iter())).await?;
        let reasons = facts.map(|facts| facts.reasons()).unwrap_or_default();
        Ok(Json(JobDetail::new(job, attempts, &reasons, caller.pii_access())))
    }

    /// Cancel a job
    ///
    /// A waiting job is cancelled immediately; a running one is stopped by its worker within two seconds, at a point where no
    /// write is incomplete. Requires the role operator.
    #[oai(path = "/jobs/:id/cancel", method = "post", operation_id = "cancelJob")]
    async fn cancel(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The job's id.
        id: Path<Uuid>,
    ) -> Result<Accepted<JobMoved>, Fails<CancelError>> {
        let job_id = JobId(id.0);
        let job_state = cancel_job(&state.pool, job_id, &audit, state.clock.now()).await?;
        Ok(Accepted::job(Some(id.0), JobMoved::cancelled(job_id, job_state)))
    }

    /// Retry a job
    ///
    /// If the job failed or was cancelled, creates a new job with the same arguments, or returns one with the same arguments that
    /// is already queued or running. If the job waits for its due time or its next attempt, makes it due now. Requires the role
    /// operator.
    #[oai(path = "/jobs/:id/retry", method = "post", operation_id = "retryJob")]
    async fn retry(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
        audit: AuditContext,
        /// The job's id.
        id: Path<Uuid>,
        /// Repeating a request with the same key within 24 hours returns the first response.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
    ) -> Result<Accepted<JobMoved>, Fails<RetryError>> {
        let State { pool, redis, clock, .. } = &***state;
        let idempotent = idempotent(&audit.principal, request, idempotency_key.0, Sha256::digest([]).into())?;
        let retried = retry_job(pool, redis, JobId(id.0), &audit, idempotent.as_ref(), clock.now()).await?;
        Ok(Accepted::job(Some(retried.job_id.0), retried.into()))
    }
}

impl Failure for CancelError {
    const CODES: &'static [ProblemCode] = &[ProblemCode::NotFound, ProblemCode::Conflict];

    fn into_problem(self) -> Problem {
        match self {
            Self::NotFound => NotFound("job").into(),
            Self::Finished(_) => Problem::new(ProblemCode::Conflict, self.to_string()),
            Self::Db(error) => error.into(),
        }
    }
}

impl Failure for RetryError {
    const CODES: &'static [ProblemCode] = &[ProblemCode::NotFound, ProblemCode::Conflict];

    fn into_problem(self) -> Problem {
        match self {
            Self::NotFound => NotFound("job").into(),
            Self::Idempotency(error) => error.into(),
            Self::Queued | Self::Running | Self::Succeeded | Self::UnknownKind(_) => {
                Problem::new(ProblemCode::Conflict, self.to_string())
            }
        }
    }
}
