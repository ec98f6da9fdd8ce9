//! The audit log: who did what, when, from where, and what it changed.
//!
//! The database numbers the entries, chains them by hashes and refuses changes (see the migration that creates `audit_log`), so
//! that no process can forget to. [`chain`] verifies the chain, [`content`] replaces personal data in it.

pub mod chain;
pub mod content;
pub mod expiry;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::page::PageWindow;
use crate::db::types::to_bigint;
use crate::domain::access::KeyId;

/// An entry to append.
#[derive(Debug, Clone)]
pub struct NewAuditEntry<'a> {
    pub id: Uuid,
    /// The entry whose outcome this is.
    pub refers_to: Option<Uuid>,
    pub key_id: KeyId,
    pub key_name: &'a str,
    /// `None` for a caller that was not authenticated.
    pub role: Option<&'a str>,
    pub address: Option<&'a str>,
    pub operation: &'a str,
    pub request_id: Option<Uuid>,
    pub client_request_id: Option<&'a str>,
    pub outcome: Option<&'a str>,
    pub rows: Option<u64>,
    /// For an erasure: the new content of other entries.
    pub attests: Option<&'a Value>,
    pub details: &'a Value,
    pub before: Option<&'a Value>,
    pub after: Option<&'a Value>,
}

/// Appends an entry. Entries of other transactions wait until this transaction ends, so it should be its last statement.
///
/// # Errors
/// On any [`DbError`] the action must not be carried out.
pub async fn insert(
    connection: &mut PgConnection,
    entry: &NewAuditEntry<'_>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    insert_row(connection, entry, now).await?;
    Ok(())
}

/// [`insert`], unless there is an entry with this id; then the transaction cannot be continued. Returns whether it was appended.
pub async fn insert_once(
    connection: &mut PgConnection,
    entry: &NewAuditEntry<'_>,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    match insert_row(connection, entry, now).await {
        Ok(()) => Ok(true),
        Err(error) if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation) => {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

pub async fn exists(connection: &mut PgConnection, id: Uuid) -> Result<bool, DbError> {
    let exists = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT 1 FROM audit_log WHERE id = $1) AS "exists!""#, id);
    Ok(exists.fetch_one(connection).await?)
}

async fn insert_row(
    connection: &mut PgConnection,
    entry: &NewAuditEntry<'_>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"INSERT INTO audit_log (id, refers_to, recorded_at, key_id, key_name, role, address, operation, request_id,
                                  client_request_id, outcome, row_count, attests, details, before, after, content_salt)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"#,
        entry.id,
        entry.refers_to,
        now,
        entry.key_id.0,
        entry.key_name,
        entry.role,
        entry.address,
        entry.operation,
        entry.request_id,
        entry.client_request_id,
        entry.outcome,
        entry.rows.map(to_bigint),
        entry.attests,
        entry.details,
        entry.before,
        entry.after,
        &new_salt()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Prevents that erased content can be guessed from its hash.
fn new_salt() -> [u8; 16] {
    rand::random()
}

/// An entry with its outcome, which may be an entry of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    pub sequence: i64,
    pub id: Uuid,
    pub began_at: DateTime<Utc>,
    /// `None` while the action runs, and if its process died.
    pub ended_at: Option<DateTime<Utc>>,
    pub key_id: Uuid,
    pub key_name: String,
    pub role: Option<String>,
    pub address: Option<String>,
    pub operation: String,
    pub request_id: Option<Uuid>,
    pub client_request_id: Option<String>,
    pub details: Value,
    pub before: Option<Value>,
    pub after: Option<Value>,
    pub rows: Option<i64>,
    pub outcome: Option<String>,
}

/// `None` matches every value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    pub from: Option<DateTime<Utc>>,
    /// Exclusive.
    pub until: Option<DateTime<Utc>>,
    pub key_id: Option<Uuid>,
    pub key_name: Option<String>,
    pub operation: Option<String>,
    pub outcome: Option<String>,
    /// The one that the server generated.
    pub request_id: Option<Uuid>,
}

/// Newest first.
pub async fn list(pool: &PgPool, filter: &AuditFilter, window: &PageWindow<i64>) -> Result<Vec<AuditEntry>, DbError> {
    let entries = sqlx::query_as!(
        AuditEntry,
        r#"SELECT entry.sequence, entry.id, entry.recorded_at AS began_at,
                  COALESCE(result.recorded_at, CASE WHEN entry.outcome IS NOT NULL THEN entry.recorded_at END)
                      AS "ended_at?",
                  entry.key_id, entry.key_name, entry.role, entry.address, entry.operation, entry.request_id,
                  entry.client_request_id, entry.details, entry.before, entry.after,
                  COALESCE(result.row_count, entry.row_count) AS "rows?", COALESCE(result.outcome, entry.outcome) AS "outcome?"
             FROM audit_log AS entry LEFT JOIN LATERAL (
                      SELECT recorded_at, row_count, outcome FROM audit_log AS later
                       WHERE later.refers_to = entry.id ORDER BY sequence DESC LIMIT 1) AS result ON true
            WHERE entry.refers_to IS NULL
              AND ($1::timestamptz IS NULL OR entry.recorded_at >= $1)
              AND ($2::timestamptz IS NULL OR entry.recorded_at < $2)
              AND ($3::uuid IS NULL OR entry.key_id = $3)
              AND ($4::text IS NULL OR entry.key_name = $4)
              AND ($5::text IS NULL OR entry.operation = $5)
              AND ($6::text IS NULL OR COALESCE(result.outcome, entry.outcome) = $6)
              AND ($7::uuid IS NULL OR entry.request_id = $7)
              AND ($8::bigint IS NULL OR entry.sequence < $8)
            ORDER BY entry.sequence DESC OFFSET $9 LIMIT $10"#,
        filter.from,
        filter.until,
        filter.key_id,
        filter.key_name,
        filter.operation,
        filter.outcome,
        filter.request_id,
        window.after,
        window.offset,
        window.limit
    )
    .fetch_all(pool)
    .await?;
    Ok(entries)
}

pub async fn count(pool: &PgPool, filter: &AuditFilter) -> Result<u64, DbError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
             FROM audit_log AS entry LEFT JOIN LATERAL (
                      SELECT outcome FROM audit_log AS later
                       WHERE later.refers_to = entry.id ORDER BY sequence DESC LIMIT 1) AS result ON true
            WHERE entry.refers_to IS NULL
              AND ($1::timestamptz IS NULL OR entry.recorded_at >= $1)
              AND ($2::timestamptz IS NULL OR entry.recorded_at < $2)
              AND ($3::uuid IS NULL OR entry.key_id = $3)
              AND ($4::text IS NULL OR entry.key_name = $4)
              AND ($5::text IS NULL OR entry.operation = $5)
              AND ($6::text IS NULL OR COALESCE(result.outcome, entry.outcome) = $6)
              AND ($7::uuid IS NULL OR entry.request_id = $7)"#,
        filter.from,
        filter.until,
        filter.key_id,
        filter.key_name,
        filter.operation,
        filter.outcome,
        filter.request_id
    )
    .fetch_one(pool)
    .await?;
    Ok(count.unsigned_abs())
}
