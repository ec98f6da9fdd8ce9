//! Database errors, classified by what a caller can do about them.

use std::borrow::Cow;

#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The database is unreachable or has no free connection: retry the same call later.
    #[error("PostgreSQL cannot be reached ({0}): check that it runs and that DATABASE_URL is right")]
    Unavailable(#[source] sqlx::Error),
    /// Another worker has claimed the job: nothing that this worker was about to write may be committed.
    #[error("the claim on this job has passed to another worker: nothing was written")]
    ClaimLost,
    /// Another transaction wrote a row between this one's read and its write: repeat the transaction.
    #[error("{0} changed while it was being written: the transaction is retried")]
    Conflict(&'static str),
    /// The program cannot have written this value.
    #[error("the database holds an impossible {what}: {found}")]
    Impossible {
        /// The column or table.
        what: &'static str,
        found: String,
    },
    /// The server cancelled the statement after the time that its session allows.
    #[error(
        "PostgreSQL cancelled a statement that took too long ({0}): request less data, or look for what slows the server"
    )]
    TimedOut(#[source] sqlx::Error),
    #[error("the database refused a statement: {0}")]
    Statement(#[source] sqlx::Error),
}

impl DbError {
    pub fn impossible(what: &'static str, found: impl Into<String>) -> Self {
        Self::Impossible { what, found: found.into() }
    }

    /// Whether a retry of the same call may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Conflict(_) | Self::TimedOut(_))
    }
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => Self::Unavailable(error),
            sqlx::Error::Database(database) => match database.code().as_deref().map(Cow::from).as_deref() {
                // Class 08: connection exceptions; 57P0x: the server stops or starts; 53300: too many connections; 25P03: the
                // server closed the session because it was idle in a transaction.
                Some(code)
                    if code.starts_with("08")
                        || code.starts_with("57P0")
                        || matches!(code, "53300" | "25P03" | "55P03") =>
                {
                    Self::Unavailable(error)
                }
                // Serialization failure and deadlock: PostgreSQL expects the transaction to be repeated.
                Some("40001" | "40P01") => Self::Conflict("a row"),
                Some("57014") => Self::TimedOut(error),
                _ => Self::Statement(error),
            },
            _ => Self::Statement(error),
        }
    }
}
