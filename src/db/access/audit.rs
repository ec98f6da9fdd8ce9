//! The trail of what people did that somebody may have to account for: who, when, what, how much.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::db::DbError;
use crate::db::page::{PageWindow, TimeCursor};
use crate::db::types::to_bigint;
use crate::domain::access::Principal;

/// Something that is being done.
#[derive(Debug)]
pub struct NewAuditEntry<'a> {
    /// Who does it.
    pub by: &'a Principal,
    /// What is done.
    pub action: &'static str,
    /// To what, and how.
    pub details: &'a Value,
}

/// Notes that something is being done, and says by what id its end is to be noted.
///
/// # Errors
/// [`DbError`] where the database refuses: then it must not be done.
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

/// Notes how it ended, and how many rows it was about.
///
/// # Errors
/// [`DbError`] where the database refuses.
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

/// Something that was done.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// Its id.
    pub id: Uuid,
    /// When it began.
    pub began_at: DateTime<Utc>,
    /// When it ended; none while it goes on, and where its process died.
    pub ended_at: Option<DateTime<Utc>>,
    /// The name of the key that it was done with.
    pub principal: String,
    /// What the key might do then.
    pub role: String,
    /// What was done.
    pub action: String,
    /// To what, and how.
    pub details: Value,
    /// How many rows it was about.
    pub rows: Option<i64>,
    /// How it ended: `complete`, or why not.
    pub outcome: Option<String>,
}

/// A part of the trail, the newest first, from before the entry `before` on.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
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

/// How many entries there are.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn count(pool: &PgPool) -> Result<u64, DbError> {
    let count = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM audit_entries"#).fetch_one(pool).await?;
    Ok(count.unsigned_abs())
}

/// Forgets what began before `time`, and says how much that was.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>) -> Result<u64, DbError> {
    Ok(sqlx::query!("DELETE FROM audit_entries WHERE began_at < $1", time).execute(pool).await?.rows_affected())
}
