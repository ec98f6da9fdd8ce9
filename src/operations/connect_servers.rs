//! Connects a starting process to its servers, and makes sure that the schema is the one it was built for.

use sqlx::PgPool;

use crate::config::ServersConfig;
use crate::db::DbError;
use crate::db::pool::{JobPools, SchemaState, connect, connect_jobs, schema_state};
use crate::redis::{Redis, RedisError};

/// Why a process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// PostgreSQL is away, or refuses.
    #[error(transparent)]
    Database(#[from] DbError),
    /// Redis is away, or refuses.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// The release phase has not run.
    #[error("the database is {0} migrations behind this release: run `psp migrate` first")]
    SchemaBehind(usize),
}

/// Connects a process that answers requests to PostgreSQL and Redis.
///
/// # Errors
/// [`ConnectError`] where one of them is away or refuses, or the schema is behind.
pub async fn connect_servers(config: &ServersConfig) -> Result<(PgPool, Redis), ConnectError> {
    let pool = connect(&config.database).await?;
    Ok((pool.clone(), connect_wire(config, &pool).await?))
}

/// Connects a process that runs jobs to PostgreSQL and Redis.
///
/// # Errors
/// [`ConnectError`] where one of them is away or refuses, or the schema is behind.
pub async fn connect_job_servers(config: &ServersConfig) -> Result<(JobPools, Redis), ConnectError> {
    let pools = connect_jobs(&config.database).await?;
    let redis = connect_wire(config, &pools.queue_pool).await?;
    Ok((pools, redis))
}

/// Connects the process that runs suspects. The worker that started it has seen that Redis is what it should be; if it is
/// away by now, suspects run all the same.
///
/// # Errors
/// [`ConnectError`] where PostgreSQL is away or refuses.
pub async fn connect_isolated_servers(config: &ServersConfig) -> Result<(JobPools, Redis), ConnectError> {
    Ok((connect_jobs(&config.database).await?, Redis::open(&config.redis)?))
}

async fn connect_wire(config: &ServersConfig, pool: &PgPool) -> Result<Redis, ConnectError> {
    if let SchemaState::Behind(missing) = schema_state(pool).await? {
        return Err(ConnectError::SchemaBehind(missing));
    }
    Ok(Redis::connect(&config.redis).await?)
}
