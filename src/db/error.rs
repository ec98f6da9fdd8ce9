//! What can go wrong with the database, told apart by what a caller can do about it.

use std::borrow::Cow;

/// An error of the database.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It cannot be reached, or has no connection to spare: the same call may succeed in a while.
    #[error("PostgreSQL cannot be reached ({0}): check that it runs and that DATABASE_URL is right")]
    Unavailable(#[source] sqlx::Error),
    /// The worker's claim on its job has passed to somebody else: whatever it was about to write is void.
    #[error("the claim on this job has passed to another worker: nothing was written")]
    ClaimLost,
    /// Somebody else wrote a row between reading and writing it: the transaction is to be done again.
    #[error("{0} changed while it was being written: the work is done again")]
    Conflict(&'static str),
    /// A row that the program could not have written.
    #[error("the database holds an impossible {what}: {found}")]
    Impossible {
        /// Which column or row.
        what: &'static str,
        /// What it holds.
        found: String,
    },
    /// A statement failed.
    #[error("the database refused a statement: {0}")]
    Statement(#[source] sqlx::Error),
}

impl DbError {
    /// An impossible value in a column.
    pub fn impossible(what: &'static str, found: impl Into<String>) -> Self {
        Self::Impossible { what, found: found.into() }
    }

    /// Whether the same call may succeed in a while, without anybody doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Conflict(_))
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
                // Class 08: connection exceptions; 57P0x: the server is stopping or starting; 53300: no connection left;
                // 25P03: it gave us up, for we were silent in the middle of a transaction.
                Some(code)
                    if code.starts_with("08") || code.starts_with("57P0") || matches!(code, "53300" | "25P03") =>
                {
                    Self::Unavailable(error)
                }
                // Serialization failure and deadlock: PostgreSQL asks for the transaction to be done again.
                Some("40001" | "40P01") => Self::Conflict("a row"),
                _ => Self::Statement(error),
            },
            _ => Self::Statement(error),
        }
    }
}
