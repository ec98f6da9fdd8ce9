//! Which sessions hold locks that others wait for.

use sqlx::postgres::{PgConnection, PgPool};

use super::DbError;

/// A session that holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockHolder {
    /// Its process id in the server.
    pub process: i32,
    pub application: String,
    /// Such as `active`, or `idle in transaction`. Empty if this role may not see it.
    pub state: String,
    /// The age of its transaction.
    pub seconds: i64,
}

/// The sessions that make the session with this process id wait.
pub async fn list_blocking(pool: &PgPool, process: i32) -> Result<Vec<LockHolder>, DbError> {
    let rows = sqlx::query_as!(
        LockHolder,
        r#"SELECT activity.pid AS "process!", COALESCE(application_name, '') AS "application!",
                  COALESCE(state, '') AS "state!", COALESCE(extract(epoch FROM now() - xact_start), 0)::bigint AS "seconds!"
             FROM pg_stat_activity AS activity WHERE pid = ANY(pg_blocking_pids($1)) ORDER BY pid"#,
        process
    );
    Ok(rows.fetch_all(pool).await?)
}

/// The sessions that hold the lock of all migrations.
pub async fn list_migrating(connection: &mut PgConnection) -> Result<Vec<LockHolder>, DbError> {
    let rows = sqlx::query_as!(
        LockHolder,
        r#"WITH migrations AS (SELECT hashtextextended('migrations of ' || current_database(), 0) AS key)
           SELECT activity.pid AS "process!", COALESCE(application_name, '') AS "application!",
                  COALESCE(state, '') AS "state!", COALESCE(extract(epoch FROM now() - xact_start), 0)::bigint AS "seconds!"
             FROM migrations
                  JOIN pg_locks ON locktype = 'advisory' AND granted AND objsubid = 1
                       AND (classid::bigint << 32) | objid::bigint = key
                  JOIN pg_stat_activity AS activity ON activity.pid = pg_locks.pid
            WHERE pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())"#
    );
    Ok(rows.fetch_all(connection).await?)
}
