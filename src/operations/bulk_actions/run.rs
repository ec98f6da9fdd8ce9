//! Carries a bulk action out: a batch per transaction, in which the claim is verified, so that a job that is killed continues after
//! the last batch, and each item is changed once.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::BatchOutcome;
use super::change_discrepancies::change_discrepancies;
use super::change_jobs::{JobChange, change_jobs};
use crate::clock::Clock;
use crate::db::DbError;
use crate::db::access::api_keys;
use crate::db::bulk_actions::StoredBulkAction;
use crate::db::bulk_actions::batches::{self, Batch};
use crate::db::jobs::claims;
use crate::domain::access::key::KeyEnd;
use crate::domain::bulk_action::{BulkAction, BulkCounts};
use crate::domain::job::Claim;
use crate::operations::audit::{AuditContext, SUCCEEDED};
use crate::operations::enqueue_job::send_wakeup;
use crate::redis::Redis;

/// How often a batch is attempted that the database aborts, because it and a reconciliation wait for each other.
const ATTEMPTS: usize = 3;
/// The operation that started it, for the audit log.
const OPERATION: &str = "confirmBulkAction";

#[derive(Debug, thiserror::Error)]
pub enum BulkRunError {
    #[error("bulk action {0} no longer exists: make another preview, and confirm it")]
    NotFound(Uuid),
    #[error("the bulk action was stopped ({0}): make another preview of the rest with a valid key")]
    KeyEnded(KeyEnd),
    #[error(transparent)]
    Db(#[from] DbError),
}

pub struct BulkRunner<'a> {
    pub pool: &'a PgPool,
    pub redis: &'a Redis,
    pub clock: &'a dyn Clock,
}

impl BulkRunner<'_> {
    /// Carries action `id` out under `claim`, and returns what became of its items. Fails with [`DbError::ClaimLost`] if another
    /// worker has claimed the job.
    pub async fn run(&self, claim: &Claim, id: Uuid) -> Result<BulkCounts, BulkRunError> {
        loop {
            if let Some(counts) = self.next(claim, id).await? {
                return Ok(counts);
            }
        }
    }

    async fn next(&self, claim: &Claim, id: Uuid) -> Result<Option<BulkCounts>, BulkRunError> {
        let mut result = self.try_next(claim, id).await;
        for _ in 1..ATTEMPTS {
            if !matches!(result, Err(BulkRunError::Db(DbError::Conflict(_)))) {
                break;
            }
            result = self.try_next(claim, id).await;
        }
        result
    }

    /// Does one batch. Returns what became of all items if there was none left.
    async fn try_next(&self, claim: &Claim, id: Uuid) -> Result<Option<BulkCounts>, BulkRunError> {
        let mut transaction = self.pool.begin().await.map_err(DbError::from)?;
        let locked = batches::lock_for_job(&mut transaction, id, claim.job_id).await?;
        let action = locked.ok_or(BulkRunError::NotFound(id))?;
        let Some(batch) = batches::find_next(&mut transaction, id).await? else {
            finish(&mut transaction, claim, &action, self.clock.now()).await?;
            transaction.commit().await.map_err(DbError::from)?;
            return Ok(Some(action.counts));
        };
        let BatchOutcome { applied, skipped, due } = change(&mut transaction, self.clock, &action, &batch).await?;
        // After the locks, for which it may have waited.
        check_key(&mut transaction, &action, self.clock.now()).await?;
        batches::finish(&mut transaction, id, batch.number, applied, &skipped).await?;
        let BulkCounts { count, applied: applied_before, skipped: skipped_before } = action.counts;
        let done = applied_before + skipped_before + batch.items.len() as u64;
        claims::verify_claim(&mut transaction, claim, &json!({"progress": done, "total": count})).await?;
        transaction.commit().await.map_err(DbError::from)?;
        for (queue, job_id) in due {
            send_wakeup(self.redis, &queue, job_id).await;
        }
        Ok(None)
    }
}

/// Records the outcome, unless an earlier attempt has.
async fn finish(
    connection: &mut PgConnection,
    claim: &Claim,
    action: &StoredBulkAction,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let BulkCounts { count, applied, .. } = action.counts;
    if action.times.finished_at.is_none() {
        batches::finish_action(connection, action.id, now).await?;
    }
    claims::verify_claim(connection, claim, &json!({"progress": count, "total": count})).await?;
    if action.times.finished_at.is_none() {
        let audit = AuditContext::new(action.by.clone(), OPERATION);
        audit.append_outcome(connection, action.id, SUCCEEDED, applied, now).await?;
    }
    Ok(())
}

/// Keys of `API_KEYS` are not in the table, and valid as long as the web processes accept them.
async fn check_key(
    connection: &mut PgConnection,
    action: &StoredBulkAction,
    now: DateTime<Utc>,
) -> Result<(), BulkRunError> {
    let end = api_keys::find_end(connection, action.by.key_id, now).await?;
    end.map_or(Ok(()), |end| Err(BulkRunError::KeyEnded(end)))
}

async fn change(
    connection: &mut PgConnection,
    clock: &dyn Clock,
    StoredBulkAction { action, by, .. }: &StoredBulkAction,
    Batch { items, .. }: &Batch,
) -> Result<BatchOutcome, DbError> {
    match action {
        BulkAction::UpdateDiscrepancies(update) => change_discrepancies(connection, clock, items, update, by).await,
        BulkAction::RetryJobs => change_jobs(connection, items, JobChange::Retry, &by.name).await,
        BulkAction::CancelJobs => change_jobs(connection, items, JobChange::Cancel, &by.name).await,
    }
}
