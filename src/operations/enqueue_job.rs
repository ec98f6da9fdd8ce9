//! Puts a job into the jobs table, and rings for it.
//!
//! The row comes first. Where the bell cannot be rung, workers find the row by themselves, within a second.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::db::DbError;
use crate::db::jobs::schedule_ticks;
use crate::db::jobs::schedule_ticks::TickState;
use crate::db::jobs::{Enqueued, insert_or_join};
use crate::domain::job::{JobId, NewJob};
use crate::redis::Redis;

/// Whoever asked for a job does not wait longer for a Redis that hangs: workers look for due jobs by themselves too.
const PATIENCE: Duration = Duration::from_secs(1);

/// Enqueues `job`, or joins a live one of the same kind and key.
///
/// # Errors
/// [`DbError`] where the jobs table cannot take it: nothing was enqueued then.
pub async fn enqueue_job(pool: &PgPool, redis: &Redis, job: &NewJob) -> Result<Enqueued, DbError> {
    let mut transaction = pool.begin().await?;
    let enqueued = insert_or_join(&mut transaction, job).await?;
    transaction.commit().await?;
    send_wakeup(redis, job.kind.queue, enqueued.job_id).await;
    Ok(enqueued)
}

/// What became of a tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ticked {
    /// It became a job.
    Enqueued(Enqueued),
    /// Another scheduler was first.
    Known,
    /// Another scheduler is about it, and may yet fail: it is to be looked at again.
    Busy,
}

/// Enqueues `job`, which the tick of `schedule` at `tick_at` stands for, once, whichever of several schedulers comes first.
///
/// # Errors
/// [`DbError`] where the jobs table cannot take it: neither the tick nor the job was recorded then.
pub async fn enqueue_tick(
    pool: &PgPool,
    redis: &Redis,
    schedule: &str,
    tick_at: DateTime<Utc>,
    job: NewJob,
) -> Result<Ticked, DbError> {
    let job = NewJob { scheduled_for: Some(tick_at), ..job };
    let mut transaction = pool.begin().await?;
    match schedule_ticks::try_lock(&mut transaction, schedule, tick_at).await? {
        TickState::Free => {}
        TickState::Recorded => return Ok(Ticked::Known),
        TickState::Busy => return Ok(Ticked::Busy),
    }
    let enqueued = insert_or_join(&mut transaction, &job).await?;
    if !schedule_ticks::insert(&mut transaction, schedule, tick_at, enqueued.job_id).await? {
        // Dropping the transaction takes the job back that another scheduler enqueued between our look and our lock.
        return Ok(Ticked::Known);
    }
    transaction.commit().await?;
    send_wakeup(redis, job.kind.queue, enqueued.job_id).await;
    Ok(Ticked::Enqueued(enqueued))
}

/// Rings for a job that is in the jobs table. Failing to is no failure of whoever enqueued it.
pub(super) async fn send_wakeup(redis: &Redis, queue: &str, job_id: JobId) {
    match tokio::time::timeout(PATIENCE, redis.send_wakeup(queue, job_id)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, %job_id, "the bell was not rung; workers find the job by themselves"),
        Err(_) => {
            tracing::warn!(%job_id, "Redis does not answer: the bell was not rung; workers find the job by themselves");
        }
    }
}
