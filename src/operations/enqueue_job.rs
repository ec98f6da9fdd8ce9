//! Inserts a job into the jobs table and sends a wake-up to the workers.
//!
//! The row is committed first. If the wake-up fails, workers find the row within a second by polling.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;

use super::audit::{AuditContext, AuditRecord};
use crate::db::DbError;
use crate::db::jobs::schedule_ticks;
use crate::db::jobs::schedule_ticks::TickState;
use crate::db::jobs::{Enqueued, insert_or_join};
use crate::domain::job::{JobId, NewJob};
use crate::redis::Redis;

/// The longest that enqueueing waits for Redis.
const WAKEUP_TIMEOUT: Duration = Duration::from_secs(1);

/// Enqueues `job`, or joins a live one of the same kind and unique key.
pub async fn enqueue_job(pool: &PgPool, redis: &Redis, job: &NewJob) -> Result<Enqueued, DbError> {
    let enqueued = if job.unique_key.is_some() {
        let mut transaction = pool.begin().await?;
        let enqueued = insert_or_join(&mut transaction, job).await?;
        transaction.commit().await?;
        enqueued
    } else {
        // One statement: without a transaction it costs one round trip instead of three.
        insert_or_join(&mut *pool.acquire().await?, job).await?
    };
    send_wakeup(redis, job.kind.queue, enqueued.job_id).await;
    Ok(enqueued)
}

/// [`enqueue_job`] on behalf of a person.
pub async fn enqueue_job_for(
    pool: &PgPool,
    redis: &Redis,
    job: &NewJob,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<Enqueued, DbError> {
    let mut transaction = pool.begin().await?;
    let enqueued = insert_or_join(&mut transaction, job).await?;
    let record = AuditRecord::succeeded(json!({"kind": job.kind.name, "args": job.args, "force": job.force}))
        .with_change(None, json!({"job_id": enqueued.job_id, "joined": enqueued.joined}));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await?;
    send_wakeup(redis, job.kind.queue, enqueued.job_id).await;
    Ok(enqueued)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TickOutcome {
    Enqueued(Enqueued),
    /// Another scheduler has already enqueued the job.
    AlreadyRecorded,
    /// Another scheduler is enqueueing the job, and may yet fail: the caller must check again.
    Busy,
}

/// Enqueues `job` for the tick of `schedule` at `tick_at`, exactly once even if several schedulers try. Tick and job are
/// recorded in one database transaction.
pub async fn enqueue_tick(
    pool: &PgPool,
    redis: &Redis,
    schedule: &str,
    tick_at: DateTime<Utc>,
    job: NewJob,
) -> Result<TickOutcome, DbError> {
    let job = NewJob { scheduled_for: Some(tick_at), ..job };
    let mut transaction = pool.begin().await?;
    match schedule_ticks::try_lock(&mut transaction, schedule, tick_at).await? {
        TickState::Free => {}
        TickState::Recorded => return Ok(TickOutcome::AlreadyRecorded),
        TickState::Busy => return Ok(TickOutcome::Busy),
    }
    let enqueued = insert_or_join(&mut transaction, &job).await?;
    if !schedule_ticks::insert(&mut transaction, schedule, tick_at, enqueued.job_id).await? {
        // Another scheduler recorded the tick between our check and our lock: rolls our job back.
        return Ok(TickOutcome::AlreadyRecorded);
    }
    transaction.commit().await?;
    send_wakeup(redis, job.kind.queue, enqueued.job_id).await;
    Ok(TickOutcome::Enqueued(enqueued))
}

/// Sends a wake-up for a committed job. A failure is only logged.
pub(in crate::operations) async fn send_wakeup(redis: &Redis, queue: &str, job_id: JobId) {
    match tokio::time::timeout(WAKEUP_TIMEOUT, redis.send_wakeup(queue, job_id)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, %job_id, "failed to send a wake-up; workers find the job by polling"),
        Err(_) => {
            tracing::warn!(%job_id, "timed out sending a wake-up; workers find the job by polling");
        }
    }
}
