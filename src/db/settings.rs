//! Where the database and its replicas are, and how much of them a process may use.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;

#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Address and credentials; its `Debug` never prints the password.
    pub options: PgConnectOptions,
    /// Replicas of the database, each reached by an address of its own.
    pub replicas: Vec<PgConnectOptions>,
    /// The limit for a process; `None` for the default of each kind of process.
    pub max_connections: Option<u32>,
    /// How long a statement of a request may take.
    pub request_statement: Duration,
}
