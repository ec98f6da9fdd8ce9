//! The ledger: every job is a row here before anything else knows of it.
//!
//! It runs by PostgreSQL's clock (`now()`), the only one that all processes share: a due time or a lease written by one
//! machine is read by another. Every change of state is one guarded statement; whoever holds an old epoch changes nothing.
//! Locks are always taken in the order job, then lease.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::DbError;
use super::processes::interval;
use crate::domain::job::{Claim, JobId, JobState, NewJob, Trigger};

/// What became of a request for a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    /// The job that will do it.
    pub job_id: JobId,
    /// Whether it was there already.
    pub joined: bool,
}

/// Enqueues a job, or joins a live one of the same kind and key. Whoever joins in a hurry brings the job forward.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn insert_or_join(connection: &mut PgConnection, job: &NewJob) -> Result<Enqueued, DbError> {
    let live = match &job.unique_key {
        Some(key) => lock_and_find_live(connection, job.kind.name, key).await?,
        None => None,
    };
    if let Some(job_id) = live.filter(|_| !job.force) {
        bring_forward(connection, job_id, job.priority as i16).await?;
        return Ok(Enqueued { job_id, joined: true });
    }
    let job_id = JobId(Uuid::now_v7());
    sqlx::query!(
        r#"INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, requested_by, unique_key, forced, limit_key,
                             scheduled_for, due_at, rung_at, max_attempts, created_at)
           VALUES ($1, $2, $3, $4, $5, 'queued', $6, $7, $8, $9, $10, $11, now(), now(), $12, now())"#,
        job_id.0,
        job.kind.name,
        job.args,
        job.kind.queue,
        job.priority as i16,
        job.trigger.as_str(),
        job.requested_by,
        job.unique_key,
        live.is_some(),
        job.kind.limit,
        job.scheduled_for,
        i32::try_from(job.kind.max_attempts).unwrap_or(i32::MAX)
    )
    .execute(connection)
    .await?;
    Ok(Enqueued { job_id, joined: false })
}

/// Requests for one kind and key are decided one at a time, so that of two at once one joins the other.
async fn lock_and_find_live(connection: &mut PgConnection, kind: &str, key: &str) -> Result<Option<JobId>, DbError> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('jobs:' || $1 || ':' || $2, 0))", kind, key)
        .execute(&mut *connection)
        .await?;
    let live = sqlx::query_scalar!(
        r#"SELECT id FROM jobs
            WHERE kind = $1 AND unique_key = $2 AND state IN ('queued', 'scheduled', 'running', 'retrying')
            ORDER BY forced, created_at LIMIT 1"#,
        kind,
        key
    )
    .fetch_optional(connection)
    .await?;
    Ok(live.map(JobId))
}

