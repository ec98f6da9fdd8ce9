//! Cancels a job because somebody asked for it.
//!
//! One that waits is cancelled in the jobs table, at once. One that runs is only marked: its worker sees the mark with its next
//! heartbeat and stops it, for only there is it known what is to be stopped.

use sqlx::PgPool;

use crate::db::jobs::control;
use crate::db::{DbError, jobs};
use crate::domain::job::{JobId, JobState};

/// Why nothing was cancelled.
#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    /// There is no such job.
    #[error("there is no such job")]
    NotFound,
    /// It has come to its end.
    #[error("the job has ended already ({}): there is nothing left to cancel", .0.as_str())]
    Finished(JobState),
    /// The jobs table cannot take it.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Cancels a job in the name of `requested_by`, and says where it stands then: cancelled, or still running until its worker
/// has stopped it.
///
/// # Errors
/// [`CancelError`] where nothing was cancelled.
pub async fn cancel_job(pool: &PgPool, job_id: JobId, requested_by: &str) -> Result<JobState, CancelError> {
    let Some(state) = control::cancel(pool, job_id, requested_by).await? else {
        // What has ended stays so.
        let glance = jobs::find_summary(pool, job_id).await?.ok_or(CancelError::NotFound)?;
        return Err(CancelError::Finished(glance.state));
    };
    tracing::info!(%job_id, requested_by, state = state.as_str(), "a job is cancelled");
    Ok(state)
}
