//! Pauses and resumes a queue for all processes.
//!
//! A pause is a row that every claim checks, so it also applies to workers that start later. Running jobs are not stopped.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;

use super::audit::{AuditContext, AuditRecord};
use crate::db::DbError;
use crate::db::jobs::queues;
use crate::domain::job::JobKind;

/// Returns false if there is no such queue.
pub async fn pause_queue(pool: &PgPool, name: &str, audit: &AuditContext, now: DateTime<Utc>) -> Result<bool, DbError> {
    set_paused(pool, name, true, audit, now).await
}

/// Returns false if there is no such queue. Workers poll every second, so no wake-up is needed.
pub async fn resume_queue(
    pool: &PgPool,
    name: &str,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    set_paused(pool, name, false, audit, now).await
}

async fn set_paused(
    pool: &PgPool,
    name: &str,
    paused: bool,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    if !exists(pool, name).await? {
        return Ok(false);
    }
    let changed_by = &audit.principal.name;
    let mut transaction = pool.begin().await?;
    let changed = if paused {
        queues::insert_pause(&mut *transaction, name, changed_by).await?
    } else {
        queues::delete_pause(&mut *transaction, name).await?
    };
    let record = AuditRecord::succeeded(json!({"queue": name}))
        .with_change(json!({"paused": paused != changed}), json!({"paused": paused}));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await?;
    tracing::info!(queue = name, changed_by, "queue {}", if paused { "paused" } else { "resumed" });
    Ok(true)
}

/// Prevents that a misspelled name becomes a pause without effect.
async fn exists(pool: &PgPool, name: &str) -> Result<bool, DbError> {
    Ok(JobKind::queues().contains(name) || queues::exists(pool, name).await?)
}