/// Lets a waiting job run now, if whoever asks is more urgent than whoever asked before.
async fn bring_forward(connection: &mut PgConnection, job_id: JobId, priority: i16) -> Result<(), DbError> {
    sqlx::query!(
        r#"UPDATE jobs SET priority = $2, due_at = LEAST(due_at, now()), rung_at = NULL
            WHERE id = $1 AND priority > $2 AND state IN ('queued', 'scheduled', 'retrying')"#,
        job_id.0,
        priority
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A job that this worker may run.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedJob {
    /// The right to write in its name.
    pub claim: Claim,
    /// The name of its kind.
    pub kind: String,
    /// What it is told.
    pub args: Value,
    /// What made it.
    pub trigger: Trigger,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How many it gets.
    pub max_attempts: u32,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
}

/// Claims the best due job of `queues` for `worker`: the most urgent, then the longest due, of those whose limit is free.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn claim(
    pool: &PgPool,
    queues: &[String],
    worker: &str,
    lease: Duration,
) -> Result<Option<ClaimedJob>, DbError> {
    loop {
        let row = sqlx::query!(
            r#"WITH candidate AS (
                   SELECT id, epoch + 1 AS epoch, limit_key FROM jobs
                    WHERE queue = ANY($1) AND state IN ('queued', 'scheduled', 'retrying') AND due_at <= now()
                      AND NOT EXISTS (SELECT 1 FROM job_leases WHERE job_leases.limit_key = jobs.limit_key)
                    ORDER BY priority, due_at, id
                    LIMIT 1 FOR UPDATE SKIP LOCKED),
               lease AS (
                   INSERT INTO job_leases (job_id, epoch, worker, limit_key, expires_at)
                   SELECT id, epoch, $2, limit_key, now() + $3::interval FROM candidate
                       ON CONFLICT DO NOTHING
                   RETURNING job_id, epoch),
               claimed AS (
                   UPDATE jobs
                      SET state = 'running', epoch = lease.epoch, attempt = attempt + 1,
                          started_at = COALESCE(started_at, now()), error = NULL
                     FROM lease WHERE jobs.id = lease.job_id
                   RETURNING jobs.id, jobs.epoch, kind, args, trigger, attempt, max_attempts, created_at),
               tried AS (
                   INSERT INTO job_attempts (job_id, epoch, attempt, worker, started_at)
                   SELECT id, epoch, attempt, $2, now() FROM claimed)
               SELECT candidate.id AS "candidate!", claimed.epoch AS "epoch?", kind AS "kind?", args AS "args?",
                      trigger AS "trigger?", attempt AS "attempt?", max_attempts AS "max_attempts?",
                      created_at AS "created_at?"
                 FROM candidate LEFT JOIN claimed ON claimed.id = candidate.id"#,
            queues,
            worker,
            interval(lease)
        )
        .fetch_optional(pool)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let (Some(epoch), Some(kind), Some(args), Some(trigger), Some(attempt), Some(max_attempts), Some(created_at)) =
            (row.epoch, row.kind, row.args, row.trigger, row.attempt, row.max_attempts, row.created_at)
        else {
            // Another worker took the limit in between: its job is out of the race, the others are not.
            continue;
        };
        return Ok(Some(ClaimedJob {
            claim: Claim { job_id: JobId(row.candidate), epoch },
            kind,
            args,
            trigger: Trigger::from_name(&trigger).ok_or_else(|| DbError::impossible("jobs.trigger", trigger))?,
            attempt: attempt.unsigned_abs(),
            max_attempts: max_attempts.unsigned_abs(),
            created_at,
        }));
    }
}

/// Checks, inside the transaction of whoever writes in the name of the job, that the claim still holds, and notes how far
/// it has come. The row stays locked until the commit, so no other worker can claim the job in between.
///
/// # Errors
/// [`DbError::ClaimLost`] where it does not; nothing may be committed then.
pub async fn hold_claim(connection: &mut PgConnection, claim: &Claim, progress: &Value) -> Result<(), DbError> {
    let held = sqlx::query!(
        "UPDATE jobs SET progress = $3 WHERE id = $1 AND epoch = $2 AND state = 'running'",
        claim.job_id.0,
        claim.epoch,
        progress
    )
    .execute(connection)
    .await?;
    if held.rows_affected() == 1 { Ok(()) } else { Err(DbError::ClaimLost) }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The job is done.
    Succeeded(Value),
    /// The attempt failed; the next may begin after the wait.
    Retry {
        /// Why.
        error: String,
        /// How long to wait.
        after: Duration,
    },
    /// The job has failed for good.
    Failed(String),
    /// The worker has to stop: another takes the job over, and the attempt does not count.
    HandedBack,
}

impl Outcome {
    /// The name in the ledger.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Succeeded(_) => "succeeded",
            Self::Retry { .. } => "retried",
            Self::Failed(_) => "failed",
            Self::HandedBack => "handed_back",
        }
    }

    fn next_state(&self) -> JobState {
        match self {
            Self::Succeeded(_) => JobState::Succeeded,
            Self::Retry { .. } => JobState::Retrying,
            Self::Failed(_) => JobState::Failed,
            Self::HandedBack => JobState::Queued,
        }
    }

    /// Why it did not succeed.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Retry { error, .. } | Self::Failed(error) => Some(error),
            Self::Succeeded(_) | Self::HandedBack => None,
        }
    }
}

