//! Connects a process to PostgreSQL and Redis at startup, and checks that the schema is up to date.
//!
//! A process starts while Redis is unreachable: only wake-ups and live events are missing, and a host that replaces a process
//! during an outage of Redis must not stop the syncs. Credentials that Redis refuses prevent the start.

use sqlx::PgPool;

use crate::config::ServersConfig;
use crate::db::DbError;
use crate::db::migrate::{SchemaState, schema_state};
use crate::db::pool::{JobPools, WebPools, connect_jobs, connect_web};
use crate::db::process_connections::Process;
use crate::redis::{Redis, RedisError};

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("the database is {0} migrations behind this release: run `psp migrate` first")]
    SchemaBehind(usize),
    #[error(
        "DATABASE_MAX_CONNECTIONS is {found}, but {} needs at least {}: raise it, or remove it for the default of {}",
        process.name(), process.min_connections(), process.max_connections(None)
    )]
    TooFewConnections { process: Process, found: u32 },
}

/// Connects a web process.
pub async fn connect_servers(config: &ServersConfig) -> Result<(WebPools, Redis), ConnectError> {
    check_connections(config, Process::Web)?;
    let pools = connect_web(&config.database).await?;
    let redis = check_schema_and_connect_redis(config, &pools.access_pool).await?;
    Ok((pools, redis))
}

/// Connects a worker, a scheduler, or a command that enqueues jobs.
pub async fn connect_job_servers(config: &ServersConfig, process: Process) -> Result<(JobPools, Redis), ConnectError> {
    check_connections(config, process)?;
    let pools = connect_jobs(&config.database, process).await?;
    let redis = check_schema_and_connect_redis(config, &pools.queue_pool).await?;
    Ok((pools, redis))
}

/// Connects the process that runs suspects. The worker that started it has already checked the schema and Redis. If Redis is
/// unavailable by now, suspects run all the same.
pub async fn connect_isolated_servers(config: &ServersConfig) -> Result<(JobPools, Redis), ConnectError> {
    Ok((connect_jobs(&config.database, Process::Isolated).await?, Redis::open(&config.redis)?))
}

fn check_connections(config: &ServersConfig, process: Process) -> Result<(), ConnectError> {
    let found = process.max_connections(config.database.max_connections);
    if found < process.min_connections() { Err(ConnectError::TooFewConnections { process, found }) } else { Ok(()) }
}

async fn check_schema_and_connect_redis(config: &ServersConfig, pool: &PgPool) -> Result<Redis, ConnectError> {
    if let SchemaState::Behind(missing) = schema_state(pool).await? {
        return Err(ConnectError::SchemaBehind(missing));
    }
    match Redis::connect(&config.redis).await {
        Err(error) if error.is_unreachable() => {
            tracing::error!(%error, "starting without Redis; wake-ups and live events follow when REDIS_URL answers");
            Ok(Redis::open(&config.redis)?)
        }
        connected => Ok(connected?),
    }
}
