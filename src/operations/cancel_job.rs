//! Cancels a job.
//!
//! A waiting job is cancelled at once. A running job is only marked: its worker sees the mark at its next heartbeat and
//! stops the job, which only that process can do.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::audit::{AuditContext, AuditRecord};
use crate::db::DbError;
use crate::db::jobs::control;
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
pub async fn cancel_job(
    pool: &PgPool,
    job_id: JobId,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<JobState, CancelError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let (before, state) = cancel(&mut transaction, job_id, &audit.principal.name).await?;
    let record = AuditRecord::succeeded(json!({"job_id": job_id}))
        .with_change(json!({"state": before.as_str()}), json!({"state": state.as_str(), "cancel_requested": true}));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    tracing::info!(%job_id, requested_by = audit.principal.name, state = state.as_str(), "job cancelled");
    Ok(state)
}

/// Cancels a job in the transaction of `connection`. Returns its states before and after.
pub(super) async fn cancel(
    connection: &mut PgConnection,
    job_id: JobId,
    requested_by: &str,
) -> Result<(JobState, JobState), CancelError> {
    let before = control::lock(connection, job_id).await?.ok_or(CancelError::NotFound)?.state;
    let state = control::cancel(connection, job_id, requested_by).await?.ok_or(CancelError::Finished(before))?;
    Ok((before, state))
}