/// Ends an attempt: the job moves on, the lease goes.
///
/// # Errors
/// [`DbError::ClaimLost`] where somebody else has the job by now.
pub async fn finish(connection: &mut PgConnection, claim: &Claim, outcome: &Outcome) -> Result<(), DbError> {
    let state = outcome.next_state();
    let after = match outcome {
        Outcome::Retry { after, .. } => *after,
        _ => Duration::ZERO,
    };
    let result = match outcome {
        Outcome::Succeeded(result) => Some(result),
        _ => None,
    };
    let finished = sqlx::query!(
        r#"WITH moved AS (
               UPDATE jobs
                  SET state = $3, error = $4, result = $5, due_at = now() + $6::interval, rung_at = NULL,
                      attempt = attempt - $7::int, finished_at = CASE WHEN $8 THEN now() END
                WHERE id = $1 AND epoch = $2 AND state = 'running'
               RETURNING id),
           freed AS (DELETE FROM job_leases USING moved WHERE job_id = moved.id),
           noted AS (
               UPDATE job_attempts SET finished_at = now(), outcome = $9, error = $4
                 FROM moved WHERE job_id = moved.id AND epoch = $2)
           SELECT count(*) AS "count!" FROM moved"#,
        claim.job_id.0,
        claim.epoch,
        state.as_str(),
        outcome.error(),
        result,
        interval(after),
        i32::from(*outcome == Outcome::HandedBack),
        state.is_finished(),
        outcome.name()
    )
    .fetch_one(connection)
    .await?;
    if finished.count == 1 { Ok(()) } else { Err(DbError::ClaimLost) }
}

/// A due job whose bell is to be rung.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// The job.
    pub job_id: JobId,
    /// The queue it waits in.
    pub queue: String,
}

/// Due jobs whose bell was not rung within `again`, most urgent first, at most `limit`; they count as rung from now.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn take_unrung(pool: &PgPool, again: Duration, limit: i64) -> Result<Vec<Due>, DbError> {
    let rows = sqlx::query!(
        r#"UPDATE jobs SET rung_at = now()
            WHERE id IN (SELECT id FROM jobs
                          WHERE state IN ('queued', 'scheduled', 'retrying') AND due_at <= now()
                            AND (rung_at IS NULL OR rung_at < now() - $1::interval)
                          ORDER BY priority, due_at, id LIMIT $2 FOR UPDATE SKIP LOCKED)
           RETURNING id, queue"#,
        interval(again),
        limit
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| Due { job_id: JobId(row.id), queue: row.queue }).collect())
}

/// A job in short: enough to follow it.
#[derive(Debug, Clone, PartialEq)]
pub struct Glance {
    /// Where it stands.
    pub state: JobState,
    /// Its attempts so far.
    pub attempt: u32,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// What came of it.
    pub result: Option<Value>,
}

/// Where a job stands, if there is one of this id.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn find_glance(pool: &PgPool, job_id: JobId) -> Result<Option<Glance>, DbError> {
    let row = sqlx::query!("SELECT state, attempt, error, result FROM jobs WHERE id = $1", job_id.0)
        .fetch_optional(pool)
        .await?;
    row.map(|row| {
        Ok(Glance {
            state: JobState::from_name(&row.state).ok_or_else(|| DbError::impossible("jobs.state", row.state))?,
            attempt: row.attempt.unsigned_abs(),
            error: row.error,
            result: row.result,
        })
    })
    .transpose()
}

/// A job that is waiting or at work.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// The job.
    pub job_id: JobId,
    /// Whether a worker has it.
    pub running: bool,
    /// How far it has come, as its handler wrote it.
    pub progress: Option<Value>,
}

/// The live job of `kind` that is furthest: one that runs before one that waits.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn find_live(pool: &PgPool, kind: &str) -> Result<Option<Live>, DbError> {
    let row = sqlx::query!(
        r#"SELECT id, state = 'running' AS "running!", progress FROM jobs
            WHERE kind = $1 AND state IN ('queued', 'scheduled', 'running', 'retrying')
            ORDER BY state = 'running' DESC, priority, due_at LIMIT 1"#,
        kind
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Live { job_id: JobId(row.id), running: row.running, progress: row.progress }))
}

/// Forgets jobs that came to their end: failed ones before `failed`, the others before `others` (ages by the ledger's
/// clock).
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn prune(pool: &PgPool, others: Duration, failed: Duration) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM jobs
            WHERE (state IN ('succeeded', 'cancelled') AND finished_at < now() - $1::interval)
               OR (state = 'failed' AND finished_at < now() - $2::interval)"#,
        interval(others),
        interval(failed)
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
