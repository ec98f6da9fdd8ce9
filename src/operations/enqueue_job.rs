//! Puts a job into the ledger, and rings for it.
//!
//! The row comes first. A bell that cannot be rung is rung by the sweep, seconds later.

use std::time::Duration;

use sqlx::PgPool;

use crate::db::jobs::{Enqueued, insert_or_join};
use crate::db::{DbError, schedule};
use crate::domain::job::{JobId, NewJob};
use crate::wire::Wire;

/// Whoever asked for a job does not wait longer for a Redis that is away: the sweep rings again within seconds.
const PATIENCE: Duration = Duration::from_secs(1);

/// Enqueues `job`, or joins a live one of the same kind and key.
///
/// # Errors
/// [`DbError`] where the ledger cannot take it: nothing was enqueued then.
pub async fn enqueue_job(pool: &PgPool, wire: &Wire, job: &NewJob) -> Result<Enqueued, DbError> {
    let mut transaction = pool.begin().await?;
    let enqueued = insert_or_join(&mut transaction, job).await?;
    transaction.commit().await?;
    ring(wire, job.kind.queue, enqueued.job_id).await;
    Ok(enqueued)
}

/// Enqueues the job of a tick, once, whichever of several schedulers comes first; none where another one was first.
///
/// # Errors
/// [`DbError`] where the ledger cannot take it: neither the tick nor the job was recorded then.
pub async fn enqueue_tick(
    pool: &PgPool,
    wire: &Wire,
    schedule: &str,
    job: &NewJob,
) -> Result<Option<Enqueued>, DbError> {
    let Some(tick_at) = job.scheduled_for else { return enqueue_job(pool, wire, job).await.map(Some) };
    let mut transaction = pool.begin().await?;
    let enqueued = insert_or_join(&mut transaction, job).await?;
    if !schedule::insert_tick(&mut transaction, schedule, tick_at, enqueued.job_id).await? {
        // Dropping the transaction takes the job back that another scheduler has already enqueued.
        return Ok(None);
    }
    transaction.commit().await?;
    ring(wire, job.kind.queue, enqueued.job_id).await;
    Ok(Some(enqueued))
}

/// Rings for a job that is in the ledger. Failing to is no failure of whoever enqueued it.
pub(super) async fn ring(wire: &Wire, queue: &str, job_id: JobId) {
    match tokio::time::timeout(PATIENCE, wire.ring(queue, job_id)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, %job_id, "the bell was not rung; the sweep will ring it"),
        Err(_) => tracing::warn!(%job_id, "Redis does not answer: the bell was not rung; the sweep will ring it"),
    }
}
