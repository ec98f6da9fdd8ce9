//! Which processes are alive, by their heartbeats.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, PgPool};

use crate::db::DbError;
use crate::db::types::interval;
use crate::domain::string_enum::string_enum;

/// A process that has sent no heartbeat for this long does not count as alive.
pub const PROCESS_TIMEOUT: Duration = Duration::from_secs(30);

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ProcessRole {
        Worker = "worker",
        Scheduler = "scheduler",
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AliveProcesses {
    pub workers: u64,
    pub schedulers: u64,
}

/// What a process says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat<'a> {
    /// Unique for all time.
    pub name: &'a str,
    pub role: ProcessRole,
    /// The queues that a worker serves.
    pub queues: &'a [String],
    /// How many jobs a worker runs at a time.
    pub slots: Option<u32>,
    /// The name of its host.
    pub host: &'a str,
    /// Its release.
    pub version: &'a str,
}

/// Records that the process is alive, at the time of the database's clock.
pub async fn upsert(pool: &PgPool, heartbeat: &Heartbeat<'_>) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO processes (name, role, queues, slots, host, version, started_at, last_seen_at)
           VALUES ($1, $2, $3, $4, $5, $6, now(), now())
               ON CONFLICT (name) DO UPDATE SET last_seen_at = excluded.last_seen_at"#,
        heartbeat.name,
        heartbeat.role.as_str(),
        heartbeat.queues,
        heartbeat.slots.and_then(|slots| i32::try_from(slots).ok()),
        heartbeat.host,
        heartbeat.version
    )
    .execute(pool)
    .await?;
    Ok(())
}

pub async fn delete(pool: &PgPool, name: &str) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM processes WHERE name = $1", name).execute(pool).await?;
    Ok(())
}

/// Counts processes whose last heartbeat is within `window`.
pub async fn count_alive(executor: impl PgExecutor<'_>, window: Duration) -> Result<AliveProcesses, DbError> {
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE role = 'worker') AS "workers!",
                  count(*) FILTER (WHERE role = 'scheduler') AS "schedulers!"
             FROM processes WHERE last_seen_at > now() - $1::interval"#,
        interval(window)
    )
    .fetch_one(executor)
    .await?;
    Ok(AliveProcesses { workers: row.workers.unsigned_abs(), schedulers: row.schedulers.unsigned_abs() })
}

/// Deletes at most `limit` processes whose last heartbeat was before `time`.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM processes
            WHERE last_seen_at < $1 AND name IN (SELECT name FROM processes WHERE last_seen_at < $1 LIMIT $2)"#,
        time,
        limit
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
