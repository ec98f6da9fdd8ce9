//! Removes expired entries of the audit log, at the start of its chain.
//!
//! The anchor, and an entry of its own, say which entries were removed and why: a removed entry is never just missing.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;

use super::audit::{AuditContext, AuditRecord};
use crate::db::DbError;
use crate::db::access::audit_log::expiry;

/// Removes at most `limit` entries from before `time`, and returns how many.
pub async fn expire_audit(pool: &PgPool, time: DateTime<Utc>, now: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let mut transaction = pool.begin().await?;
    let Some(last) = expiry::find_last_expired(&mut transaction, time, limit).await? else { return Ok(0) };
    let removed = expiry::delete_through(&mut transaction, &last, now).await?;
    let record = AuditRecord {
        rows: Some(removed),
        ..AuditRecord::succeeded(json!({"through": last.sequence, "hash": hex::encode(&last.hash)}))
    };
    AuditContext::of_system("expireAuditEntries").append(&mut transaction, &record, now).await?;
    transaction.commit().await?;
    Ok(removed)
}
