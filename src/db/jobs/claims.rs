//! Claims: which worker may run a job and write its results.
//!
//! A claim is a lease plus an epoch, which increases with every claim. Every statement here checks the epoch, so a worker with
//! an old one changes nothing (fencing). Rows are always locked in the order job, lease.
//!
//! A claim does not wait until it is on disk, which would delay every job. If the server crashes within the next moments the job
//! is unclaimed again, and the worker notices it like any lost claim; what it commits meanwhile is on disk after its claim, or not
//! at all. The next epoch must differ from the one that was lost, so epochs follow the time. Counting them was rejected: after such
//! a crash, or the failover to a standby that lags, two workers would hold the same epoch.

use std::time::Duration;

use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::db::types::{column, interval, stored_trace};
use crate::domain::job::attempt::{ClaimedJob, Outcome};
use crate::domain::job::{Claim, JobId, JobState, Priority, SuspectLength, Trigger};

#[derive(Debug, Clone, Copy)]
pub struct Claimer<'a> {
    pub queues: &'a [String],
    /// The unique name of the process: `worker-…`, and `worker-…/short/…` or `worker-…/long/…` of the processes that this worker
    /// starts for suspects.
    pub worker: &'a str,
    /// How long a claim lasts unless it is renewed.
    pub lease: Duration,
    /// Claims only these suspects, for a process that runs one job at a time; `None` claims only other jobs.
    pub suspects: Option<Suspects<'a>>,
}

#[derive(Debug, Clone, Copy)]
pub struct Suspects<'a> {
    pub length: SuspectLength,
    /// What [`crate::domain::job::JobKind::long_keys`] returns for the kinds of the program.
    pub long_keys: &'a [String],
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClaimedBatch {
    pub jobs: Vec<ClaimedJob>,
    /// Whether more jobs may be due: claim again.
    pub more: bool,
}

/// Claims up to `limit` due jobs, by priority, then due time; suspects by their expected duration, then due time, so that one
/// that is handed back comes after the others. Skips paused queues, jobs whose concurrency limit is in use, and jobs that another
/// worker is claiming at the same time.
pub async fn claim(pool: &PgPool, claimer: &Claimer<'_>, limit: u32) -> Result<ClaimedBatch, DbError> {
    // Concurrent claimers find the same best rows, and skip those that another one has locked: look at some more.
    let window = i64::from(limit) + 16;
    let rows = sqlx::query!(
        r#"WITH best AS MATERIALIZED (
               SELECT due.id, due.rank
                 FROM unnest($1::text[]) AS served (queue)
                      CROSS JOIN unnest($2::smallint[]) AS urgency (priority)
                      CROSS JOIN LATERAL (
                          SELECT id, due_at,
                                 CASE WHEN $3 THEN COALESCE(array_position($8::text[], COALESCE(limit_key, kind)), 0)
                                      ELSE priority END AS rank
                            FROM jobs
                           WHERE queue = served.queue AND suspect = $3 AND priority = urgency.priority
                             AND state IN ('queued', 'scheduled', 'retrying') AND due_at <= now()
                             AND (NOT $3 OR (COALESCE(limit_key, kind) = ANY($8)) = $9)
                             AND NOT EXISTS (SELECT 1 FROM job_leases WHERE job_leases.limit_key = jobs.limit_key)
                           ORDER BY due_at, id LIMIT $4) AS due
                WHERE NOT EXISTS (SELECT 1 FROM queue_pauses WHERE queue_pauses.queue = served.queue)
                ORDER BY due.rank, due.due_at, due.id LIMIT $4),
           candidate AS (
               SELECT jobs.id, GREATEST(epoch + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS epoch, limit_key
                 FROM best JOIN jobs ON jobs.id = best.id
                WHERE suspect = $3 AND state IN ('queued', 'scheduled', 'retrying') AND due_at <= now()
                ORDER BY rank, due_at, jobs.id
                LIMIT $5 FOR UPDATE OF jobs SKIP LOCKED),
           lease AS (
               INSERT INTO job_leases (job_id, epoch, worker, limit_key, expires_at, alone)
               SELECT id, epoch, $6, limit_key, now() + $7::interval, $3 FROM candidate
                   ON CONFLICT DO NOTHING
               RETURNING job_id, epoch),
           claimed AS (
               UPDATE jobs
                  SET state = 'running', epoch = lease.epoch, attempt = attempt + 1,
                      started_at = COALESCE(started_at, now()), error = NULL
                 FROM lease WHERE jobs.id = lease.job_id
               RETURNING jobs.id, jobs.epoch, kind, args, checkpoint, trigger, attempt, max_attempts, created_at,
                         priority, due_at, traceparent),
           recorded AS (
               INSERT INTO job_attempts (job_id, epoch, attempt, worker, started_at)
               SELECT id, epoch, attempt, $6, now() FROM claimed)
           SELECT (SELECT count(*) FROM best) AS "found!", claimed.id AS "id?", epoch AS "epoch?", kind AS "kind?",
                  args AS "args?", checkpoint, trigger AS "trigger?", attempt AS "attempt?", max_attempts AS "max_attempts?",
                  created_at AS "created_at?", due_at AS "due_at?", traceparent
             FROM set_config('synchronous_commit', 'off', true) LEFT JOIN claimed ON true
            ORDER BY priority, due_at, claimed.id"#,
        claimer.queues,
        &Priority::ALL.map(|priority| priority as i16),
        claimer.suspects.is_some(),
        window,
        i64::from(limit),
        claimer.worker,
        interval(claimer.lease),
        claimer.suspects.map_or(&[][..], |suspects| suspects.long_keys),
        claimer.suspects.is_some_and(|suspects| suspects.length == SuspectLength::Long),
    )
    .fetch_all(pool)
    .await?;
    let found = rows.first().map_or(0, |row| row.found);
    let mut jobs = vec![];
    for row in rows {
        // If nothing was claimed there is one row, without a job.
        let (Some(id), Some(epoch), Some(kind), Some(args), Some(trigger)) =
            (row.id, row.epoch, row.kind, row.args, row.trigger)
        else {
            continue;
        };
        let (Some(attempt), Some(max_attempts)) = (row.attempt, row.max_attempts) else { continue };
        let (Some(created_at), Some(due_at)) = (row.created_at, row.due_at) else { continue };
        jobs.push(ClaimedJob {
            claim: Claim { job_id: JobId(id), epoch },
            kind,
            args,
            checkpoint: row.checkpoint,
            trigger: Trigger::try_from(trigger)?,
            attempt: attempt.unsigned_abs(),
            max_attempts: max_attempts.unsigned_abs(),
            created_at,
            due_at,
            trace: stored_trace(row.traceparent.as_deref()),
        });
    }
    let more = usize::try_from(found).is_ok_and(|found| found > jobs.len());
    Ok(ClaimedBatch { jobs, more })
}

