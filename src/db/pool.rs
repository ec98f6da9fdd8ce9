//! Connection pools.

use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnection, PgPool};
use tokio::time::Instant;

use super::DbError;
use super::pooler::reject_transaction_pooling;
use super::process_connections::Process;
use super::reads::ReadPools;
use super::session_limits::Purpose;
use super::settings::DatabaseSettings;

/// How long a caller waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Jobs can wait longer than HTTP requests, and a repeated attempt costs more than waiting for another job's connection.
const WORK_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a process that starts, or a command, waits for a free connection: during a deployment, the processes of the previous
/// release still have theirs.
const START_TIMEOUT: Duration = Duration::from_mins(1);
const START_RETRY_PAUSE: Duration = Duration::from_millis(500);

/// The pools of a web process.
#[derive(Debug, Clone)]
pub struct WebPools {
    /// For requests.
    pub pool: PgPool,
    /// The same, and the replicas, for reads that need not come from the primary.
    pub reads: ReadPools,
    /// For authentication and health.
    pub access_pool: PgPool,
}

/// The pools of a process that runs jobs.
#[derive(Debug, Clone)]
pub struct JobPools {
    /// For claims, heartbeats and outcomes.
    pub queue_pool: PgPool,
    /// For everything that jobs do.
    pub work_pool: PgPool,
    /// The same, and the replicas, for exports.
    pub reads: ReadPools,
}

/// For a command. Connects once before returning, so that a wrong address fails at startup and not at the first statement.
pub async fn connect(settings: &DatabaseSettings) -> Result<PgPool, DbError> {
    connect_first(settings).await?;
    Ok(open(settings, Purpose::Command, Process::Command.max_connections(settings.max_connections)))
}

/// [`connect`] for a web process.
pub async fn connect_web(settings: &DatabaseSettings) -> Result<WebPools, DbError> {
    connect_first(settings).await?;
    let (requests, access) = Process::divide_web(Process::Web.max_connections(settings.max_connections));
    let pool = open(settings, Purpose::Requests, requests);
    let pools = WebPools {
        reads: ReadPools::new(pool.clone(), settings, requests),
        pool,
        access_pool: open(settings, Purpose::Access, access),
    };
    open_first(&pools.pool).await?;
    open_first(&pools.access_pool).await?;
    Ok(pools)
}

/// [`connect`] for a process that runs or enqueues jobs.
pub async fn connect_jobs(settings: &DatabaseSettings, process: Process) -> Result<JobPools, DbError> {
    connect_first(settings).await?;
    let (queue, work) = Process::divide_jobs(process.max_connections(settings.max_connections));
    let work_pool = open(settings, Purpose::Work, work);
    let pools = JobPools {
        queue_pool: open(settings, Purpose::Queue, queue),
        reads: ReadPools::new(work_pool.clone(), settings, work),
        work_pool,
    };
    open_first(&pools.queue_pool).await?;
    Ok(pools)
}

/// Waits until the server has a free connection. Every other error is returned at once.
async fn connect_first(settings: &DatabaseSettings) -> Result<(), DbError> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        match try_once(settings).await {
            Err(DbError::Unavailable(error)) if is_full(&error) && Instant::now() < deadline => {
                tracing::warn!(%error, "PostgreSQL has no free connection, waiting for one");
                tokio::time::sleep(START_RETRY_PAUSE).await;
            }
            result => return result,
        }
    }
}

/// Opens the first connection of a pool, which waits for a free one only as long as a request would.
async fn open_first(pool: &PgPool) -> Result<(), DbError> {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        match pool.acquire().await {
            Err(sqlx::Error::PoolTimedOut) if Instant::now() < deadline => {
                tracing::warn!("PostgreSQL has no free connection, waiting for one");
            }
            acquired => return Ok(acquired.map(drop)?),
        }
    }
}

/// SQLSTATE 53300: the limit of the server, of the database or of the role is reached.
fn is_full(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.code().as_deref() == Some("53300"))
}

/// The pool would retry until its timeout and then not report the cause; a plain connection reports it at once.
async fn try_once(settings: &DatabaseSettings) -> Result<(), DbError> {
    let plain = tokio::time::timeout(ACQUIRE_TIMEOUT, PgConnection::connect_with(&settings.options)).await;
    let mut plain = plain.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(DbError::Unavailable)?;
    reject_transaction_pooling(&mut plain, &settings.options).await?;
    plain.close().await.map_err(DbError::Unavailable)
}

fn open(settings: &DatabaseSettings, purpose: Purpose, max_connections: u32) -> PgPool {
    let timeout = match purpose {
        Purpose::Requests | Purpose::Replica | Purpose::Access | Purpose::Queue => ACQUIRE_TIMEOUT,
        Purpose::Work => WORK_ACQUIRE_TIMEOUT,
        Purpose::Command => START_TIMEOUT,
    };
    let options = purpose.pool_options(settings.request_statement);
    let options = options.max_connections(max_connections).acquire_timeout(timeout);
    options.connect_lazy_with(settings.options.clone())
}
