//! Connects a process to PostgreSQL and Redis at startup, and checks that the schema is up to date.

use sqlx::PgPool;

use crate::config::ServersConfig;
use crate::db::DbError;
use crate::db::pool::{JobPools, SchemaState, connect, connect_jobs, schema_state};
use crate::redis::{Redis, RedisError};

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("the database is {0} migrations behind this release: run `psp migrate` first")]
    SchemaBehind(usize),
}

/// Connects a web process.
pub async fn connect_servers(config: &ServersConfig) -> Result<(PgPool, Redis), ConnectError> {
    let pool = connect(&config.database).await?;
    Ok((pool.clone(), check_schema_and_connect_redis(config, &pool).await?))
}

/// Connects a worker or scheduler.
pub async fn connect_job_servers(config: &ServersConfig) -> Result<(JobPools, Redis), ConnectError> {
    let pools = connect_jobs(&config.database).await?;
    let redis = check_schema_and_connect_redis(config, &pools.queue_pool).await?;
    Ok((pools, redis))
}

/// Connects the process that runs suspects. The worker that started it has already checked the schema and Redis. If Redis is
/// unavailable by now, suspects run all the same.
pub async fn connect_isolated_servers(config: &ServersConfig) -> Result<(JobPools, Redis), ConnectError> {
    Ok((connect_jobs(&config.database).await?, Redis::open(&config.redis)?))
}

async fn check_schema_and_connect_redis(config: &ServersConfig, pool: &PgPool) -> Result<Redis, ConnectError> {
    if let SchemaState::Behind(missing) = schema_state(pool).await? {
        return Err(ConnectError::SchemaBehind(missing));
    }
    Ok(Redis::connect(&config.redis).await?)
}
