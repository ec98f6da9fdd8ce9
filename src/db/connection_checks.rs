//! Which connections a pool checks before it uses them.
//!
//! A connection outlives a failover: it may still be connected to the former primary, which has become a standby and answers
//! every write with 25006, while a new connection would reach the new primary. So a pool replaces such connections when they
//! are acquired. It does not refuse them: if a new connection reaches no other server, reads are still served.
//!
//! A check costs a round trip, and most statements need no other. So a pool in use checks one connection every few seconds, and
//! every connection is checked for a while after one of this process has failed. Rejected: checking each connection every few
//! seconds, since the hooks of a pool cannot tell connections apart; and no checks in between, since a former primary that is
//! only read from fails no statement.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::Connection;
use sqlx::pool::PoolConnectionMetadata;
use sqlx::postgres::PgConnection;
use tokio::time::Instant;

/// A connection that accepts only reads is replaced once it is older than this, so that a server that stays read-only does not
/// cause a new connection for each statement.
const REPLACE_AFTER: Duration = Duration::from_secs(3);
/// The time between the checks of a pool, and how long a connection may be unused without a check before its next use.
const CHECK_EVERY: Duration = Duration::from_secs(5);
/// How long every connection is checked after one has failed. By then each has been checked, or unused for long enough.
const SUSPECT_FOR: Duration = Duration::from_mins(1);

/// When a connection of this process last failed, or turned out to be read-only.
static SUSPECTED_AT: Mutex<Option<Instant>> = Mutex::new(None);

/// Has every connection of this process checked before its next use: the server of one has gone away or accepts only reads.
pub(in crate::db) fn suspect_all() {
    *SUSPECTED_AT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
}

/// When a pool last checked a connection.
#[derive(Debug, Default)]
pub(in crate::db) struct ConnectionChecks(Mutex<Option<Instant>>);

impl ConnectionChecks {
    /// Whether the pool should use an idle connection rather than replace it. A check also tests that the connection works.
    pub(in crate::db) async fn is_usable(
        &self,
        connection: &mut PgConnection,
        metadata: PoolConnectionMetadata,
    ) -> Result<bool, sqlx::Error> {
        let suspected_at = *SUSPECTED_AT.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.begin(metadata.idle_for, suspected_at, Instant::now()) {
            return Ok(true);
        }
        let query = sqlx::query_scalar!(r#"SELECT current_setting('transaction_read_only')::boolean AS "read_only!""#);
        let read_only = query.fetch_one(connection).await;
        if !matches!(read_only, Ok(false)) {
            suspect_all();
        }
        Ok(may_use(read_only?, metadata.age))
    }

    /// The same for a connection to a replica, which accepts only reads: fails if the connection does not work.
    pub(in crate::db) async fn is_alive(
        &self,
        connection: &mut PgConnection,
        metadata: PoolConnectionMetadata,
    ) -> Result<bool, sqlx::Error> {
        let suspected_at = *SUSPECTED_AT.lock().unwrap_or_else(PoisonError::into_inner);
        if self.begin(metadata.idle_for, suspected_at, Instant::now()) {
            connection.ping().await?;
        }
        Ok(true)
    }

    /// Whether a connection must be checked now.
    fn begin(&self, idle_for: Duration, suspected_at: Option<Instant>, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let within =
            |time: Option<Instant>, limit| time.is_some_and(|time| now.saturating_duration_since(time) < limit);
        let due = idle_for >= CHECK_EVERY || !within(*last, CHECK_EVERY) || within(suspected_at, SUSPECT_FOR);
        if due {
            *last = Some(now);
        }
        due
    }
}

/// Whether to use a connection that is known to be read-only or not.
pub(in crate::db) fn may_use(read_only: bool, age: Duration) -> bool {
    !read_only || age < REPLACE_AFTER
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
    fn pool_checks_now_and_then_and_always_after_a_failure() {
        let (checks, start) = (ConnectionChecks::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let begins = |idle, suspected_at, now| checks.begin(Duration::from_secs(idle), suspected_at, at(now));
        assert!(begins(0, None, 0));
        assert!(!begins(0, None, 4));
        assert!(begins(5, None, 4), "it was not used for long");
        assert!(!begins(4, None, 8));
        assert!(begins(0, None, 9));
        let failed = Some(at(9));
        assert!(begins(0, failed, 10) && begins(0, failed, 68));
        assert!(!begins(0, failed, 69) && begins(0, failed, 73));
    }
}
