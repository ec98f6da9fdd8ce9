//! Starts syncs because somebody asked for them, once for one `Idempotency-Key`.
//!
//! The jobs and the answer commit together: a request that is sent again after a crash, or twice at once, finds either
//! nothing done or the very answer that was given.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

use super::enqueue_job::ring;
use crate::db::DbError;
use crate::db::idempotent_requests::{self, Claimed, IdempotentRequest};
use crate::db::jobs::{Enqueued, insert_or_join};
use crate::domain::job::{JobId, JobKind, NewJob, Trigger};
use crate::domain::sync::SyncArgs;
use crate::domain::transaction::Source;
use crate::wire::Wire;

/// Syncs that somebody asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncRequest {
    /// What is to be read.
    pub sources: Vec<Source>,
    /// How much of it.
    pub args: SyncArgs,
    /// Queue one more behind a live one, rather than join it.
    pub force: bool,
    /// Who asks.
    pub requested_by: String,
}

/// A sync that will be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggeredSync {
    /// Of which source.
    pub source: Source,
    /// By which job.
    pub job_id: JobId,
    /// Whether the job was there already.
    pub joined: bool,
}

/// Why no sync was started.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    /// The key was used for another request.
    #[error("this Idempotency-Key was used for a request with another body")]
    OtherBody,
    /// The ledger cannot take it: nothing was enqueued.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Enqueues a sync of each source, or joins live ones that would do the same.
///
/// # Errors
/// [`TriggerError`] where nothing was enqueued.
pub async fn trigger_sync(
    pool: &PgPool,
    wire: &Wire,
    request: &SyncRequest,
    idempotent: Option<&IdempotentRequest>,
    now: DateTime<Utc>,
) -> Result<Vec<TriggeredSync>, TriggerError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    if let Some(idempotent) = idempotent {
        match idempotent_requests::claim(&mut transaction, idempotent, now).await? {
            Claimed::New => {}
            Claimed::OtherBody => return Err(TriggerError::OtherBody),
            Claimed::Answered(answer) => return Ok(read_answer(answer)?),
        }
    }
    let triggered = enqueue(&mut transaction, request).await?;
    if let Some(idempotent) = idempotent {
        idempotent_requests::set_answer(&mut transaction, idempotent, &serde_json::json!(triggered)).await?;
    }
    transaction.commit().await.map_err(DbError::from)?;
    for TriggeredSync { source, job_id, .. } in &triggered {
        ring(wire, JobKind::sync_of(*source).queue, *job_id).await;
    }
    Ok(triggered)
}

async fn enqueue(connection: &mut PgConnection, request: &SyncRequest) -> Result<Vec<TriggeredSync>, DbError> {
    let mut triggered = vec![];
    for &source in &request.sources {
        let job = NewJob {
            force: request.force,
            requested_by: Some(request.requested_by.clone()),
            ..NewJob::sync(source, &request.args, Trigger::Api)
        };
        let Enqueued { job_id, joined } = insert_or_join(connection, &job).await?;
        triggered.push(TriggeredSync { source, job_id, joined });
    }
    Ok(triggered)
}

fn read_answer(answer: serde_json::Value) -> Result<Vec<TriggeredSync>, DbError> {
    serde_json::from_value(answer).map_err(|error| DbError::impossible("idempotent_requests.answer", error.to_string()))
}
