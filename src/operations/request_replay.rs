//! Requests the replay of a quarantined record, once per `Idempotency-Key`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::audit::{AuditContext, AuditRecord};
use super::enqueue_job::send_wakeup;
use super::idempotency::{IdempotencyError, IdempotentStart, start_idempotent};
use crate::db::access::idempotent_requests::IdempotentRequest;
use crate::db::sync::quarantine;
use crate::db::{DbError, jobs};
use crate::domain::job::{JobId, NewJob, Trigger};
use crate::domain::replay::Replay;
use crate::redis::Redis;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedReplay {
    pub job_id: JobId,
    /// Whether a live job was joined.
    pub joined: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("there is no such record in quarantine")]
    NotFound,
    #[error(transparent)]
    Idempotency(#[from] IdempotencyError),
}

impl From<DbError> for ReplayError {
    fn from(error: DbError) -> Self {
        Self::Idempotency(error.into())
    }
}

/// Enqueues a replay of entry `id`, or joins a live one.
pub async fn request_replay(
    pool: &PgPool,
    redis: &Redis,
    id: Uuid,
    audit: &AuditContext,
    idempotent: Option<&IdempotentRequest>,
    now: DateTime<Utc>,
) -> Result<RequestedReplay, ReplayError> {
    // The key is checked first: the entry may be gone when the request is repeated.
    let mut work = match start_idempotent(pool, idempotent, now).await? {
        IdempotentStart::Answered(requested) => return Ok(requested),
        IdempotentStart::New(work) => work,
    };
    if !quarantine::exists(work.connection(), id).await? {
        return Err(ReplayError::NotFound);
    }
    let job =
        NewJob { requested_by: Some(audit.principal.name.clone()), ..NewJob::replay(Replay::Record(id), Trigger::Api) };
    let enqueued = jobs::insert_or_join(work.connection(), &job).await?;
    let requested = RequestedReplay { job_id: enqueued.job_id, joined: enqueued.joined };
    let record = AuditRecord::succeeded(json!({"record_id": id})).with_change(None, json!(requested));
    audit.append(work.connection(), &record, now).await?;
    work.commit(&requested).await?;
    send_wakeup(redis, job.kind.queue, requested.job_id).await;
    Ok(requested)
}
