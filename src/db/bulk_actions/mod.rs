//! Bulk actions: what a person asked for, and how far it is. [`snapshot`] is what matched, [`batches`] is what is still to do.
//!
//! What matched is stored in arrays of some hundred items, which are deleted as they are done: half a million items are a thousand
//! short-lived rows. Rejected: a row per item, which takes ten times as long to insert, and leaves as many dead rows behind.

pub mod batches;
pub mod snapshot;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use super::DbError;
use super::page::{PageWindow, TimeCursor};
use super::types::read_name;
use crate::domain::access::{KeyId, Principal, ProjectScope, Role};
use crate::domain::bulk_action::{BulkAction, BulkActionKind, BulkCounts, BulkTimes};
use crate::domain::job::{JobId, JobState};

/// How many previews of a key wait at the same time; a new one replaces the oldest.
const MAX_PREVIEWS: i64 = 10;

#[derive(Debug)]
pub struct NewBulkAction<'a> {
    pub id: Uuid,
    pub action: &'a BulkAction,
    pub filter: &'a Value,
    pub token_hash: &'a [u8],
    pub by: &'a Principal,
    pub expires_at: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct StoredBulkAction {
    pub id: Uuid,
    pub action: BulkAction,
    pub filter: Value,
    pub changes: Option<Value>,
    /// Whose rights it has.
    pub by: Principal,
    pub counts: BulkCounts,
    pub created_at: DateTime<Utc>,
    pub times: BulkTimes,
    pub job_id: Option<JobId>,
    /// Of the job; `None` after it was deleted.
    pub job_state: Option<JobState>,
    /// Of the job.
    pub error: Option<String>,
}

struct ActionRow {
    id: Uuid,
    kind: String,
    filter: Value,
    changes: Option<Value>,
    requested_by_key: Uuid,
    requested_by: String,
    role: String,
    projects: Option<Vec<String>>,
    item_count: i64,
    applied: i64,
    skipped: i64,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    confirmed_at: Option<DateTime<Utc>>,
    job_id: Option<Uuid>,
    finished_at: Option<DateTime<Utc>>,
    job_state: Option<String>,
    error: Option<String>,
}

fn action(kind: String, changes: Option<&Value>) -> Result<BulkAction, DbError> {
    Ok(match read_name("bulk_actions.kind", kind, BulkActionKind::from_name)? {
        BulkActionKind::RetryJobs => BulkAction::RetryJobs,
        BulkActionKind::CancelJobs => BulkAction::CancelJobs,
        BulkActionKind::UpdateDiscrepancies => {
            let update = serde_json::from_value(changes.cloned().unwrap_or_default());
            BulkAction::UpdateDiscrepancies(
                update.map_err(|error| DbError::impossible("bulk_actions.changes", error.to_string()))?,
            )
        }
    })
}

impl TryFrom<ActionRow> for StoredBulkAction {
    type Error = DbError;

    fn try_from(row: ActionRow) -> Result<Self, DbError> {
        let role = read_name("bulk_actions.role", row.role, Role::from_name)?;
        let [count, applied, skipped] = [row.item_count, row.applied, row.skipped].map(i64::unsigned_abs);
        Ok(Self {
            id: row.id,
            action: action(row.kind, row.changes.as_ref())?,
            filter: row.filter,
            changes: row.changes,
            by: Principal::of_key(KeyId(row.requested_by_key), row.requested_by, role, ProjectScope::new(row.projects)),
            counts: BulkCounts { count, applied, skipped },
            created_at: row.created_at,
            times: BulkTimes {
                expires_at: row.expires_at,
                confirmed_at: row.confirmed_at,
                finished_at: row.finished_at,
            },
            job_id: row.job_id.map(JobId),
            job_state: row.job_state.map(JobState::try_from).transpose()?,
            error: row.error,
        })
    }
}

