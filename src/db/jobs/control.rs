//! What a person does to a job: cancel it, bring it forward, or have what failed done again.
//!
//! Every change of state is one guarded statement, so that of a person and a worker at once one is first and the other
//! finds what it left.

use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::domain::job::{JobId, JobState, Priority};

/// Cancels a job that waits, or tells one that runs to stop, in the name of `requested_by`; says where it stands then.
/// None where there is no such job, or it has come to its end already. A second request changes nothing.
///
/// # Errors
/// [`DbError`] where the database refuses, or holds an impossible row.
pub async fn cancel(pool: &PgPool, job_id: JobId, requested_by: &str) -> Result<Option<JobState>, DbError> {
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
    .fetch_optional(pool)
    .await?;
    state.map(JobState::try_from).transpose()
}

/// What must be known of a job to have it done again.
#[derive(Debug, Clone, PartialEq)]
pub struct LockedJob {
    /// The name of its kind.
    pub kind: String,
    /// What it was told.
    pub args: Value,
    /// Where it waited.
    pub queue: String,
    /// Where it stands.
    pub state: JobState,
    /// A live job of the kind with the same key is joined.
    pub unique_key: Option<String>,
}

/// Finds a job and holds it as it is until the end of the transaction.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn lock(connection: &mut PgConnection, job_id: JobId) -> Result<Option<LockedJob>, DbError> {
    let row = sqlx::query!("SELECT kind, args, queue, state, unique_key FROM jobs WHERE id = $1 FOR UPDATE", job_id.0)
        .fetch_optional(connection)
        .await?;
    row.map(|row| {
        let state = JobState::try_from(row.state)?;
        Ok(LockedJob { kind: row.kind, args: row.args, queue: row.queue, state, unique_key: row.unique_key })
    })
    .transpose()
}

/// Lets a job that waits for its time run now, before what nobody waits for.
///
/// # Errors
/// [`DbError`] where the database refuses.
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
