//! What people do to jobs: cancel, bring forward, retry.
//!
//! Every change of state is one statement that checks the current state, so that a person and a worker who act at the same time
//! cannot overwrite each other.

use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};
use uuid::Uuid;

use crate::db::DbError;
use crate::domain::job::{JobId, JobState, Priority};

/// Cancels a waiting job, or requests a running one to stop, and returns its new state. `None` if there is no such job or it has
/// finished. A second request changes nothing.
pub async fn cancel(
    executor: impl PgExecutor<'_>,
    job_id: JobId,
    requested_by: &str,
) -> Result<Option<JobState>, DbError> {
    let state = sqlx::query_scalar!(
        r#"UPDATE jobs
              SET state = CASE WHEN state = 'running' THEN state ELSE 'cancelled' END,
                  finished_at = CASE WHEN state <> 'running' THEN now() END,
                  error = CASE WHEN state = 'running' THEN error ELSE 'cancelled by ' || $2 END,
                  suspect = suspect AND state = 'running',
                  cancel_requested_at = COALESCE(cancel_requested_at, now()),
                  cancel_requested_by = COALESCE(cancel_requested_by, $2)
            WHERE id = $1 AND state IN ('queued', 'scheduled', 'retrying', 'running')
           RETURNING state"#,
        job_id.0,
        requested_by
    )
    .fetch_optional(executor)
    .await?;
    state.map(JobState::try_from).transpose()
}

/// What a retry needs to know of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct LockedJob {
    pub kind: String,
    pub args: Value,
    pub queue: String,
    pub state: JobState,
    /// A request with the same kind and key joins an unfinished job instead of adding one.
    pub unique_key: Option<String>,
    /// It increases with every claim.
    pub epoch: i64,
}

impl LockedJob {
    /// What distinguishes it from the same job earlier or later, as in the snapshot of a bulk action.
    #[must_use]
    pub fn version(&self) -> String {
        format!("{}.{}", self.state.as_str(), self.epoch)
    }
}

pub async fn lock(connection: &mut PgConnection, job_id: JobId) -> Result<Option<LockedJob>, DbError> {
    Ok(lock_all(connection, &[job_id.0]).await?.pop().map(|(_, job)| job))
}

/// Locks jobs until the end of the transaction. Sorted by id.
pub async fn lock_all(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<(JobId, LockedJob)>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT id, kind, args, queue, state, unique_key, epoch FROM jobs WHERE id = ANY($1) ORDER BY id FOR UPDATE"#,
        ids
    )
    .fetch_all(connection)
    .await?;
    let jobs = rows.into_iter().map(|row| {
        let state = JobState::try_from(row.state)?;
        let (kind, args, queue, unique_key, epoch) = (row.kind, row.args, row.queue, row.unique_key, row.epoch);
        Ok((JobId(row.id), LockedJob { kind, args, queue, state, unique_key, epoch }))
    });
    jobs.collect()
}

/// Makes a job that waits for its due time due now, with the priority of a person's request.
pub async fn bring_forward(connection: &mut PgConnection, job_id: JobId) -> Result<(), DbError> {
    sqlx::query!(
        r#"UPDATE jobs SET due_at = LEAST(due_at, now()), priority = LEAST(priority, $2)
            WHERE id = $1 AND state IN ('scheduled', 'retrying')"#,
        job_id.0,
        Priority::Interactive as i16
    )
    .execute(connection)
    .await?;
    Ok(())
}
