//! The pool of connections, and the schema they find.

use std::time::Duration;

use sqlx::Connection;
use sqlx::migrate::{Migrate, MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};

use super::DbError;
use super::jobs::session::Purpose;

/// The migrations, built into the program, so that a release carries its own schema.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

/// How long a caller waits for a connection before it is told that there is none.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// Jobs have more time than people, and starting over costs more than waiting for another job's connection.
const WORK_ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);
/// The jobs table's statements are short: so many connections never wait for each other.
const MOST_FOR_QUEUE: u32 = 4;

/// How often whoever waits for the turn to migrate asks for it.
const BETWEEN_TURNS: Duration = Duration::from_millis(100);

/// How the database is reached.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Where it is and as whom; the password is never printed by its `Debug`.
    pub options: PgConnectOptions,
    /// The most connections of this process.
    pub max_connections: u32,
}

impl DatabaseSettings {
    /// The same database with so many of its connections for the jobs table, and the others for the work.
    fn split(&self) -> (Self, Self) {
        let for_queue = (self.max_connections / 3).clamp(1, MOST_FOR_QUEUE);
        let with = |max_connections| Self { max_connections, ..self.clone() };
        (with(for_queue), with(self.max_connections.saturating_sub(for_queue).max(1)))
    }
}

/// The pools of a process that runs jobs.
#[derive(Debug, Clone)]
pub struct JobPools {
    /// For claims, heartbeats and outcomes.
    pub queue_pool: PgPool,
    /// For what jobs do.
    pub work_pool: PgPool,
}

/// Connects, trying once, so that a wrong address is said at the start and not at the first request.
///
/// # Errors
/// [`DbError::Unavailable`] where there is no database.
pub async fn connect(settings: &DatabaseSettings) -> Result<PgPool, DbError> {
    try_once(settings).await?;
    Ok(open(settings, Purpose::Requests))
}

/// Connects a process that runs jobs, trying once.
///
/// # Errors
/// [`DbError::Unavailable`] where there is no database.
pub async fn connect_jobs(settings: &DatabaseSettings) -> Result<JobPools, DbError> {
    try_once(settings).await?;
    let (queue_pool, work_pool) = settings.split();
    Ok(JobPools { queue_pool: open(&queue_pool, Purpose::Queue), work_pool: open(&work_pool, Purpose::Work) })
}

/// The pool would try for long, and then not say why; one plain connection says at once what is wrong.
async fn try_once(settings: &DatabaseSettings) -> Result<(), DbError> {
    let plain = tokio::time::timeout(ACQUIRE_TIMEOUT, PgConnection::connect_with(&settings.options)).await;
    let plain = plain.unwrap_or(Err(sqlx::Error::PoolTimedOut)).map_err(DbError::Unavailable)?;
    plain.close().await.map_err(DbError::Unavailable)
}

fn open(settings: &DatabaseSettings, purpose: Purpose) -> PgPool {
    let patience = if purpose == Purpose::Work { WORK_ACQUIRE_TIMEOUT } else { ACQUIRE_TIMEOUT };
    let options = purpose.pool_options().max_connections(settings.max_connections).acquire_timeout(patience);
    options.connect_lazy_with(settings.options.clone())
}

/// Applies what is missing of the migrations. Two at once take turns.
///
/// By a lock of ours: whoever waits for sqlx's own waits within a statement, for whose end `CREATE INDEX CONCURRENTLY` waits
/// in its turn, and PostgreSQL calls that a deadlock. Ours is asked for again and again.
///
/// # Errors
/// [`MigrateError`] where one fails: it is rolled back, those before it stay.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrateError> {
    let turn = wait_for_turn_to_migrate(pool).await?;
    let mut migrator = Migrator::with_migrations(MIGRATIONS.iter().cloned().collect());
    let migrated = migrator.set_locking(false).run(pool).await;
    // The lock ends with its session.
    turn.close().await?;
    migrated
}

async fn wait_for_turn_to_migrate(pool: &PgPool) -> Result<PgConnection, sqlx::Error> {
    let mut session = pool.acquire().await?.detach();
    loop {
        let ours = sqlx::query_scalar!(
            r#"SELECT pg_try_advisory_lock(hashtextextended('migrations of ' || current_database(), 0)) AS "ours!""#
        );
        if ours.fetch_one(&mut session).await? {
            return Ok(session);
        }
        tokio::time::sleep(BETWEEN_TURNS).await;
    }
}

/// How far the schema is from what this program needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// Everything that this program needs is there. (More may be: migrations expand first, so an older program runs.)
    Ready,
    /// This many migrations are missing.
    Behind(usize),
}

/// Compares the schema with the migrations of this program.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn schema_state(pool: &PgPool) -> Result<SchemaState, DbError> {
    let mut connection = pool.acquire().await?;
    let known = connection.list_applied_migrations(&MIGRATIONS.table_name).await;
    let applied: Vec<i64> = match known {
        Ok(applied) => applied.into_iter().map(|migration| migration.version).collect(),
        // 42P01: the table of migrations itself is not there yet.
        Err(MigrateError::Execute(sqlx::Error::Database(error))) if error.code().as_deref() == Some("42P01") => vec![],
        Err(MigrateError::Execute(error)) => return Err(error.into()),
        Err(other) => return Err(DbError::impossible("table of migrations", other.to_string())),
    };
    let missing = MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version)).count();
    Ok(if missing == 0 { SchemaState::Ready } else { SchemaState::Behind(missing) })
}

/// Asks whether the database answers.
///
/// # Errors
/// [`DbError`] where it does not.
pub async fn ping(pool: &PgPool) -> Result<(), DbError> {
    sqlx::query!("SELECT 1 AS one").fetch_one(pool).await?;
    Ok(())
}
