//! Cancels a job.
//!
//! A waiting job is cancelled at once. A running job is only marked: its worker sees the mark at its next heartbeat and
//! stops the job, which only that process can do.

use sqlx::PgPool;

use crate::db::jobs::control;
use crate::db::{DbError, jobs};
use crate::domain::job::{JobId, JobState};

#[derive(Debug, thiserror::Error)]
pub enum CancelError {
    #[error("there is no such job")]
    NotFound,
    #[error("the job has ended already ({}): there is nothing to cancel", .0.as_str())]
    Finished(JobState),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Cancels a job and returns its state: cancelled, or still running until its worker stops it.
pub async fn cancel_job(pool: &PgPool, job_id: JobId, requested_by: &str) -> Result<JobState, CancelError> {
    let Some(state) = control::cancel(pool, job_id, requested_by).await? else {
        let job = jobs::find_summary(pool, job_id).await?.ok_or(CancelError::NotFound)?;
        return Err(CancelError::Finished(job.state));
    };
    tracing::info!(%job_id, requested_by, state = state.as_str(), "job cancelled");
    Ok(state)
}
