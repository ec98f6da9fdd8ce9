//! Leases: who works on a job, and until when nobody else may.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};

use super::DbError;
use super::processes::interval;
use crate::domain::job::JobId;

/// Renews the leases of `worker`, and says which jobs it still holds: any other it believed to hold has passed on.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn renew(pool: &PgPool, worker: &str, lease: Duration) -> Result<Vec<JobId>, DbError> {
    let held = sqlx::query_scalar!(
        "UPDATE job_leases SET expires_at = now() + $2::interval WHERE worker = $1 RETURNING job_id",
        worker,
        interval(lease)
    )
    .fetch_all(pool)
    .await?;
    Ok(held.into_iter().map(JobId).collect())
}

/// A job whose worker has died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The job.
    pub job_id: JobId,
    /// The name of its kind.
    pub kind: String,
    /// Whether it had no attempt left, and so has failed for good.
    pub failed: bool,
}

/// Takes the jobs whose lease ran out from their workers: each is due again at once, unless it has no attempt left.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn take_expired(connection: &mut PgConnection) -> Result<Vec<Lost>, DbError> {
    let rows = sqlx::query!(
        r#"WITH expired AS (
               SELECT jobs.id, jobs.epoch FROM job_leases JOIN jobs ON jobs.id = job_id
                WHERE expires_at < now() FOR UPDATE OF jobs SKIP LOCKED),
           freed AS (
               DELETE FROM job_leases USING expired
                WHERE job_id = expired.id AND job_leases.epoch = expired.epoch AND expires_at < now()
               RETURNING job_id),
           moved AS (
               UPDATE jobs
                  SET state = CASE WHEN attempt < max_attempts THEN 'retrying' ELSE 'failed' END,
                      finished_at = CASE WHEN attempt < max_attempts THEN NULL ELSE now() END,
                      error = 'the worker that ran it died', due_at = now(), rung_at = NULL
                 FROM freed WHERE jobs.id = freed.job_id AND state = 'running'
               RETURNING jobs.id, kind, jobs.epoch, state),
           noted AS (
               UPDATE job_attempts SET finished_at = now(), outcome = 'lost', error = 'the worker died'
                 FROM moved WHERE job_id = moved.id AND job_attempts.epoch = moved.epoch)
           SELECT id, kind, state = 'failed' AS "failed!" FROM moved"#
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| Lost { job_id: JobId(row.id), kind: row.kind, failed: row.failed }).collect())
}
