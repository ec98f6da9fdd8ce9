//! Claims: who may work on a job, and write in its name.
//!
//! A claim is a lease and an epoch that grows with each claim. Whoever holds an old epoch changes nothing: every statement
//! here is guarded by it. Locks are always taken in the order job, then lease.

use std::time::Duration;

use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::types::interval;
use crate::domain::job::attempt::{ClaimedJob, Outcome};
use crate::domain::job::{Claim, JobId, JobState, Priority, Trigger};

/// Who claims, and what.
#[derive(Debug, Clone, Copy)]
pub struct Claimer<'a> {
    /// The queues that are served.
    pub queues: &'a [String],
    /// The name of the process, never used before.
    pub worker: &'a str,
    /// How long a claim holds without being renewed.
    pub lease: Duration,
    /// Suspects alone are claimed, by a process that does nothing beside; else anything but suspects.
    pub isolated: bool,
}

/// What was claimed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClaimedBatch {
    /// The jobs.
    pub jobs: Vec<ClaimedJob>,
    /// Whether more may be due: it is worth while to look again.
    pub more: bool,
}

/// Claims up to `hands` due jobs: the most urgent, then the longest due, of those whose limit is free and whose queue is not
/// paused. Jobs that other workers are claiming at the moment are passed over, not waited for.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn claim(pool: &PgPool, claimer: &Claimer<'_>, hands: u32) -> Result<ClaimedBatch, DbError> {
    // As many claimers as may be at it at once find each other's choices locked; beyond these they find their own.
    let window = i64::from(hands) + 16;
    let rows = sqlx::query!(
        r#"WITH best AS MATERIALIZED (
               SELECT due.id
                 FROM unnest($1::text[]) AS served (queue)
                      CROSS JOIN unnest($2::smallint[]) AS urgency (priority)
                      CROSS JOIN LATERAL (
                          SELECT id, priority, due_at FROM jobs
                           WHERE queue = served.queue AND suspect = $3 AND priority = urgency.priority
                             AND state IN ('queued', 'scheduled', 'retrying') AND due_at <= now()
                             AND NOT EXISTS (SELECT 1 FROM job_leases WHERE job_leases.limit_key = jobs.limit_key)
                           ORDER BY due_at, id LIMIT $4) AS due
                WHERE NOT EXISTS (SELECT 1 FROM queue_pauses WHERE queue_pauses.queue = served.queue)
                ORDER BY due.priority, due.due_at, due.id LIMIT $4),
           candidate AS (
               SELECT id, epoch + 1 AS epoch, limit_key FROM jobs
                WHERE id IN (SELECT id FROM best) AND suspect = $3
                  AND state IN ('queued', 'scheduled', 'retrying') AND due_at <= now()
                ORDER BY priority, due_at, id
                LIMIT $5 FOR UPDATE SKIP LOCKED),
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
                         priority, due_at),
           tried AS (
               INSERT INTO job_attempts (job_id, epoch, attempt, worker, started_at)
               SELECT id, epoch, attempt, $6, now() FROM claimed)
           SELECT (SELECT count(*) FROM best) AS "found!", claimed.id AS "id?", epoch AS "epoch?", kind AS "kind?",
                  args AS "args?", checkpoint, trigger AS "trigger?", attempt AS "attempt?", max_attempts AS "max_attempts?",
                  created_at AS "created_at?"
             FROM (SELECT) AS nothing LEFT JOIN claimed ON true
            ORDER BY priority, due_at, claimed.id"#,
        claimer.queues,
        &Priority::ALL.map(|priority| priority as i16),
        claimer.isolated,
        window,
        i64::from(hands),
        claimer.worker,
        interval(claimer.lease),
    )
    .fetch_all(pool)
    .await?;
    let found = rows.first().map_or(0, |row| row.found);
    let mut jobs = vec![];
    for row in rows {
        // Where nothing was claimed there is one row, and it holds no job.
        let (Some(id), Some(epoch), Some(kind), Some(args), Some(trigger)) =
            (row.id, row.epoch, row.kind, row.args, row.trigger)
        else {
            continue;
        };
        let (Some(attempt), Some(max_attempts), Some(created_at)) = (row.attempt, row.max_attempts, row.created_at)
        else {
            continue;
        };
        jobs.push(ClaimedJob {
            claim: Claim { job_id: JobId(id), epoch },
            kind,
            args,
            checkpoint: row.checkpoint,
            trigger: Trigger::try_from(trigger)?,
            attempt: attempt.unsigned_abs(),
            max_attempts: max_attempts.unsigned_abs(),
            created_at,
        });
    }
    let more = usize::try_from(found).is_ok_and(|found| found > jobs.len());
    Ok(ClaimedBatch { jobs, more })
}