/// Checks, in the transaction that writes results of the job, that the claim is still valid, and stores the job's progress.
/// The row stays locked until the commit, so that no other worker can claim the job in between.
///
/// # Errors
/// [`DbError::ClaimLost`] if it is not valid; the transaction must not be committed then.
pub async fn verify_claim(connection: &mut PgConnection, claim: &Claim, progress: &Value) -> Result<(), DbError> {
    verify_claim_and_checkpoint(connection, claim, progress, None).await
}

/// [`verify_claim`], which also stores the checkpoint that a later attempt starts from; `None` keeps the stored one.
pub async fn verify_claim_and_checkpoint(
    connection: &mut PgConnection,
    claim: &Claim,
    progress: &Value,
    checkpoint: Option<&Value>,
) -> Result<(), DbError> {
    let updated = sqlx::query!(
        r#"UPDATE jobs SET progress = $3, checkpoint = COALESCE($4, checkpoint)
            WHERE id = $1 AND epoch = $2 AND state = 'running'"#,
        claim.job_id.0,
        claim.epoch,
        progress,
        checkpoint
    )
    .execute(connection)
    .await?;
    if updated.rows_affected() == 1 { Ok(()) } else { Err(DbError::ClaimLost) }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Success {
    pub claim: Claim,
    pub result: Value,
}

/// Ends successful attempts. Returns the claims that were still valid; other workers have the other jobs.
pub async fn succeed_all(pool: &PgPool, successes: &[Success]) -> Result<Vec<Claim>, DbError> {
    let finished = sqlx::query!(
        r#"WITH finished AS (
               UPDATE jobs
                  SET state = 'succeeded', finished_at = now(), result = success.result, suspect = false, deaths_alone = 0
                 FROM UNNEST($1::uuid[], $2::bigint[], $3::jsonb[]) AS success (job_id, epoch, result)
                WHERE jobs.id = success.job_id AND jobs.epoch = success.epoch AND state = 'running'
               RETURNING jobs.id, jobs.epoch),
           released AS (DELETE FROM job_leases USING finished WHERE job_id = finished.id),
           recorded AS (
               UPDATE job_attempts SET finished_at = now(), outcome = 'succeeded'
                 FROM finished WHERE job_id = finished.id AND job_attempts.epoch = finished.epoch)
           SELECT id, epoch FROM finished"#,
        &column(successes, |success| success.claim.job_id.0),
        &column(successes, |success| success.claim.epoch),
        &column(successes, |success| success.result.clone())
    )
    .fetch_all(pool)
    .await?;
    Ok(finished.into_iter().map(|row| Claim { job_id: JobId(row.id), epoch: row.epoch }).collect())
}

/// Ends an attempt and releases the lease. Returns the new state of the job: one whose cancellation was requested is cancelled
/// instead of waiting for another attempt.
///
/// # Errors
/// [`DbError::ClaimLost`] if another worker has the job.
pub async fn finish(connection: &mut PgConnection, claim: &Claim, outcome: &Outcome) -> Result<JobState, DbError> {
    let next_state = outcome.next_state();
    let state = sqlx::query_scalar!(
        r#"WITH finished AS (
               UPDATE jobs
                  SET state = CASE WHEN $8 OR cancel_requested_at IS NULL THEN $3 ELSE 'cancelled' END,
                      finished_at = CASE WHEN $8 OR cancel_requested_at IS NOT NULL THEN now() END,
                      error = COALESCE($4, CASE WHEN $3 <> 'succeeded' THEN 'cancelled by ' || cancel_requested_by END),
                      result = $5, due_at = now() + $6::interval, attempt = attempt - $7::int,
                      suspect = suspect AND $7::int = 1, deaths_alone = CASE WHEN $7::int = 1 THEN deaths_alone ELSE 0 END
                WHERE id = $1 AND epoch = $2 AND state = 'running'
               RETURNING id, state),
           released AS (DELETE FROM job_leases USING finished WHERE job_id = finished.id),
           recorded AS (
               UPDATE job_attempts SET finished_at = now(), outcome = $9, error = $4
                 FROM finished WHERE job_id = finished.id AND epoch = $2)
           SELECT state FROM finished"#,
        claim.job_id.0,
        claim.epoch,
        next_state.as_str(),
        outcome.error(),
        outcome.result(),
        interval(outcome.wait()),
        i32::from(!outcome.counts()),
        next_state.is_finished(),
        outcome.name()
    )
    .fetch_optional(connection)
    .await?;
    JobState::try_from(state.ok_or(DbError::ClaimLost)?)
}
