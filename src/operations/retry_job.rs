//! Retries a job, once per `Idempotency-Key`: a failed or cancelled job by a new job, a waiting job by making it due now.
//!
//! A new job rather than the old one, whose row permanently records how it ended.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::audit::{AuditContext, AuditRecord};
use super::enqueue_job::send_wakeup;
use super::idempotency::{IdempotencyError, IdempotentStart, start_idempotent};
use crate::db::access::idempotent_requests::IdempotentRequest;
use crate::db::jobs::control;
use crate::db::jobs::control::LockedJob;
use crate::db::{DbError, jobs};
use crate::domain::job::{JobId, JobKind, JobState, NewJob, Trigger};
use crate::redis::Redis;

/// Stored as JSON with the idempotency key: the names must not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryMode {
    #[serde(rename = "anew")]
    NewJob,
    /// By a live job of the same kind and unique key.
    Joined,
    /// By the job itself, which is now due.
    BroughtForward,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetriedJob {
    /// The job that runs now.
    pub job_id: JobId,
    pub state: JobState,
    #[serde(rename = "retry")]
    pub mode: RetryMode,
}

#[derive(Debug, thiserror::Error)]
pub enum RetryError {
    #[error("there is no such job")]
    NotFound,
    #[error(
        "the job is queued already: it runs as soon as a worker is free and its queue (see /api/v1/queues) is not paused"
    )]
    Queued,
    #[error("the job is running: wait until it ends, or cancel it first")]
    Running,
    #[error(
        "the job has succeeded: to repeat it, start a new one, a sync by POST /api/v1/sync/trigger, a reconciliation by \
         POST /api/v1/reconciliation/run"
    )]
    Succeeded,
    #[error("this release knows no jobs of kind {0}: deploy one that does, then retry the job")]
    UnknownKind(String),
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
}

impl From<DbError> for RetryError {
    fn from(error: DbError) -> Self {
        Self::Idempotency(error.into())
    }
}

pub async fn retry_job(
    pool: &PgPool,
    redis: &Redis,
    job_id: JobId,
    audit: &AuditContext,
    idempotent: Option<&IdempotentRequest>,
    now: DateTime<Utc>,
) -> Result<RetriedJob, RetryError> {
    let mut work = match start_idempotent(pool, idempotent, now).await? {
        IdempotentStart::Answered(retried) => return Ok(retried),
        IdempotentStart::New(work) => work,
    };
    let job = control::lock(work.connection(), job_id).await?.ok_or(RetryError::NotFound)?;
    let (queue, before) = (job.queue.clone(), job.state);
    let requested_by = &audit.principal.name;
    let retried = retry(work.connection(), job_id, job, requested_by).await?;
    let record = AuditRecord::succeeded(json!({"job_id": job_id}))
        .with_change(json!({"state": before.as_str()}), json!(retried));
    audit.append(work.connection(), &record, now).await?;
    work.commit(&retried).await?;
    send_wakeup(redis, &queue, retried.job_id).await;
    tracing::info!(%job_id, requested_by, by = %retried.job_id, mode = ?retried.mode, "job retried");
    Ok(retried)
}

/// Retries a locked job in the transaction of `connection`.
pub(super) async fn retry(
    connection: &mut PgConnection,
    job_id: JobId,
    job: LockedJob,
    requested_by: &str,
) -> Result<RetriedJob, RetryError> {
    match job.state {
        JobState::Failed | JobState::Cancelled => enqueue_again(connection, job, requested_by).await,
        JobState::Scheduled | JobState::Retrying => {
            control::bring_forward(connection, job_id).await?;
            Ok(RetriedJob { job_id, state: job.state, mode: RetryMode::BroughtForward })
        }
        JobState::Queued => Err(RetryError::Queued),
        JobState::Running => Err(RetryError::Running),
        JobState::Succeeded => Err(RetryError::Succeeded),
    }
}

async fn enqueue_again(
    connection: &mut PgConnection,
    job: LockedJob,
    requested_by: &str,
) -> Result<RetriedJob, RetryError> {
    let Some(kind) = JobKind::from_name(&job.kind) else { return Err(RetryError::UnknownKind(job.kind)) };
    let new_job = NewJob {
        unique_key: job.unique_key,
        requested_by: Some(requested_by.to_owned()),
        ..NewJob::with_args(kind, job.args, Trigger::Retry)
    };
    let enqueued = jobs::insert_or_join(&mut *connection, &new_job).await?;
    if !enqueued.joined {
        return Ok(RetriedJob { job_id: enqueued.job_id, state: JobState::Queued, mode: RetryMode::NewJob });
    }
    let live = control::lock(connection, enqueued.job_id).await?.ok_or(RetryError::NotFound)?;
    Ok(RetriedJob { job_id: enqueued.job_id, state: live.state, mode: RetryMode::Joined })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_responses_keep_their_json() {
        let stored = r#"{"job_id":"01980f2a-7c11-7b3a-9d42-5f6a1c2b3d4e","state":"queued","retry":"anew"}"#;
        let retried: RetriedJob = serde_json::from_str(stored).expect("a response");
        assert_eq!(retried.mode, RetryMode::NewJob);
        assert_eq!(serde_json::to_string(&retried).expect("JSON"), stored);
    }
}
