//! Retries or cancels the jobs of a batch.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::BatchOutcome;
use crate::db::DbError;
use crate::db::bulk_actions::batches::BulkItem;
use crate::db::jobs::control::{self, LockedJob};
use crate::domain::bulk_action::SkippedItem;
use crate::domain::job::JobId;
use crate::operations::idempotency::IdempotencyError;
use crate::operations::retry_job::{RetryError, retry};

/// What is done to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobChange {
    Retry,
    Cancel,
}

pub(super) async fn change_jobs(
    connection: &mut PgConnection,
    items: &[BulkItem],
    change: JobChange,
    requested_by: &str,
) -> Result<BatchOutcome, DbError> {
    let ids: Vec<Uuid> = items.iter().map(|item| item.id).collect();
    let locked = control::lock_all(connection, &ids).await?;
    let mut found: BTreeMap<Uuid, LockedJob> = locked.into_iter().map(|(JobId(id), job)| (id, job)).collect();
    let mut outcome = BatchOutcome::default();
    for item in items {
        let changed = match found.remove(&item.id) {
            None => Err(SkippedItem::gone(item.id)),
            Some(job) if job.version() != item.version => Err(SkippedItem::changed(item.id)),
            Some(job) => match change {
                JobChange::Retry => retry_one(connection, item.id, job, requested_by).await?.map(Some),
                JobChange::Cancel => cancel_one(connection, item.id, requested_by).await?.map(|()| None),
            },
        };
        match changed {
            Ok(due) => {
                outcome.applied += 1;
                outcome.due.extend(due);
            }
            Err(skipped) => outcome.skipped.push(skipped),
        }
    }
    // A wake-up says that jobs of its queue are due, not how many.
    outcome.due.sort_unstable();
    outcome.due.dedup_by(|next, previous| next.0 == previous.0);
    Ok(outcome)
}

/// Returns the job that is due now, and its queue.
async fn retry_one(
    connection: &mut PgConnection,
    id: Uuid,
    job: LockedJob,
    requested_by: &str,
) -> Result<Result<(String, JobId), SkippedItem>, DbError> {
    let queue = job.queue.clone();
    match retry(connection, JobId(id), job, requested_by).await {
        Ok(retried) => Ok(Ok((queue, retried.job_id))),
        Err(RetryError::Idempotency(IdempotencyError::Db(error))) => Err(error),
        Err(refused) => Ok(Err(SkippedItem::refused(id, refused.to_string()))),
    }
}

async fn cancel_one(
    connection: &mut PgConnection,
    id: Uuid,
    requested_by: &str,
) -> Result<Result<(), SkippedItem>, DbError> {
    let cancelled = control::cancel(connection, JobId(id), requested_by).await?;
    Ok(cancelled.map(drop).ok_or_else(|| SkippedItem::changed(id)))
}
