//! The audit log of earlier releases. Its entries were copied to `audit_log`; a later release drops the table.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::db::DbError;

/// Deletes at most `limit` entries that began before `time`.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        "DELETE FROM audit_entries WHERE id IN (SELECT id FROM audit_entries WHERE began_at < $1 LIMIT $2)",
        time,
        limit
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
