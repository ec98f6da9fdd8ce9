//! Which processes are alive, as they say themselves.

use std::time::Duration;

use crate::db::types::interval;
use sqlx::PgPool;

use crate::db::DbError;
use crate::domain::string_enum::string_enum;

string_enum! {
    /// What a process does.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ProcessRole {
        /// It runs jobs.
        Worker = "worker",
        /// It enqueues what is due.
        Scheduler = "scheduler",
    }
}

/// How many processes are alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AliveProcesses {
    /// That run jobs.
    pub workers: u64,
    /// That enqueue what is due.
    pub schedulers: u64,
}

/// Says that the process `name` is alive, by the clock of the database, and which queues it serves.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn upsert(pool: &PgPool, name: &str, role: ProcessRole, queues: &[String]) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO processes (name, role, queues, started_at, last_seen_at) VALUES ($1, $2, $3, now(), now())
               ON CONFLICT (name) DO UPDATE SET last_seen_at = excluded.last_seen_at"#,
        name,
        role.as_str(),
        queues
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Says that the process `name` has ended.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn delete(pool: &PgPool, name: &str) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM processes WHERE name = $1", name).execute(pool).await?;
    Ok(())
}

/// How many processes have been seen within `window`.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn count_alive(pool: &PgPool, window: Duration) -> Result<AliveProcesses, DbError> {
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE role = 'worker') AS "workers!",
                  count(*) FILTER (WHERE role = 'scheduler') AS "schedulers!"
             FROM processes WHERE last_seen_at > now() - $1::interval"#,
        interval(window)
    )
    .fetch_one(pool)
    .await?;
    Ok(AliveProcesses { workers: row.workers.unsigned_abs(), schedulers: row.schedulers.unsigned_abs() })
}

/// Forgets processes that have not been seen for `window`.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn prune(pool: &PgPool, window: Duration) -> Result<u64, DbError> {
    let pruned = sqlx::query!("DELETE FROM processes WHERE last_seen_at < now() - $1::interval", interval(window))
        .execute(pool)
        .await?;
    Ok(pruned.rows_affected())
}
