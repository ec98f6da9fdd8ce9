//! The jobs table: every job is a row here before anything else knows of it.
//!
//! Times come from PostgreSQL's clock (`now()`), the only one that all processes share: due times and leases written by one
//! machine are read by others. Every change of state is one statement that checks the current state. `claims` covers the life of
//! a claimed job, `leases` the death of its worker.

pub mod claims;
pub mod control;
pub mod filter;
pub mod leases;
pub mod listing;
pub mod processes;
pub mod queue_minutes;
pub mod queues;
pub mod schedule_entries;
pub mod schedule_ticks;
pub mod session;
pub mod waiting;
pub mod workers;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::DbError;
use crate::db::types::{interval, names, stored_trace};
use crate::domain::job::{JobId, JobState, NewJob};
use crate::domain::trace::TraceContext;
use crate::observability::traces;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enqueued {
    pub job_id: JobId,
    /// Whether the request joined an existing job.
    pub joined: bool,
}

/// Enqueues a job, or joins an unfinished one of the same kind and key, which takes over the more urgent priority. The job belongs
/// to the trace of the caller; one that is joined keeps its own, which the trace of the caller links to.
pub async fn insert_or_join(connection: &mut PgConnection, job: &NewJob) -> Result<Enqueued, DbError> {
    let live = match &job.unique_key {
        Some(key) => lock_and_find_live(connection, job.kind.name, key).await?,
        None => None,
    };
    let is_forced = live.is_some();
    if let Some(LiveJob { job_id, trace }) = live.filter(|_| !job.force) {
        bring_forward(connection, job_id, job.priority as i16).await?;
        traces::describe(|step| trace.into_iter().for_each(|trace| step.link(trace)));
        return Ok(Enqueued { job_id, joined: true });
    }
    let job_id = JobId(Uuid::now_v7());
    sqlx::query!(
        r#"INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, requested_by, unique_key, forced, limit_key,
                             scheduled_for, due_at, max_attempts, created_at, traceparent)
           VALUES ($1, $2, $3, $4, $5, CASE WHEN $13::interval > '0' THEN 'scheduled' ELSE 'queued' END, $6, $7, $8, $9,
                   $10, $11, now() + $13::interval, $12, now(), $14)"#,
        job_id.0,
        job.kind.name,
        job.args,
        job.kind.queue,
        job.priority as i16,
        job.trigger.as_str(),
        job.requested_by,
        job.unique_key,
        is_forced,
        job.limit_key,
        job.scheduled_for,
        i32::try_from(job.kind.max_attempts).unwrap_or(i32::MAX),
        interval(job.delay),
        traces::current().map(TraceContext::to_text)
    )
    .execute(connection)
    .await?;
    Ok(Enqueued { job_id, joined: false })
}

/// An unfinished job.
struct LiveJob {
    job_id: JobId,
    trace: Option<TraceContext>,
}

/// Serializes the requests for one kind and key, so that of two concurrent ones the second joins the first.
async fn lock_and_find_live(connection: &mut PgConnection, kind: &str, key: &str) -> Result<Option<LiveJob>, DbError> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('jobs:' || $1 || ':' || $2, 0))", kind, key)
        .execute(&mut *connection)
        .await?;
    let live = sqlx::query!(
        r#"SELECT id, traceparent FROM jobs
            WHERE kind = $1 AND unique_key = $2 AND state IN ('queued', 'scheduled', 'running', 'retrying')
            ORDER BY forced, created_at LIMIT 1"#,
        kind,
        key
    )
    .fetch_optional(connection)
    .await?;
    Ok(live.map(|row| LiveJob { job_id: JobId(row.id), trace: stored_trace(row.traceparent.as_deref()) }))
}

/// Makes a waiting job due now if `priority` is more urgent than its own.
async fn bring_forward(connection: &mut PgConnection, job_id: JobId, priority: i16) -> Result<(), DbError> {
    sqlx::query!(
        r#"UPDATE jobs SET priority = $2, due_at = LEAST(due_at, now())
            WHERE id = $1 AND priority > $2 AND state IN ('queued', 'scheduled', 'retrying')"#,
        job_id.0,
        priority
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Enough to follow a job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSummary {
    pub kind: String,
    pub state: JobState,
    pub attempt: u32,
    /// Why the last attempt failed, or who cancelled the job.
    pub error: Option<String>,
    /// As the job's handler wrote it.
    pub progress: Option<Value>,
    pub result: Option<Value>,
}

pub async fn find_summary(pool: &PgPool, job_id: JobId) -> Result<Option<JobSummary>, DbError> {
    let row = sqlx::query!("SELECT kind, state, attempt, error, progress, result FROM jobs WHERE id = $1", job_id.0)
        .fetch_optional(pool)
        .await?;
    row.map(|row| {
        Ok(JobSummary {
            kind: row.kind,
            state: JobState::try_from(row.state)?,
            attempt: row.attempt.unsigned_abs(),
            error: row.error,
            progress: row.progress,
            result: row.result,
        })
    })
    .transpose()
}

#[derive(Debug, Clone, PartialEq)]
pub struct RunningJob {
    pub job_id: JobId,
    /// As the job's handler wrote it.
    pub progress: Option<Value>,
}

/// A running job of `kind`; of several, the one that started first. Found by its lease: there are few leases, and a million
/// jobs. An expired lease means that the worker died.
pub async fn find_running(pool: &PgPool, kind: &str) -> Result<Option<RunningJob>, DbError> {
    let row = sqlx::query!(
        r#"SELECT id, progress FROM job_leases JOIN jobs ON jobs.id = job_id
            WHERE kind = $1 AND state = 'running' AND expires_at > now() ORDER BY started_at LIMIT 1"#,
        kind
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| RunningJob { job_id: JobId(row.id), progress: row.progress }))
}

/// Deletes at most `limit` jobs that finished before `time` in one of these states, with their attempts.
pub async fn prune(pool: &PgPool, states: &[JobState], time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM jobs WHERE id IN (
               SELECT id FROM jobs WHERE finished_at < $2 AND state = ANY($1) ORDER BY finished_at LIMIT $3)"#,
        &names(states, JobState::as_str) as &[&str],
        time,
        limit
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
