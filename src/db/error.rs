//! Database errors, classified by what a caller can do about them.

use super::connection_checks;
use crate::observability::record::{self, DatabaseFailure};

/// Why PostgreSQL refuses a call that it may accept later. Nothing is wrong with the call: it costs a job no attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailability {
    Unreachable,
    /// Its certificate is not that of the host in `DATABASE_URL`, or no trusted authority has signed it.
    Untrusted,
    /// It accepts no further connection.
    TooManyConnections,
    /// A disk is full.
    DiskFull,
    OutOfMemory,
    /// It accepts only reads: a standby after a failover, or a server that its host has locked.
    ReadOnly,
    /// Another session has a lock for longer than `lock_timeout`.
    Locked,
}

impl Unavailability {
    fn of(error: &sqlx::Error) -> Option<Self> {
        match error {
            // The TLS library says so only in its text.
            sqlx::Error::Io(error) if error.to_string().contains("invalid peer certificate") => Some(Self::Untrusted),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => Some(Self::Unreachable),
            sqlx::Error::Database(error) => Self::of_code(error.code().as_deref()?),
            _ => None,
        }
    }

    fn of_code(code: &str) -> Option<Self> {
        match code {
            "53300" => Some(Self::TooManyConnections),
            "53100" => Some(Self::DiskFull),
            "53200" => Some(Self::OutOfMemory),
            "25006" => Some(Self::ReadOnly),
            "55P03" => Some(Self::Locked),
            // Class 08: connection exceptions; 57P0x: the server stops or starts; 25P03: the server closed the session because it
            // was idle in a transaction.
            code if code.starts_with("08") || code.starts_with("57P0") || code == "25P03" => Some(Self::Unreachable),
            _ => None,
        }
    }

    /// What is wrong.
    #[must_use]
    pub fn problem(self) -> &'static str {
        match self {
            Self::Unreachable => "PostgreSQL cannot be reached",
            Self::Untrusted => "the certificate of PostgreSQL is not trusted",
            Self::TooManyConnections => "PostgreSQL accepts no further connection",
            Self::DiskFull => "the disk of PostgreSQL is full",
            Self::OutOfMemory => "PostgreSQL is out of memory",
            Self::ReadOnly => "PostgreSQL accepts only reads",
            Self::Locked => "another session of PostgreSQL has locked the data for too long",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Unreachable => "check that it runs and that DATABASE_URL is right",
            Self::Untrusted => {
                "name the authority that signed it by sslrootcert in DATABASE_URL, or set sslmode=require to accept any certificate"
            }
            Self::TooManyConnections => "lower DATABASE_MAX_CONNECTIONS, or raise the limit of the server",
            Self::DiskFull => "free space or enlarge the disk; work then resumes by itself",
            Self::OutOfMemory => "give the server more memory, or lower its work_mem and its number of connections",
            Self::ReadOnly => {
                "make DATABASE_URL point to the primary, or allow writes again; work then resumes by itself"
            }
            Self::Locked => "find the session in pg_stat_activity and end it, or try again later",
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// Retry the same call later.
    #[error("{problem} ({0}): {advice}", problem = unavailability(.0).problem(), advice = unavailability(.0).advice())]
    Unavailable(#[source] sqlx::Error),
    #[error(
        "DATABASE_URL leads to a connection pooler in transaction mode, which does not keep what belongs to a session: use its \
         session mode (PgBouncer: pool_mode = session), or connect to PostgreSQL directly"
    )]
    TransactionPooling,
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

    /// `None` if the error has another cause than an unavailable server.
    #[must_use]
    pub fn unavailability(&self) -> Option<Unavailability> {
        match self {
            Self::Unavailable(error) => Some(unavailability(error)),
            _ => None,
        }
    }
}

/// Whatever prevents a connection at startup counts as unreachable, for example a wrong password.
fn unavailability(error: &sqlx::Error) -> Unavailability {
    Unavailability::of(error).unwrap_or(Unavailability::Unreachable)
}

impl From<sqlx::Error> for DbError {
    fn from(error: sqlx::Error) -> Self {
        let error = Self::classify(error);
        let failure = error.failure();
        let is_connection =
            matches!(error.unavailability(), Some(Unavailability::Unreachable | Unavailability::ReadOnly));
        // The other connections may lead to the same server, or be as broken. A pool that is in use says nothing about them.
        if is_connection && failure != DatabaseFailure::PoolTimeout {
            connection_checks::suspect_all();
        }
        record::database_error(failure);
        error
    }
}

impl DbError {
    fn classify(error: sqlx::Error) -> Self {
        if Unavailability::of(&error).is_some() {
            return Self::Unavailable(error);
        }
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        match code.as_deref() {
            // Serialization failure and deadlock: PostgreSQL expects the transaction to be repeated.
            Some("40001" | "40P01") => Self::Conflict("a row"),
            Some("57014") => Self::TimedOut(error),
            _ => Self::Statement(error),
        }
    }

    /// For the metrics.
    fn failure(&self) -> DatabaseFailure {
        match self {
            Self::Unavailable(sqlx::Error::PoolTimedOut) => DatabaseFailure::PoolTimeout,
            Self::Unavailable(_) => DatabaseFailure::Unavailable,
            Self::Conflict(_) => DatabaseFailure::Conflict,
            Self::TimedOut(_) => DatabaseFailure::StatementTimeout,
            _ => DatabaseFailure::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstates_of_a_server_that_may_recover_are_unavailability() {
        for (code, expected) in [
            ("08006", Some(Unavailability::Unreachable)),
            ("57P01", Some(Unavailability::Unreachable)),
            ("57P03", Some(Unavailability::Unreachable)),
            ("25P03", Some(Unavailability::Unreachable)),
            ("53300", Some(Unavailability::TooManyConnections)),
            ("53100", Some(Unavailability::DiskFull)),
            ("53200", Some(Unavailability::OutOfMemory)),
            ("25006", Some(Unavailability::ReadOnly)),
            ("55P03", Some(Unavailability::Locked)),
            ("23505", None),
            ("40001", None),
            ("42P01", None),
        ] {
            assert_eq!(Unavailability::of_code(code), expected, "{code}");
        }
    }

    #[test]
    fn message_names_the_problem_and_what_to_do() {
        let error = DbError::from(sqlx::Error::PoolTimedOut);
        assert!(error.to_string().starts_with("PostgreSQL cannot be reached ("), "{error}");
        assert!(error.to_string().ends_with("check that it runs and that DATABASE_URL is right"), "{error}");
    }
}
