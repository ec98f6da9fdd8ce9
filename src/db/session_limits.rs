//! How long statements, locks and idle transactions of a session may take, by the purpose of the session.
//!
//! The server enforces the limits, so that they hold for a client that hangs, is stopped or has lost its network. They are set
//! by a statement, because PgBouncer rejects most of them as parameters of the connection.

use std::time::Duration;

use sqlx::PgConnection;

/// What the connections of a pool are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::db) enum Purpose {
    /// HTTP requests.
    Requests,
    /// Authentication and health checks: apart from the requests, so that slow requests neither keep others from being
    /// authenticated nor make the process look dead.
    Access,
    /// Claims, heartbeats and outcomes: apart from the work, so that no job can keep a lease from being renewed.
    Queue,
    /// Reads of requests and exports that a replica answers.
    Replica,
    /// Everything that jobs do.
    Work,
    /// Migrations and other commands.
    Command,
}

/// The time that a limit allows; zero for any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::db) struct SessionLimits {
    pub statement: Duration,
    pub lock: Duration,
    /// After this time the server rolls an idle transaction back: a process that was stopped in the middle of one, or lost its
    /// network, must not keep its locks.
    pub idle_in_transaction: Duration,
}

/// The longest read of an export, which is as slow as its receiver. Other limits end an export earlier; this one ends what they
/// overlooked.
pub(in crate::db) const EXPORT_LIMITS: SessionLimits = SessionLimits {
    statement: Duration::from_hours(4),
    lock: Duration::from_secs(10),
    idle_in_transaction: Duration::from_mins(2),
};

impl SessionLimits {
    /// `request_statement` is the limit of the statements of a request.
    pub(in crate::db) fn new(purpose: Purpose, request_statement: Duration) -> Self {
        let seconds = Duration::from_secs;
        let (statement, lock) = match purpose {
            // A request that waits for a lock gets an answer that names the lock, not the slow statement.
            Purpose::Requests | Purpose::Replica => (request_statement, request_statement / 3),
            // A health check waits for two seconds.
            Purpose::Access => (seconds(3), seconds(2)),
            // Shorter than a lease, which a statement that hangs could not renew any more.
            Purpose::Queue => (seconds(10), seconds(5)),
            // The longest statements repair the metrics of a day, or reconcile it. Others wait for the lock of the source.
            Purpose::Work => (Duration::from_mins(30), Duration::from_mins(1)),
            Purpose::Command => return Self::NONE,
        };
        Self { statement, lock, idle_in_transaction: seconds(10) }
    }

    /// For migrations, which may rewrite a table, and for checks of all rows.
    const NONE: Self = Self { statement: Duration::ZERO, lock: Duration::ZERO, idle_in_transaction: Duration::ZERO };

    pub(in crate::db) async fn apply(self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        sqlx::query!(
            r#"SELECT set_config('statement_timeout', $1, false) AS statement, set_config('lock_timeout', $2, false) AS lock,
                      set_config('idle_in_transaction_session_timeout', $3, false) AS idle"#,
            millis(self.statement),
            millis(self.lock),
            millis(self.idle_in_transaction)
        )
        .fetch_one(connection)
        .await?;
        Ok(())
    }

    /// Statements that set the limits until the end of the transaction.
    pub(in crate::db) fn local_statements(self) -> String {
        let settings = [
            ("statement_timeout", self.statement),
            ("lock_timeout", self.lock),
            ("idle_in_transaction_session_timeout", self.idle_in_transaction),
        ];
        settings.map(|(name, limit)| format!("SET LOCAL {name} = {};", millis(limit))).concat()
    }
}

pub(in crate::db) fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
