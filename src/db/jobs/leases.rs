//! Leases: how long a claim lasts, and what happens to a job whose worker died.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::db::types::{column, interval};
use crate::domain::job::attempt::{MAX_ISOLATED_DEATHS, POISON, WORKER_DIED};
use crate::domain::job::{Claim, JobId, JobState};

/// Longer than a short suspect may run at a time.
const APART: Duration = Duration::from_mins(6);

/// A claim that is still valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenewedClaim {
    pub claim: Claim,
    pub cancel_requested: bool,
}

/// Renews the leases of `held` and returns the valid ones; other workers have the other jobs. A worker renews only what it
/// runs, so that a claim whose response was lost on the way to it expires.
pub async fn renew(pool: &PgPool, held: &[Claim], lease: Duration) -> Result<Vec<RenewedClaim>, DbError> {
    let rows = sqlx::query!(
        r#"WITH renewed AS (
               UPDATE job_leases SET expires_at = now() + $3::interval
                 FROM UNNEST($1::uuid[], $2::bigint[]) AS held (job_id, epoch)
                WHERE job_leases.job_id = held.job_id AND job_leases.epoch = held.epoch
               RETURNING job_leases.job_id, job_leases.epoch)
           SELECT job_id, renewed.epoch, cancel_requested_at IS NOT NULL AS "cancel_requested!"
             FROM renewed JOIN jobs ON jobs.id = job_id"#,
        &column(held, |claim| claim.job_id.0),
        &column(held, |claim| claim.epoch),
        interval(lease)
    )
    .fetch_all(pool)
    .await?;
    let renewed = rows.into_iter().map(|row| RenewedClaim {
        claim: Claim { job_id: JobId(row.job_id), epoch: row.epoch },
        cancel_requested: row.cancel_requested,
    });
    Ok(renewed.collect())
}

/// Jobs that need the attention of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unattended {
    /// Leases have expired.
    pub leases: bool,
    /// Short suspects have been due for some time.
    pub short_suspects: bool,
    /// Long suspects have been due for some time.
    pub long_suspects: bool,
}

/// Checks for expired leases, and for suspect jobs of `queues` that have been due for longer than `grace`. `long_keys` is what
/// [`crate::domain::job::JobKind::long_keys`] returns.
pub async fn find_unattended(
    pool: &PgPool,
    queues: &[String],
    long_keys: &[String],
    grace: Duration,
) -> Result<Unattended, DbError> {
    let row = sqlx::query!(
        r#"WITH suspects AS (
               SELECT COALESCE(limit_key, kind) = ANY($3) AS is_long FROM jobs
                WHERE queue = ANY($1) AND suspect AND state IN ('queued', 'scheduled', 'retrying')
                  AND due_at <= now() - $2::interval
                  AND NOT EXISTS (SELECT 1 FROM queue_pauses WHERE queue_pauses.queue = jobs.queue)
                  AND NOT EXISTS (SELECT 1 FROM job_leases WHERE job_leases.limit_key = jobs.limit_key))
           SELECT EXISTS (SELECT 1 FROM job_leases WHERE expires_at < now()) AS "leases!",
                  EXISTS (SELECT 1 FROM suspects WHERE NOT is_long) AS "short_suspects!",
                  EXISTS (SELECT 1 FROM suspects WHERE is_long) AS "long_suspects!""#,
        queues,
        interval(grace),
        long_keys
    )
    .fetch_one(pool)
    .await?;
    Ok(Unattended { leases: row.leases, short_suspects: row.short_suspects, long_suspects: row.long_suspects })
}

/// A job whose worker died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostJob {
    pub job_id: JobId,
    pub kind: String,
    /// `Retrying`, `Failed` if it is poison, or `Cancelled` if that was requested.
    pub state: JobState,
    pub error: String,
}

/// Releases the jobs whose leases have expired. Each becomes suspect and due at once, and the lost attempt does not count; a job
/// that killed its isolated process [`MAX_ISOLATED_DEATHS`] times fails.
///
/// If both isolated processes of a worker died together (the whole machine did), the death counts for neither of their jobs,
/// because either may have caused it. The long one is then due after [`APART`], so that the next death names the culprit.
pub async fn release_expired(connection: &mut PgConnection) -> Result<Vec<LostJob>, DbError> {
    let rows = sqlx::query!(
        r#"WITH expired AS (
               SELECT jobs.id, jobs.epoch, counted.deaths, sibling.expires_at IS NOT NULL AS died_together,
                      CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
                           WHEN counted.deaths >= $1 THEN 'failed'
                           ELSE 'retrying' END AS next_state
                 FROM job_leases AS lease JOIN jobs ON jobs.id = lease.job_id
                      -- Processes that die together renewed their leases for the last time within a second.
                      LEFT JOIN LATERAL (
                          SELECT expires_at FROM job_leases AS other
                           WHERE other.job_id <> lease.job_id AND position('/' IN other.worker) > 0
                             AND split_part(other.worker, '/', 1) = split_part(lease.worker, '/', 1)
                             AND split_part(other.worker, '/', 2) <> split_part(lease.worker, '/', 2)
                             AND other.expires_at < now() + interval '1 second'
                           ORDER BY expires_at DESC LIMIT 1) AS sibling ON position('/' IN lease.worker) > 0
                      CROSS JOIN LATERAL (
                          SELECT deaths_alone + (lease.alone AND sibling.expires_at IS NULL)::int AS deaths) AS counted
                WHERE lease.expires_at < now() AND COALESCE(sibling.expires_at < now(), true) AND state = 'running'
                  FOR UPDATE OF jobs SKIP LOCKED),
           released AS (
               DELETE FROM job_leases USING expired
                WHERE job_id = expired.id AND job_leases.epoch = expired.epoch AND expires_at < now()
               RETURNING job_id, deaths, next_state, died_together AND split_part(worker, '/', 2) = 'long' AS waits),
           moved AS (
               UPDATE jobs
                  SET state = next_state, suspect = next_state = 'retrying', deaths_alone = deaths, attempt = attempt - 1,
                      due_at = CASE WHEN waits THEN now() + $4::interval ELSE now() END,
                      finished_at = CASE WHEN next_state <> 'retrying' THEN now() END,
                      error = CASE next_state WHEN 'failed' THEN $2 WHEN 'retrying' THEN $3
                                        ELSE 'cancelled by ' || cancel_requested_by END
                 FROM released WHERE jobs.id = released.job_id
               RETURNING jobs.id, kind, jobs.epoch, state, error),
           recorded AS (
               UPDATE job_attempts SET finished_at = now(), outcome = 'lost', error = 'the worker died'
                 FROM moved WHERE job_id = moved.id AND job_attempts.epoch = moved.epoch)
           SELECT id, kind, state, COALESCE(error, 'cancelled') AS "error!" FROM moved"#,
        i32::from(MAX_ISOLATED_DEATHS),
        POISON,
        WORKER_DIED,
        interval(APART)
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let state = JobState::try_from(row.state)?;
            Ok(LostJob { job_id: JobId(row.id), kind: row.kind, state, error: row.error })
        })
        .collect()
}
