//! Pauses and resumes a queue for all processes.
//!
//! A pause is a row that every claim checks, so it also applies to workers that start later. Running jobs are not stopped.

use sqlx::PgPool;

use crate::db::DbError;
use crate::db::jobs::queues;
use crate::domain::job::JobKind;

/// Returns false if there is no such queue.
pub async fn pause_queue(pool: &PgPool, name: &str, paused_by: &str) -> Result<bool, DbError> {
    if !exists(pool, name).await? {
        return Ok(false);
    }
    queues::insert_pause(pool, name, paused_by).await?;
    tracing::info!(queue = name, paused_by, "queue paused");
    Ok(true)
}

/// Returns false if there is no such queue. Workers poll every second, so no wake-up is needed.
pub async fn resume_queue(pool: &PgPool, name: &str, resumed_by: &str) -> Result<bool, DbError> {
    if !exists(pool, name).await? {
        return Ok(false);
    }
    queues::delete_pause(pool, name).await?;
    tracing::info!(queue = name, resumed_by, "queue resumed");
    Ok(true)
}

/// Prevents that a misspelled name becomes a pause without effect.
async fn exists(pool: &PgPool, name: &str) -> Result<bool, DbError> {
    Ok(JobKind::queues().contains(name) || queues::exists(pool, name).await?)
}
