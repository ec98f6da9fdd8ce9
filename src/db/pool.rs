//! Connection pools, and the version of the schema they reach.

use std::time::Duration;

use sqlx::Connection;
use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};

use super::DbError;
use super::jobs::session::Purpose;

/// Built into the program, so that a release carries its own schema.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// How long a caller waits for a free connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Jobs can wait longer than HTTP requests, and a repeated attempt costs more than waiting for another job's connection.
const WORK_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);
/// The statements of the jobs table are short: they need no more connections than this.
const MAX_QUEUE_CONNECTIONS: u32 = 4;

const MIGRATION_LOCK_POLL: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Address and credentials; its `Debug` never prints the password.
    pub options: PgConnectOptions,
    /// The limit for this process.
    pub max_connections: u32,
}

impl DatabaseSettings {
    /// Divides the connections between the jobs table and the work of the jobs.
    fn split(&self) -> (Self, Self) {
        let for_queue = (self.max_connections / 3).clamp(1, MAX_QUEUE_CONNECTIONS);
        let with = |max_connections| Self { max_connections, ..self.clone() };
        (with(for_queue), with(self.max_connections.saturating_sub(for_queue).max(1)))
    }
}

/// The pools of a process that runs jobs.
#[derive(Debug, Clone)]
pub struct JobPools {
    /// For claims, heartbeats and outcomes.
    pub queue_pool: PgPool,
    /// For everything that jobs do.
    pub work_pool: PgPool,
}

/// Connects once before returning, so that a wrong address fails at startup and not at the first request.
pub async fn connect(settings: &DatabaseSettings) -> Result<PgPool, DbError> {
    try_once(settings).await?;
    Ok(open(settings, Purpose::Requests))
}

/// [`connect`] for a process that runs jobs.
pub async fn connect_jobs(settings: &DatabaseSettings) -> Result<JobPools, DbError> {
    try_once(settings).await?;
    let (queue_pool, work_pool) = settings.split();
    Ok(JobPools { queue_pool: open(&queue_pool, Purpose::Queue), work_pool: open(&work_pool, Purpose::Work) })
}

/// The pool would retry until its timeout and then not report the cause; a plain connection reports it at once.
async fn try_once(settings: &DatabaseSettings) -> Result<(), DbError> {
    let plain = tokio::time::timeout(ACQUIRE_TIMEOUT, PgConnection::connect_with(&settings.options)).await;
    let plain = plain.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(DbError::Unavailable)?;
    plain.close().await.map_err(DbError::Unavailable)
}

fn open(settings: &DatabaseSettings, purpose: Purpose) -> PgPool {
    let timeout = if purpose == Purpose::Work { WORK_ACQUIRE_TIMEOUT } else { ACQUIRE_TIMEOUT };
    let options = purpose.pool_options().max_connections(settings.max_connections).acquire_timeout(timeout);
    options.connect_lazy_with(settings.options.clone())
}

/// Applies the missing migrations. Concurrent calls run one after the other.
///
/// They use a lock of ours: a process that waits for sqlx's lock waits inside a statement, `CREATE INDEX CONCURRENTLY` waits
/// for that statement to end, and PostgreSQL reports a deadlock. Ours is polled instead.
///
/// # Errors
/// [`MigrateError`] if a migration fails: it is rolled back, those before it stay.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    let lock = acquire_migration_lock(pool).await?;
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    let migrated = migrator.set_locking(false).run(pool).await;
    // The lock ends with its session.
    lock.close().await?;
    migrated
}

async fn acquire_migration_lock(pool: &PgPool) -> Result<PgConnection, sqlx::Error> {
    let mut session = pool.acquire().await?.detach();
    loop {
        let locked = sqlx::query_scalar!(
            r#"SELECT pg_try_advisory_lock(hashtextextended('migrations of ' || current_database(), 0)) AS "locked!""#
        );
        if locked.fetch_one(&mut session).await? {
            return Ok(session);
        }
        tokio::time::sleep(MIGRATION_LOCK_POLL).await;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// Every migration of this program is applied. There may be newer ones: migrations expand the schema first, so an older
    /// program still runs.
    Ready,
    /// This many migrations are missing.
    Behind(usize),
}

/// Compares the applied migrations with those of this program.
pub async fn schema_state(pool: &PgPool) -> Result<SchemaState, DbError> {
    let mut connection = pool.acquire().await?;
    let applied: Vec<i64> = match connection.list_applied_migrations(&MIGRATIONS.table_name).await {
        Ok(applied) => applied.into_iter().map(|migration| migration.version).collect(),
        // 42P01: the table of migrations does not exist yet.
        Err(MigrateError::Execute(sqlx::Error::Database(error))) if error.code().as_deref() == Some("42P01") => vec![],
        Err(MigrateError::Execute(error)) => return Err(error.into()),
        Err(other) => return Err(DbError::impossible("table of migrations", other.to_string())),
    };
    let missing = MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version)).count();
    Ok(if missing == 0 { SchemaState::Ready } else { SchemaState::Behind(missing) })
}

pub async fn ping(pool: &PgPool) -> Result<(), DbError> {
    sqlx::query!("SELECT 1 AS one").fetch_one(pool).await?;
    Ok(())
}