/// Checks, inside the transaction of whoever writes in the name of the job, that the claim still holds, and notes how far
/// it has come. The row stays locked until the commit, so no other worker can claim the job in between.
///
/// # Errors
/// [`DbError::ClaimLost`] where it does not; nothing may be committed then.
pub async fn verify_claim(connection: &mut PgConnection, claim: &Claim, progress: &Value) -> Result<(), DbError> {
    verify_claim_and_checkpoint(connection, claim, progress, None).await
}

/// The same, and notes what a later attempt goes on from; where nothing is said, what was noted before stays.
///
/// # Errors
/// As [`verify_claim`].
pub async fn verify_claim_and_checkpoint(
    connection: &mut PgConnection,
    claim: &Claim,
    progress: &Value,
    checkpoint: Option<&Value>,
) -> Result<(), DbError> {
    let held = sqlx::query!(
        r#"UPDATE jobs SET progress = $3, checkpoint = COALESCE($4, checkpoint)
            WHERE id = $1 AND epoch = $2 AND state = 'running'"#,
        claim.job_id.0,
        claim.epoch,
        progress,
        checkpoint
    )
    .execute(connection)
    .await?;
    if held.rows_affected() == 1 { Ok(()) } else { Err(DbError::ClaimLost) }
}

/// An attempt that went well.
#[derive(Debug, Clone, PartialEq)]
pub struct Success {
    /// In whose name.
    pub claim: Claim,
    /// What came of it.
    pub result: Value,
}

/// Ends attempts that went well, and says which: the others have passed to other workers.
///
/// # Errors
/// [`DbError`] where the database refuses: none was ended.
pub async fn succeed_all(pool: &PgPool, successes: &[Success]) -> Result<Vec<Claim>, DbError> {
    let jobs: Vec<Uuid> = successes.iter().map(|success| success.claim.job_id.0).collect();
    let epochs: Vec<i64> = successes.iter().map(|success| success.claim.epoch).collect();
    let results: Vec<Value> = successes.iter().map(|success| success.result.clone()).collect();
    let moved = sqlx::query!(
        r#"WITH moved AS (
               UPDATE jobs
                  SET state = 'succeeded', finished_at = now(), result = done.result, suspect = false, deaths_alone = 0
                 FROM UNNEST($1::uuid[], $2::bigint[], $3::jsonb[]) AS done (job_id, epoch, result)
                WHERE jobs.id = done.job_id AND jobs.epoch = done.epoch AND state = 'running'
               RETURNING jobs.id, jobs.epoch),
           freed AS (DELETE FROM job_leases USING moved WHERE job_id = moved.id),
           noted AS (
               UPDATE job_attempts SET finished_at = now(), outcome = 'succeeded'
                 FROM moved WHERE job_id = moved.id AND job_attempts.epoch = moved.epoch)
           SELECT id, epoch FROM moved"#,
        &jobs,
        &epochs,
        &results
    )
    .fetch_all(pool)
    .await?;
    Ok(moved.into_iter().map(|row| Claim { job_id: JobId(row.id), epoch: row.epoch }).collect())
}

/// Ends an attempt: the job moves on, the lease goes. Says where the job stands now: whoever was told to stop does not wait
/// for another attempt.
///
/// # Errors
/// [`DbError::ClaimLost`] where somebody else has the job by now.
pub async fn finish(connection: &mut PgConnection, claim: &Claim, outcome: &Outcome) -> Result<JobState, DbError> {
    let state = outcome.next_state();
    let moved = sqlx::query_scalar!(
        r#"WITH moved AS (
               UPDATE jobs
                  SET state = CASE WHEN $8 OR cancel_requested_at IS NULL THEN $3 ELSE 'cancelled' END,
                      finished_at = CASE WHEN $8 OR cancel_requested_at IS NOT NULL THEN now() END,
                      error = COALESCE($4, CASE WHEN $3 <> 'succeeded' THEN 'cancelled by ' || cancel_requested_by END),
                      result = $5, due_at = now() + $6::interval, attempt = attempt - $7::int,
                      suspect = suspect AND $7::int = 1, deaths_alone = CASE WHEN $7::int = 1 THEN deaths_alone ELSE 0 END
                WHERE id = $1 AND epoch = $2 AND state = 'running'
               RETURNING id, state),
           freed AS (DELETE FROM job_leases USING moved WHERE job_id = moved.id),
           noted AS (
               UPDATE job_attempts SET finished_at = now(), outcome = $9, error = $4
                 FROM moved WHERE job_id = moved.id AND epoch = $2)
           SELECT state FROM moved"#,
        claim.job_id.0,
        claim.epoch,
        state.as_str(),
        outcome.error(),
        outcome.result(),
        interval(outcome.wait()),
        i32::from(!outcome.counts()),
        state.is_finished(),
        outcome.name()
    )
    .fetch_optional(connection)
    .await?;
    JobState::try_from(moved.ok_or(DbError::ClaimLost)?)
}
