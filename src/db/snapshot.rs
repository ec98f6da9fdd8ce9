//! One consistent view of the database, for whoever reads long from it, or asks several questions that must agree.
//!
//! It ends in one of two ways. Whoever has read everything closes it, and its connection serves the next. Whoever stops
//! before drops it, and the connection is closed: handed back to the pool, it would first have to take in what the server
//! still sends, which may be a million rows that nobody wants; closed, it makes the server give up the statement (at once
//! where it sends, within a second where it searches: `session`).

use sqlx::pool::PoolConnection;
use sqlx::{Executor, PgConnection, PgPool, Postgres};

use super::DbError;

/// A view of the database as it was at one moment.
pub struct Snapshot {
    connection: Option<PoolConnection<Postgres>>,
}

impl Snapshot {
    /// Opens one. The moment is that of the first statement.
    ///
    /// # Errors
    /// [`DbError`] where there is no database, or no connection to spare.
    pub async fn open(pool: &PgPool) -> Result<Self, DbError> {
        let mut snapshot = Self { connection: Some(pool.acquire().await?) };
        snapshot.connection()?.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        Ok(snapshot)
    }

    /// Ends it in good order, after everything that was asked for has been read.
    ///
    /// # Errors
    /// [`DbError`] where the database is gone.
    pub async fn close(mut self) -> Result<(), DbError> {
        self.connection()?.execute("COMMIT").await?;
        // Back to the pool.
        drop(self.connection.take());
        Ok(())
    }

    /// The connection whose statements see it.
    ///
    /// # Errors
    /// [`DbError`] where it has ended.
    pub fn connection(&mut self) -> Result<&mut PgConnection, DbError> {
        // Only the two ends take it away, and nothing can be asked after them.
        self.connection.as_deref_mut().ok_or_else(|| DbError::impossible("snapshot", "closed"))
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        drop(self.connection.take().map(PoolConnection::detach));
    }
}
