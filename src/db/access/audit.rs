//! The audit log: who did what, when, and to how many rows.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::db::DbError;
use crate::db::page::{PageWindow, TimeCursor};
use crate::db::types::to_bigint;
use crate::domain::access::Principal;

/// An action that begins.
#[derive(Debug)]
pub struct NewAuditEntry<'a> {
    pub by: &'a Principal,
    pub action: &'static str,
    /// Its subject and parameters.
    pub details: &'a Value,
}

/// Records that an action begins; [`finish`] takes the returned id.
///
/// # Errors
/// On any [`DbError`] the action must not be carried out.
pub async fn insert(pool: &PgPool, entry: &NewAuditEntry<'_>, now: DateTime<Utc>) -> Result<Uuid, DbError> {
    let id = Uuid::now_v7();
    sqlx::query!(
        "INSERT INTO audit_entries (id, began_at, principal, role, action, details) VALUES ($1, $2, $3, $4, $5, $6)",
        id,
        now,
        entry.by.name,
        entry.by.role.as_str(),
        entry.action,
        entry.details
    )
    .execute(pool)
    .await?;
    Ok(id)
}

/// Records the outcome of an action and how many rows it covered.
pub async fn finish(pool: &PgPool, id: Uuid, rows: u64, outcome: &str, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE audit_entries SET ended_at = $2, rows = $3, outcome = $4 WHERE id = $1",
        id,
        now,
        to_bigint(rows),
        outcome
    )
    .execute(pool)
    .await?;
    Ok(())
}

#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    pub id: Uuid,
    pub began_at: DateTime<Utc>,
    /// `None` while the action runs, and if its process died.
    pub ended_at: Option<DateTime<Utc>>,
    /// The name of the API key.
    pub principal: String,
    /// The role of the key at that time.
    pub role: String,
    pub action: String,
    pub details: Value,
    pub rows: Option<i64>,
    /// `complete`, or why it was not.
    pub outcome: Option<String>,
}

/// Newest first.
pub async fn list(pool: &PgPool, window: &PageWindow<TimeCursor>) -> Result<Vec<AuditEntry>, DbError> {
    let (time, id) = window.after.unzip();
    let entries = sqlx::query_as!(
        AuditEntry,
        r#"SELECT id, began_at, ended_at, principal, role, action, details, rows, outcome
             FROM audit_entries
            WHERE $1::timestamptz IS NULL OR (began_at, id) < ($1, $2::uuid)
            ORDER BY began_at DESC, id DESC OFFSET $3 LIMIT $4"#,
        time,
        id,
        window.offset,
        window.limit
    )
    .fetch_all(pool)
    .await?;
    Ok(entries)
}

pub async fn count(pool: &PgPool) -> Result<u64, DbError> {
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM audit_entries"#).fetch_one(pool).await?;
    Ok(count.unsigned_abs())
}

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
