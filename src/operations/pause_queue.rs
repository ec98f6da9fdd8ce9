//! Pauses a queue for all processes, and lets it go on.
//!
//! A pause is a row that every claim looks at, so it needs no worker to be told, and holds for those that start later. Jobs
//! that run are not stopped by it.

use sqlx::PgPool;

use crate::db::DbError;
use crate::db::jobs::queues;
use crate::domain::job::JobKind;

/// Lets nobody claim from a queue, in the name of `paused_by`; false where there is no such queue.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn pause_queue(pool: &PgPool, name: &str, paused_by: &str) -> Result<bool, DbError> {
    if !exists(pool, name).await? {
        return Ok(false);
    }
    queues::insert_pause(pool, name, paused_by).await?;
    tracing::info!(queue = name, paused_by, "a queue is paused");
    Ok(true)
}

/// Lets workers claim from a queue again, in the name of `resumed_by`; false where there is no such queue. They look for
/// due jobs every second, so nobody need ring.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn resume_queue(pool: &PgPool, name: &str, resumed_by: &str) -> Result<bool, DbError> {
    if !exists(pool, name).await? {
        return Ok(false);
    }
    queues::delete_pause(pool, name).await?;
    tracing::info!(queue = name, resumed_by, "a queue goes on");
    Ok(true)
}

/// A misspelt name must not become a pause that nobody notices.
async fn exists(pool: &PgPool, name: &str) -> Result<bool, DbError> {
    Ok(JobKind::queues().contains(name) || queues::exists(pool, name).await?)
}
