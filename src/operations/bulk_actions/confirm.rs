//! Confirms a preview: enqueues the job that carries it out, once per token.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::BulkActionError;
use super::preview::token_hash;
use crate::db::bulk_actions::{self, StoredBulkAction};
use crate::db::{DbError, jobs};
use crate::domain::job::{BulkActionArgs, NewJob, RUN_BULK_ACTION, Trigger};
use crate::operations::audit::{AuditContext, AuditRecord};
use crate::operations::enqueue_job::send_wakeup;
use crate::redis::Redis;

/// Returns the id of the action. A token that was confirmed before changes nothing.
pub async fn confirm_bulk_action(
    pool: &PgPool,
    redis: &Redis,
    token: &str,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<Uuid, BulkActionError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let by = &audit.principal;
    let found = bulk_actions::lock_by_token(&mut transaction, &token_hash(token)).await?;
    // The scope of a person who has signed in again may be another one.
    let is_own = |action: &StoredBulkAction| action.by.key_id == by.key_id && by.scope.includes(&action.by.scope);
    let action = found.filter(is_own).ok_or(BulkActionError::UnknownToken)?;
    if action.times.confirmed_at.is_some() {
        return Ok(action.id);
    }
    if action.times.expires_at <= now {
        return Err(BulkActionError::Expired);
    }
    let args = BulkActionArgs { bulk_action_id: action.id };
    let job = NewJob {
        requested_by: Some(by.name.clone()),
        ..NewJob::with_args(&RUN_BULK_ACTION, json!(args), Trigger::Api)
    };
    let job_id = jobs::insert_or_join(&mut transaction, &job).await?.job_id;
    bulk_actions::confirm(&mut transaction, action.id, job_id, now).await?;
    // Without an outcome: the job adds it.
    let record =
        AuditRecord { details: described(&action), after: Some(json!({"job_id": job_id})), ..AuditRecord::default() };
    audit.append_as(&mut transaction, action.id, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    send_wakeup(redis, RUN_BULK_ACTION.queue, job_id).await;
    let (kind, count) = (action.action.kind().as_str(), action.counts.count);
    tracing::info!(bulk_action_id = %action.id, kind, count, requested_by = by.name, "bulk action confirmed");
    Ok(action.id)
}

/// What the audit log says about an action.
fn described(action: &StoredBulkAction) -> Value {
    let StoredBulkAction { id, filter, changes, counts, .. } = action;
    let kind = action.action.kind();
    json!({"bulk_action_id": id, "action": kind, "filter": filter, "changes": changes, "count": counts.count})
}
