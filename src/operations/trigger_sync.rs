//! Requests syncs, once per `Idempotency-Key`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::audit::{AuditContext, AuditRecord};
use super::enqueue_job::send_wakeup;
use super::idempotency::{IdempotencyError, IdempotentStart, start_idempotent};
use crate::db::DbError;
use crate::db::access::idempotent_requests::IdempotentRequest;
use crate::db::jobs::{Enqueued, insert_or_join};
use crate::domain::job::{JobId, JobKind, NewJob, Trigger};
use crate::domain::sync::SyncArgs;
use crate::domain::transaction::Source;
use crate::redis::Redis;

#[derive(Debug, Clone, PartialEq)]
pub struct SyncRequest {
    pub sources: Vec<Source>,
    pub args: SyncArgs,
    /// Enqueue a second job after a live one instead of joining it.
    pub force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggeredSync {
    pub source: Source,
    pub job_id: JobId,
    /// Whether a live job was joined.
    pub joined: bool,
}

/// Enqueues a sync of each source, or joins live jobs that do the same.
pub async fn trigger_sync(
    pool: &PgPool,
    redis: &Redis,
    request: &SyncRequest,
    audit: &AuditContext,
    idempotent: Option<&IdempotentRequest>,
    now: DateTime<Utc>,
) -> Result<Vec<TriggeredSync>, IdempotencyError> {
    let mut work = match start_idempotent(pool, idempotent, now).await? {
        IdempotentStart::Answered(triggered) => return Ok(triggered),
        IdempotentStart::New(work) => work,
    };
    let triggered = enqueue(work.connection(), request, &audit.principal.name).await?;
    let details = json!({"sources": request.sources, "args": request.args, "force": request.force});
    let record = AuditRecord::succeeded(details).with_change(None, json!({"jobs": triggered}));
    audit.append(work.connection(), &record, now).await?;
    work.commit(&triggered).await?;
    for TriggeredSync { source, job_id, .. } in &triggered {
        send_wakeup(redis, JobKind::sync_of(*source).queue, *job_id).await;
    }
    Ok(triggered)
}

async fn enqueue(
    connection: &mut PgConnection,
    request: &SyncRequest,
    requested_by: &str,
) -> Result<Vec<TriggeredSync>, DbError> {
    let mut triggered = vec![];
    for &source in &request.sources {
        let job = NewJob {
            force: request.force,
            requested_by: Some(requested_by.to_owned()),
            ..NewJob::sync(source, &request.args, Trigger::Api)
        };
        let Enqueued { job_id, joined } = insert_or_join(connection, &job).await?;
        triggered.push(TriggeredSync { source, job_id, joined });
    }
    Ok(triggered)
}
