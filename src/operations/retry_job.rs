//! Has a job done again because somebody asked for it: what failed or was cancelled by a new job, what waits for its time
//! by itself, now. Once for one `Idempotency-Key`.
//!
//! A new job rather than the old one anew: the old one's row says for ever how it ended.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

use super::enqueue_job::send_wakeup;
use super::idempotency::{IdempotencyError, IdempotentStart, start_idempotent};
use crate::db::access::idempotent_requests::IdempotentRequest;
use crate::db::jobs::control;
use crate::db::jobs::control::LockedJob;
use crate::db::{DbError, jobs};
use crate::domain::job::{JobId, JobKind, JobState, NewJob, Trigger};
use crate::redis::Redis;

/// How a job is done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// By a new job.
    Anew,
    /// By a live job that does the same.
    Joined,
    /// By the job itself, before its time.
    BroughtForward,
}

/// A job that is done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetriedJob {
    /// The job that does it.
    pub job_id: JobId,
    /// Where that job stands.
    pub state: JobState,
    /// How.
    pub retry: Retry,
}

/// Why nothing is done again.
#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    /// There is no such job.
    #[error("there is no such job")]
    NotFound,
    /// Its turn comes anyway.
    #[error(
        "the job is queued already: it runs as soon as a worker is free and its queue (see /api/v1/queues) is not paused"
    )]
    Queued,
    /// It is at work.
    #[error("the job is running: wait for its end, or cancel it first")]
    Running,
    /// It has done what it was to do.
    #[error(
        "the job has succeeded: to do the same again, start it anew, a sync by POST /api/v1/sync/trigger, a reconciliation by \
         POST /api/v1/reconciliation/run"
    )]
    Succeeded,
    /// Nobody here could run it.
    #[error("this release knows no jobs of kind {0}: deploy one that does, then retry the job")]
    UnknownKind(String),
    /// Its key was used for another request, or the jobs table cannot take it: nothing was changed.
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
}

impl From<DbError> for RetryError {
    fn from(error: DbError) -> Self {
        Self::Idempotency(error.into())
    }
}

/// Has a job done again, in the name of `requested_by`.
///
/// # Errors
/// [`RetryError`] where nothing was changed.
pub async fn retry_job(
    pool: &PgPool,
    redis: &Redis,
    job_id: JobId,
    requested_by: &str,
    idempotent: Option<&IdempotentRequest>,
    now: DateTime<Utc>,
) -> Result<RetriedJob, RetryError> {
    let mut work = match start_idempotent(pool, idempotent, now).await? {
        IdempotentStart::Answered(retried) => return Ok(retried),
        IdempotentStart::New(work) => work,
    };
    let job = control::lock(work.connection(), job_id).await?.ok_or(RetryError::NotFound)?;
    let queue = job.queue.clone();
    let retried = retry(work.connection(), job_id, job, requested_by).await?;
    work.commit(&retried).await?;
    send_wakeup(redis, &queue, retried.job_id).await;
    tracing::info!(%job_id, requested_by, by = %retried.job_id, how = ?retried.retry, "a job is done again");
    Ok(retried)
}

async fn retry(
    connection: &mut PgConnection,
    job_id: JobId,
    job: LockedJob,
    requested_by: &str,
) -> Result<RetriedJob, RetryError> {
    match job.state {
        JobState::Failed | JobState::Cancelled => enqueue_anew(connection, job, requested_by).await,
        JobState::Scheduled | JobState::Retrying => {
            control::bring_forward(connection, job_id).await?;
            Ok(RetriedJob { job_id, state: job.state, retry: Retry::BroughtForward })
        }
        JobState::Queued => Err(RetryError::Queued),
        JobState::Running => Err(RetryError::Running),
        JobState::Succeeded => Err(RetryError::Succeeded),
    }
}

async fn enqueue_anew(
    connection: &mut PgConnection,
    job: LockedJob,
    requested_by: &str,
) -> Result<RetriedJob, RetryError> {
    let Some(kind) = JobKind::from_name(&job.kind) else { return Err(RetryError::UnknownKind(job.kind)) };
    let anew = NewJob {
        unique_key: job.unique_key,
        requested_by: Some(requested_by.to_owned()),
        ..NewJob::with_args(kind, job.args, Trigger::Retry)
    };
    let enqueued = jobs::insert_or_join(&mut *connection, &anew).await?;
    if !enqueued.joined {
        return Ok(RetriedJob { job_id: enqueued.job_id, state: JobState::Queued, retry: Retry::Anew });
    }
    let live = control::lock(connection, enqueued.job_id).await?.ok_or(RetryError::NotFound)?;
    Ok(RetriedJob { job_id: enqueued.job_id, state: live.state, retry: Retry::Joined })
}
