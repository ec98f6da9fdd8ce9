//! Has a record of the quarantine read again because somebody asked for it, once for one `Idempotency-Key`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use uuid::Uuid;

use super::enqueue_job::send_wakeup;
use super::idempotency::{IdempotencyError, IdempotentStart, start_idempotent};
use crate::db::access::idempotent_requests::IdempotentRequest;
use crate::db::sync::quarantine;
use crate::db::{DbError, jobs};
use crate::domain::job::{JobId, NewJob, Trigger};
use crate::domain::replay::Replay;
use crate::redis::Redis;

/// A replay that will be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedReplay {
    /// By which job.
    pub job_id: JobId,
    /// Whether the job was there already.
    pub joined: bool,
}

/// Why nothing is read again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such record, or it has left the quarantine.
    #[error("there is no such record in quarantine")]
    NotFound,
    /// Its key was used for another request, or the jobs table cannot take it: nothing was enqueued.
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
}

impl From<DbError> for ReplayError {
    fn from(error: DbError) -> Self {
        Self::Idempotency(error.into())
    }
}

/// Enqueues a replay of the entry `id` in the name of `requested_by`, or joins a live one.
///
/// # Errors
/// [`ReplayError`] where nothing was enqueued.
pub async fn request_replay(
    pool: &PgPool,
    redis: &Redis,
    id: Uuid,
    requested_by: &str,
    idempotent: Option<&IdempotentRequest>,
    now: DateTime<Utc>,
) -> Result<RequestedReplay, ReplayError> {
    // The key is looked at first: an entry that was replayed may be gone when the request is sent again.
    let mut work = match start_idempotent(pool, idempotent, now).await? {
        IdempotentStart::Answered(requested) => return Ok(requested),
        IdempotentStart::New(work) => work,
    };
    if !quarantine::exists(work.connection(), id).await? {
        return Err(ReplayError::NotFound);
    }
    let job =
        NewJob { requested_by: Some(requested_by.to_owned()), ..NewJob::replay(Replay::Record(id), Trigger::Api) };
    let enqueued = jobs::insert_or_join(work.connection(), &job).await?;
    let requested = RequestedReplay { job_id: enqueued.job_id, joined: enqueued.joined };
    work.commit(&requested).await?;
    send_wakeup(redis, job.kind.queue, requested.job_id).await;
    Ok(requested)
}