/// Stores what a person asked for, without items, in place of the oldest preview of the same key if there are too many.
pub async fn insert(connection: &mut PgConnection, new: &NewBulkAction<'_>, now: DateTime<Utc>) -> Result<(), DbError> {
    let changes = match new.action {
        BulkAction::RetryJobs | BulkAction::CancelJobs => None,
        BulkAction::UpdateDiscrepancies(update) => Some(serde_json::json!(update)),
    };
    sqlx::query!(
        r#"WITH replaced AS (
               DELETE FROM bulk_actions WHERE id IN (
                   SELECT id FROM bulk_actions WHERE requested_by_key = $6 AND confirmed_at IS NULL
                    ORDER BY created_at DESC OFFSET $12))
           INSERT INTO bulk_actions (id, kind, filter, changes, token_hash, requested_by_key, requested_by, role, projects, item_count,
                                     created_at, expires_at)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11)"#,
        new.id,
        new.action.kind().as_str(),
        new.filter,
        changes,
        new.token_hash,
        new.by.key_id.0,
        new.by.name,
        new.by.role.as_str(),
        new.by.scope.projects(),
        now,
        new.expires_at,
        MAX_PREVIEWS - 1
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Finds an action by its token and locks it until the end of the transaction.
pub async fn lock_by_token(
    connection: &mut PgConnection,
    token_hash: &[u8],
) -> Result<Option<StoredBulkAction>, DbError> {
    let id = sqlx::query_scalar!("SELECT id FROM bulk_actions WHERE token_hash = $1 FOR UPDATE", token_hash);
    match id.fetch_optional(&mut *connection).await? {
        Some(id) => find(connection, id).await,
        None => Ok(None),
    }
}

/// Records the job that carries it out.
pub async fn confirm(
    connection: &mut PgConnection,
    id: Uuid,
    job_id: JobId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!("UPDATE bulk_actions SET confirmed_at = $2, job_id = $3 WHERE id = $1", id, now, job_id.0)
        .execute(connection)
        .await?;
    Ok(())
}

pub async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<StoredBulkAction>, DbError> {
    let row = sqlx::query_as!(
        ActionRow,
        r#"SELECT bulk_actions.id, bulk_actions.kind, filter, changes, requested_by_key, bulk_actions.requested_by, role, projects,
                  item_count, applied, skipped, bulk_actions.created_at, expires_at, confirmed_at, job_id, bulk_actions.finished_at,
                  jobs.state AS "job_state?", jobs.error AS "error?"
             FROM bulk_actions LEFT JOIN jobs ON jobs.id = job_id
            WHERE bulk_actions.id = $1"#,
        id
    );
    row.fetch_optional(executor).await?.map(StoredBulkAction::try_from).transpose()
}

/// Those of keys that see no more than `scope`, newest first.
pub async fn list(
    pool: &PgPool,
    scope: &ProjectScope,
    window: &PageWindow<TimeCursor>,
) -> Result<Vec<StoredBulkAction>, DbError> {
    let (after_time, after_id) = window.after.unzip();
    let rows = sqlx::query_as!(
        ActionRow,
        r#"SELECT bulk_actions.id, bulk_actions.kind, filter, changes, requested_by_key, bulk_actions.requested_by, role, projects,
                  item_count, applied, skipped, bulk_actions.created_at, expires_at, confirmed_at, job_id, bulk_actions.finished_at,
                  jobs.state AS "job_state?", jobs.error AS "error?"
             FROM bulk_actions LEFT JOIN jobs ON jobs.id = job_id
            WHERE confirmed_at IS NOT NULL
              AND (bulk_actions.created_at, bulk_actions.id) < (COALESCE($1::timestamptz, 'infinity'), $2::uuid)
              AND ($5::text[] IS NULL OR projects <@ $5)
            ORDER BY bulk_actions.created_at DESC, bulk_actions.id DESC
           OFFSET $3 LIMIT $4"#,
        after_time,
        after_id,
        window.offset,
        window.limit,
        scope.projects()
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(StoredBulkAction::try_from).collect()
}

pub async fn count(pool: &PgPool, scope: &ProjectScope) -> Result<u64, DbError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM bulk_actions
            WHERE confirmed_at IS NOT NULL AND ($1::text[] IS NULL OR projects <@ $1)"#,
        scope.projects()
    );
    Ok(count.fetch_one(pool).await?.unsigned_abs())
}

/// Deletes at most `limit` previews that were made before `time` and not confirmed.
pub async fn prune_previews(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM bulk_actions WHERE id IN (
               SELECT id FROM bulk_actions WHERE created_at < $1 AND confirmed_at IS NULL LIMIT $2)"#,
        time,
        limit
    );
    Ok(pruned.execute(pool).await?.rows_affected())
}

/// Deletes at most `limit` confirmed actions that were made before `time`.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM bulk_actions WHERE id IN (
               SELECT id FROM bulk_actions WHERE created_at < $1 AND confirmed_at IS NOT NULL LIMIT $2)"#,
        time,
        limit
    );
    Ok(pruned.execute(pool).await?.rows_affected())
}
