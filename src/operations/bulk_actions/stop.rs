//! Stops a bulk action by cancelling its job. What was changed stays changed; the rest stays as it is.
//!
//! Besides the cancellation of jobs, because that covers all projects: a key that is limited to some must be able to stop what it
//! has started.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::{BulkActionError, find_bulk_action};
use crate::db::DbError;
use crate::db::bulk_actions::StoredBulkAction;
use crate::operations::audit::{AuditContext, AuditRecord};
use crate::operations::cancel_job::{self, CancelError};

pub async fn stop_bulk_action(
    pool: &PgPool,
    id: Uuid,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<StoredBulkAction, BulkActionError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let action = find_bulk_action(&mut *transaction, &audit.principal, id).await?;
    let job_id = action.job_id.ok_or(BulkActionError::Ended)?;
    let cancelled = cancel_job::cancel(&mut transaction, job_id, &audit.principal.name).await;
    let (before, after) = cancelled.map_err(|error| match error {
        CancelError::NotFound | CancelError::Finished(_) => BulkActionError::Ended,
        CancelError::Db(error) => error.into(),
    })?;
    let record = AuditRecord::succeeded(json!({"bulk_action_id": id, "job_id": job_id}))
        .with_change(json!({"state": before}), json!({"state": after, "cancel_requested": true}));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    find_bulk_action(pool, &audit.principal, id).await
}
