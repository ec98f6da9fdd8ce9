//! Queues: how they stand, and which of them nobody claims from.
//!
//! A queue is no row: it is whatever kinds, jobs, workers or pauses name. Its running jobs are found by their leases, for no
//! index leads to them among a million that have ended.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::db::DbError;
use crate::db::types::interval;

/// Why nobody claims from a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePause {
    /// Since when.
    pub paused_at: DateTime<Utc>,
    /// Who said so.
    pub paused_by: String,
}

/// How many live jobs a queue has, by their states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueDepth {
    /// That wait for a worker.
    pub queued: u64,
    /// That wait for their time.
    pub scheduled: u64,
    /// That a worker has.
    pub running: u64,
    /// That wait for their next attempt.
    pub retrying: u64,
}

/// How a queue stands.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueStatus {
    /// Its name.
    pub name: String,
    /// Its pause, where it has one.
    pub pause: Option<QueuePause>,
    /// Its live jobs.
    pub depth: QueueDepth,
    /// For how long the longest due job has been due; none where none is.
    pub oldest_waiting: Option<Duration>,
    /// Jobs that workers brought to their end lately: they succeeded or failed.
    pub finished: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Workers that serve it and were seen lately.
    pub workers_alive: u64,
}

/// How far back a question about queues looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueLookback {
    /// For what was finished.
    pub finished: Duration,
    /// For who was seen.
    pub seen: Duration,
}

/// The queues of `known` and all others that a live job, one that ended lately, a worker or a pause names, by their names.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn list(pool: &PgPool, known: &[&str], lately: QueueLookback) -> Result<Vec<QueueStatus>, DbError> {
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
        interval(lately.finished),
        interval(lately.seen)
    )
    .fetch_all(pool)
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

/// Whether a live job, a worker or a pause names the queue.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn exists(pool: &PgPool, name: &str) -> Result<bool, DbError> {
    let named = sqlx::query_scalar!(
        r#"SELECT (EXISTS (SELECT 1 FROM queue_pauses WHERE queue = $1)
                   OR EXISTS (SELECT 1 FROM processes WHERE $1 = ANY(queues))
                   OR EXISTS (SELECT 1 FROM jobs WHERE queue = $1 AND state IN ('queued', 'scheduled', 'retrying'))
                   OR EXISTS (SELECT 1 FROM job_leases JOIN jobs ON jobs.id = job_id WHERE queue = $1)) AS "named!""#,
        name
    )
    .fetch_one(pool)
    .await?;
    Ok(named)
}

/// Lets nobody claim from a queue until [`delete_pause`]. One that is paused stays so, by whoever was first.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn insert_pause(pool: &PgPool, name: &str, paused_by: &str) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO queue_pauses (queue, paused_at, paused_by) VALUES ($1, now(), $2) ON CONFLICT DO NOTHING",
        name,
        paused_by
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Lets workers claim from a queue again.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn delete_pause(pool: &PgPool, name: &str) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM queue_pauses WHERE queue = $1", name).execute(pool).await?;
    Ok(())
}
