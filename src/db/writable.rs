//! Whether the server behind a connection accepts writes.
//!
//! A connection outlives a failover: it may still be connected to the former primary, which has become a standby and answers
//! every write with 25006, while a new connection would reach the new primary. So a pool replaces such connections when they
//! are acquired. It does not refuse them: if a new connection reaches no other server, reads are still served.
//!
//! A check costs a round trip, and most statements need no other. So a pool that is in use checks one connection every few
//! seconds, and all of them once it has found one that accepts only reads. Rejected: checking each connection every few
//! seconds, since the hooks of a pool cannot tell connections apart.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::pool::PoolConnectionMetadata;
use sqlx::postgres::{PgConnection, PgPool};
use tokio::time::Instant;

use super::DbError;

/// A connection that accepts only reads is replaced once it is older than this, so that a server that stays read-only does not
/// cause a new connection for each statement.
const REPLACE_AFTER: Duration = Duration::from_secs(3);
/// The time between the checks of a pool, and how long a connection may be unused without a check before its next use.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// How long after a check found a read-only connection every connection is checked. Each is used or checked within this time.
const SUSPECT_FOR: Duration = Duration::from_secs(60);

/// When a pool checked its connections.
#[derive(Debug, Default)]
pub(in crate::db) struct ConnectionChecks(Mutex<LastChecks>);

#[derive(Debug, Clone, Copy, Default)]
struct LastChecks {
    any: Option<Instant>,
    found_read_only: Option<Instant>,
}

impl ConnectionChecks {
    /// Whether the pool should use an idle connection rather than replace it. Its check also tests that the connection works.
    pub(in crate::db) async fn is_usable(
        &self,
        connection: &mut PgConnection,
        metadata: PoolConnectionMetadata,
    ) -> Result<bool, sqlx::Error> {
        if !self.begin(metadata.idle_for, Instant::now()) {
            return Ok(true);
        }
        let query = sqlx::query_scalar!(r#"SELECT current_setting('transaction_read_only')::boolean AS "read_only!""#);
        let read_only = query.fetch_one(connection).await?;
        if read_only {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).found_read_only = Some(Instant::now());
        }
        Ok(may_use(read_only, metadata.age))
    }

    /// Whether a connection must be checked now.
    fn begin(&self, idle_for: Duration, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let within =
            |time: Option<Instant>, limit| time.is_some_and(|time| now.saturating_duration_since(time) < limit);
        let due =
            idle_for >= CHECK_EVERY || !within(last.any, CHECK_EVERY) || within(last.found_read_only, SUSPECT_FOR);
        if due {
            last.any = Some(now);
        }
        due
    }
}

/// Whether to use a connection that is known to be read-only or not.
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

    #[test]
    fn pool_checks_now_and_then_and_always_after_it_found_a_read_only_connection() {
        let (checks, start) = (ConnectionChecks::default(), Instant::now());
        let begins =
            |idle: u64, after: u64| checks.begin(Duration::from_secs(idle), start + Duration::from_secs(after));
        assert!(begins(0, 0));
        assert!(!begins(0, 4));
        assert!(begins(5, 4));
        assert!(!begins(4, 8));
        assert!(begins(0, 9));
        checks.0.lock().expect("no panic").found_read_only = Some(start + Duration::from_secs(9));
        assert!(begins(0, 10) && begins(0, 68));
        assert!(!begins(0, 69) && begins(0, 73));
    }
}
