//! The status of queues, and their pauses.
//!
//! A queue has no row of its own: it exists if a kind, a job, a worker or a pause names it. Running jobs are found by their
//! leases: no index finds them among a million finished jobs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, PgPool};

use crate::db::DbError;
use crate::db::types::interval;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePause {
    pub paused_at: DateTime<Utc>,
    pub paused_by: String,
}

/// How many unfinished jobs a queue has, by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueDepth {
    pub queued: u64,
    pub scheduled: u64,
    pub running: u64,
    pub retrying: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct QueueStatus {
    pub name: String,
    pub pause: Option<QueuePause>,
    pub depth: QueueDepth,
    /// How long the oldest due job has waited; `None` if no job is due.
    pub oldest_waiting: Option<Duration>,
    /// Jobs that succeeded or failed within [`QueueLookback::finished`].
    pub finished: u64,
    /// Those of `finished` that failed.
    pub failed: u64,
    /// Workers that serve the queue and sent a heartbeat within [`QueueLookback::seen`].
    pub workers_alive: u64,
}

/// How far back [`list`] counts finished jobs and heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLookback {
    pub finished: Duration,
    pub seen: Duration,
}

/// Lists the queues in `known` and all others that a job, a worker or a pause names, by name.
pub async fn list(
    executor: impl PgExecutor<'_>,
    known: &[&str],
    lookback: QueueLookback,
) -> Result<Vec<QueueStatus>, DbError> {
    let rows = sqlx::query!(
        r#"WITH live AS (
               SELECT queue,
                      count(*) FILTER (WHERE state = 'queued') AS queued,
                      count(*) FILTER (WHERE state = 'scheduled') AS scheduled,
                      count(*) FILTER (WHERE state = 'running') AS running,
                      count(*) FILTER (WHERE state = 'retrying') AS retrying,
                      now() - min(due_at) FILTER (WHERE state <> 'running' AND due_at <= now()) AS oldest_waiting
                 FROM (SELECT queue, state, due_at FROM jobs WHERE state IN ('queued', 'scheduled', 'retrying')
                        UNION ALL
                       SELECT queue, state, due_at FROM job_leases JOIN jobs ON jobs.id = job_id
                        WHERE state = 'running') AS live
                GROUP BY queue),
           done AS (
               SELECT queue, count(*) AS finished, count(*) FILTER (WHERE state = 'failed') AS failed
                 FROM jobs WHERE finished_at > now() - $2::interval AND state IN ('succeeded', 'failed') GROUP BY queue),
           served AS (
               SELECT queue, count(*) AS workers FROM processes CROSS JOIN unnest(queues) AS queue
                WHERE role = 'worker' AND last_seen_at > now() - $3::interval GROUP BY queue),
           named AS (
               SELECT unnest($1::text[]) AS queue
                UNION SELECT queue FROM live UNION SELECT queue FROM done
                UNION SELECT queue FROM served UNION SELECT queue FROM queue_pauses)
           SELECT queue AS "name!", paused_at AS "paused_at?", paused_by AS "paused_by?",
                  COALESCE(queued, 0) AS "queued!", COALESCE(scheduled, 0) AS "scheduled!",
                  COALESCE(running, 0) AS "running!", COALESCE(retrying, 0) AS "retrying!",
                  EXTRACT(epoch FROM oldest_waiting)::float8 AS "oldest_waiting?",
                  COALESCE(finished, 0) AS "finished!", COALESCE(failed, 0) AS "failed!", COALESCE(workers, 0) AS "workers!"
             FROM named LEFT JOIN live USING (queue) LEFT JOIN done USING (queue) LEFT JOIN served USING (queue)
                  LEFT JOIN queue_pauses USING (queue)
            ORDER BY queue"#,
        known as &[&str],
        interval(lookback.finished),
        interval(lookback.seen)
    )
    .fetch_all(executor)
    .await?;
    let queues = rows.into_iter().map(|row| QueueStatus {
        name: row.name,
        pause: row.paused_at.zip(row.paused_by).map(|(paused_at, paused_by)| QueuePause { paused_at, paused_by }),
        depth: QueueDepth {
            queued: row.queued.unsigned_abs(),
            scheduled: row.scheduled.unsigned_abs(),
            running: row.running.unsigned_abs(),
            retrying: row.retrying.unsigned_abs(),
        },
        oldest_waiting: row.oldest_waiting.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        finished: row.finished.unsigned_abs(),
        failed: row.failed.unsigned_abs(),
        workers_alive: row.workers.unsigned_abs(),
    });
    Ok(queues.collect())
}

/// Whether an unfinished job, a worker or a pause names the queue.
pub async fn exists(pool: &PgPool, name: &str) -> Result<bool, DbError> {
    let exists = sqlx::query_scalar!(
        r#"SELECT (EXISTS (SELECT 1 FROM queue_pauses WHERE queue = $1)
                   OR EXISTS (SELECT 1 FROM processes WHERE $1 = ANY(queues))
                   OR EXISTS (SELECT 1 FROM jobs WHERE queue = $1 AND state IN ('queued', 'scheduled', 'retrying'))
                   OR EXISTS (SELECT 1 FROM job_leases JOIN jobs ON jobs.id = job_id WHERE queue = $1)) AS "exists!""#,
        name
    )
    .fetch_one(pool)
    .await?;
    Ok(exists)
}

/// Stops claims from a queue until [`delete_pause`]. Returns false if it is paused already; then the first pause stays.
pub async fn insert_pause(executor: impl PgExecutor<'_>, name: &str, paused_by: &str) -> Result<bool, DbError> {
    let inserted = sqlx::query!(
        "INSERT INTO queue_pauses (queue, paused_at, paused_by) VALUES ($1, now(), $2) ON CONFLICT DO NOTHING",
        name,
        paused_by
    )
    .execute(executor)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// Returns false if it was not paused.
pub async fn delete_pause(executor: impl PgExecutor<'_>, name: &str) -> Result<bool, DbError> {
    let deleted = sqlx::query!("DELETE FROM queue_pauses WHERE queue = $1", name).execute(executor).await?;
    Ok(deleted.rows_affected() == 1)
}
