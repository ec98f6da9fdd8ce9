//! Whether the server behind a connection accepts writes.
//!
//! A connection outlives a failover: it may still be connected to the former primary, which has become a standby and answers
//! every write with 25006, while a new connection would reach the new primary. So a pool replaces such connections when they
//! are acquired. It does not refuse them: if a new connection reaches no other server, reads are still served.

use std::time::Duration;

use sqlx::postgres::{PgConnection, PgPool};

use super::DbError;

/// A connection that accepts only reads is replaced once it is older than this, so that a server that stays read-only does not
/// cause a new connection for each statement.
const REPLACE_AFTER: Duration = Duration::from_secs(3);

/// Whether a pool should use an idle connection rather than replace it. Also tests that the connection still works.
pub(in crate::db) async fn is_usable(connection: &mut PgConnection, age: Duration) -> Result<bool, sqlx::Error> {
    let query = sqlx::query_scalar!(r#"SELECT current_setting('transaction_read_only')::boolean AS "read_only!""#);
    let read_only = query.fetch_one(connection).await?;
    Ok(may_use(read_only, age))
}

/// [`is_usable`] of a connection that is known to be read-only or not.
pub(in crate::db) fn may_use(read_only: bool, age: Duration) -> bool {
    !read_only || age < REPLACE_AFTER
}

/// Fails if the server accepts no writes, or has no space left on its disk.
///
/// A full disk is noticed with a temporary file: whether a row can be written depends on the free space in the pages of its
/// table, and writing one with every check would let the log of the server grow.
pub async fn check_writable(pool: &PgPool) -> Result<(), DbError> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("DELETE FROM processes WHERE false").execute(&mut *transaction).await?;
    sqlx::query!("SELECT set_config('work_mem', '64kB', true)").fetch_one(&mut *transaction).await?;
    // About 600 kB, which do not fit into the memory allowed above.
    sqlx::query!("SELECT count(*) FROM generate_series(1, 20000)").fetch_one(&mut *transaction).await?;
    transaction.rollback().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_that_accepts_only_reads_is_replaced_but_not_at_once() {
        assert!(may_use(false, Duration::from_hours(1)));
        assert!(may_use(true, Duration::from_millis(10)));
        assert!(!may_use(true, Duration::from_secs(4)));
    }
}
