//! Leases: until when nobody else may work on a job, and what becomes of it when its worker has died.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::types::interval;
use crate::domain::job::attempt::{MAX_ISOLATED_DEATHS, POISON, WORKER_DIED};
use crate::domain::job::{Claim, JobId, JobState};

/// A claim that still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenewedClaim {
    /// Which.
    pub claim: Claim,
    /// Whether somebody has told the job to stop.
    pub cancel_requested: bool,
}

/// Renews the leases of `held`, and says which of them still hold: the others have passed on. Only what a worker knows to
/// be at work is renewed, so that a claim whose answer was lost on the way runs out.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn renew(pool: &PgPool, held: &[Claim], lease: Duration) -> Result<Vec<RenewedClaim>, DbError> {
    let (jobs, epochs): (Vec<Uuid>, Vec<i64>) = held.iter().map(|claim| (claim.job_id.0, claim.epoch)).unzip();
    let still = sqlx::query!(
        r#"WITH renewed AS (
               UPDATE job_leases SET expires_at = now() + $3::interval
                 FROM UNNEST($1::uuid[], $2::bigint[]) AS held (job_id, epoch)
                WHERE job_leases.job_id = held.job_id AND job_leases.epoch = held.epoch
               RETURNING job_leases.job_id, job_leases.epoch)
           SELECT job_id, renewed.epoch, cancel_requested_at IS NOT NULL AS "cancel_requested!"
             FROM renewed JOIN jobs ON jobs.id = job_id"#,
        &jobs,
        &epochs,
        interval(lease)
    )
    .fetch_all(pool)
    .await?;
    let renewed = still.into_iter().map(|row| RenewedClaim {
        claim: Claim { job_id: JobId(row.job_id), epoch: row.epoch },
        cancel_requested: row.cancel_requested,
    });
    Ok(renewed.collect())
}

/// What nobody looks after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unattended {
    /// Leases have run out.
    pub leases: bool,
    /// Suspects have been due for a while.
    pub suspects: bool,
}

/// Looks for leases that ran out, and for suspects of `queues` that have been due for longer than `patience`.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn find_unattended(pool: &PgPool, queues: &[String], patience: Duration) -> Result<Unattended, DbError> {
    let row = sqlx::query!(
        r#"SELECT EXISTS (SELECT 1 FROM job_leases WHERE expires_at < now()) AS "leases!",
                  EXISTS (SELECT 1 FROM jobs
                           WHERE queue = ANY($1) AND suspect AND state IN ('queued', 'scheduled', 'retrying')
                             AND due_at <= now() - $2::interval
                             AND NOT EXISTS (SELECT 1 FROM queue_pauses WHERE queue_pauses.queue = jobs.queue)
                             AND NOT EXISTS (SELECT 1 FROM job_leases WHERE job_leases.limit_key = jobs.limit_key)
                         ) AS "suspects!""#,
        queues,
        interval(patience)
    )
    .fetch_one(pool)
    .await?;
    Ok(Unattended { leases: row.leases, suspects: row.suspects })
}

/// A job whose worker has died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostJob {
    /// The job.
    pub job_id: JobId,
    /// The name of its kind.
    pub kind: String,
    /// Where it stands now: it waits, or it is poison, or it had been told to stop.
    pub state: JobState,
    /// What is said of it.
    pub error: String,
}

/// Takes the jobs whose lease ran out from their workers. Each is a suspect now, due at once, and the death costs it no
/// attempt; one that died alone for the last time has failed.
///
/// # Errors
/// [`DbError`] where the database refuses, or holds an impossible row.
pub async fn release_expired(connection: &mut PgConnection) -> Result<Vec<LostJob>, DbError> {
    let rows = sqlx::query!(
        r#"WITH expired AS (
               SELECT jobs.id, jobs.epoch, deaths_alone + alone::int AS deaths,
                      CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
                           WHEN deaths_alone + alone::int >= $1 THEN 'failed'
                           ELSE 'retrying' END AS fate
                 FROM job_leases JOIN jobs ON jobs.id = job_id
                WHERE expires_at < now() AND state = 'running' FOR UPDATE OF jobs SKIP LOCKED),
           freed AS (
               DELETE FROM job_leases USING expired
                WHERE job_id = expired.id AND job_leases.epoch = expired.epoch AND expires_at < now()
               RETURNING job_id, deaths, fate),
           moved AS (
               UPDATE jobs
                  SET state = fate, suspect = fate = 'retrying', deaths_alone = deaths, attempt = attempt - 1,
                      due_at = now(), finished_at = CASE WHEN fate <> 'retrying' THEN now() END,
                      error = CASE fate WHEN 'failed' THEN $2 WHEN 'retrying' THEN $3
                                        ELSE 'cancelled by ' || cancel_requested_by END
                 FROM freed WHERE jobs.id = freed.job_id
               RETURNING jobs.id, kind, jobs.epoch, state, error),
           noted AS (
               UPDATE job_attempts SET finished_at = now(), outcome = 'lost', error = 'the worker died'
                 FROM moved WHERE job_id = moved.id AND job_attempts.epoch = moved.epoch)
           SELECT id, kind, state, COALESCE(error, 'cancelled') AS "error!" FROM moved"#,
        i32::from(MAX_ISOLATED_DEATHS),
        POISON,
        WORKER_DIED
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
