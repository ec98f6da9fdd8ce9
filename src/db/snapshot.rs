//! One consistent view of the database, for long reads and for several queries that must agree.
//!
//! Close a snapshot after reading everything: its connection returns to the pool. Drop it to stop early: its connection is
//! closed. A connection returned to the pool would first have to receive what the server still sends, possibly a million
//! rows; closing it makes the server abort the statement (at once while sending rows, else within a second: `session`).

use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor, PgConnection, PgPool, Postgres};

use super::DbError;
use super::session_limits::EXPORT_LIMITS;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// A read-only transaction whose statements all see the database at the moment of the first one.
pub struct Snapshot {
    connection: Option<PoolConnection<Postgres>>,
}

impl Snapshot {
    pub async fn open(pool: &PgPool) -> Result<Self, DbError> {
        let mut snapshot = Self { connection: Some(pool.acquire().await?) };
        snapshot.connection()?.execute(BEGIN).await?;
        Ok(snapshot)
    }

    /// [`Self::open`] for an export, which is read as slowly as its receiver accepts it.
    pub async fn open_for_export(pool: &PgPool) -> Result<Self, DbError> {
        let mut snapshot = Self { connection: Some(pool.acquire().await?) };
        let begin = format!("{BEGIN}; {}", EXPORT_LIMITS.local_statements());
        snapshot.connection()?.execute(AssertSqlSafe(begin)).await?;
        Ok(snapshot)
    }

    /// Ends the transaction and returns the connection to the pool. Call it only after all rows were read.
    pub async fn close(mut self) -> Result<(), DbError> {
        self.connection()?.execute("COMMIT").await?;
        drop(self.connection.take());
        Ok(())
    }

    pub fn connection(&mut self) -> Result<&mut PgConnection, DbError> {
        // `None` only after `close` or `drop`, when no caller has the snapshot any more.
        self.connection.as_deref_mut().ok_or_else(|| DbError::impossible("snapshot", "closed"))
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        drop(self.connection.take().map(PoolConnection::detach));
    }
}
