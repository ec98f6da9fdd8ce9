//! Applies migrations, while the processes of the previous release are at work and although an earlier attempt may have died.
//!
//! sqlx applies one migration; what it lacks is added here. Its lock is replaced by one that is polled: a process that waits
//! for sqlx's waits inside a statement, `CREATE INDEX CONCURRENTLY` waits for that statement to end, and PostgreSQL reports a
//! deadlock. A migration that needs an exclusive lock waits only briefly and tries again, because whatever comes after it waits
//! behind it. An index that a killed process left unfinished is built again. And it is logged who makes a migration wait.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::migrate::{Migrate, MigrateError, Migration, Migrator};
use sqlx::postgres::{PgConnection, PgPool};
use sqlx::{AssertSqlSafe, Connection, Executor};
use tokio::time::{Instant, sleep};

use super::DbError;
use super::lock_holders::{self, LockHolder};

/// Built into the program, so that a release carries its own schema.
pub static MIGRATIONS: Migrator = sqlx::migrate!();

const MIGRATION_LOCK_POLL: Duration = Duration::from_millis(100);
/// How long a migration waits for a lock while other sessions wait behind it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the other sessions then have.
const LOCK_PAUSE: Duration = Duration::from_secs(2);
/// With the times above: about five minutes.
const MAX_LOCK_ATTEMPTS: u32 = 60;
/// How often it is checked whether a migration waits.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);
/// How often the same wait is reported.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(
        "migration {name} failed ({error}): correct the cause and run psp migrate again; those before it are applied"
    )]
    Failed { name: String, error: MigrateError },
    #[error(
        "migration {0} did not get its lock within five minutes: end the session that the log names, or run psp migrate again \
         when less is going on; the migrations before it are applied"
    )]
    Locked(String),
    #[error(
        "migration {0} was changed after it was applied: restore the file of its release, and add another migration"
    )]
    Changed(String),
}

/// What is applied next, and how much there is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationStep<'a> {
    /// How many of the missing migrations are applied.
    pub applied: usize,
    pub missing: usize,
    /// `None` at the end.
    pub next: Option<&'a str>,
}

/// Applies the missing migrations. Concurrent calls run one after the other.
pub async fn migrate(pool: &PgPool) -> Result<(), MigrationError> {
    migrate_reporting(pool, |_| ()).await
}

/// [`migrate`], with its progress.
pub async fn migrate_reporting(pool: &PgPool, report: impl FnMut(MigrationStep<'_>)) -> Result<(), MigrationError> {
    let mut session = pool.acquire().await.map_err(DbError::from)?.detach();
    let process = set_up(&mut session).await?;
    // The version of the migration that is being applied; 0 before the first.
    let current = AtomicI64::new(0);
    let migrated = tokio::select! {
        migrated = apply_missing(&mut session, &current, report) => migrated,
        never = report_waits(pool, process, &current) => match never {},
    };
    // The lock of all migrations ends with its session.
    session.close().await.map_err(DbError::from)?;
    migrated
}

/// A migration may take hours. Returns the process id of the session.
async fn set_up(session: &mut PgConnection) -> Result<i32, DbError> {
    let set = sqlx::query!(
        r#"SELECT set_config('statement_timeout', '0', false) AS statement_timeout,
                  set_config('idle_in_transaction_session_timeout', '0', false) AS idle_timeout,
                  pg_backend_pid() AS "process!""#
    );
    Ok(set.fetch_one(session).await?.process)
}

async fn apply_missing(
    session: &mut PgConnection,
    current: &AtomicI64,
    mut report: impl FnMut(MigrationStep<'_>),
) -> Result<(), MigrationError> {
    acquire_migration_lock(session).await?;
    session.ensure_migrations_table(&MIGRATIONS.table_name).await.map_err(database_error)?;
    let applied = session.list_applied_migrations(&MIGRATIONS.table_name).await.map_err(database_error)?;
    let mut missing = vec![];
    for migration in MIGRATIONS.iter() {
        match applied.iter().find(|applied| applied.version == migration.version) {
            Some(applied) if applied.checksum == migration.checksum => {}
            Some(_) => return Err(MigrationError::Changed(name(migration))),
            None => missing.push(migration),
        }
    }
    for (number, migration) in missing.iter().enumerate() {
        report(MigrationStep { applied: number, missing: missing.len(), next: Some(&name(migration)) });
        current.store(migration.version, Ordering::Relaxed);
        apply(session, migration).await?;
    }
    report(MigrationStep { applied: missing.len(), missing: missing.len(), next: None });
    Ok(())
}

async fn acquire_migration_lock(session: &mut PgConnection) -> Result<(), DbError> {
    let mut reported: Option<Instant> = None;
    loop {
        let locked = sqlx::query_scalar!(
            r#"SELECT pg_try_advisory_lock(hashtextextended('migrations of ' || current_database(), 0)) AS "locked!""#
        );
        if locked.fetch_one(&mut *session).await? {
            return Ok(());
        }
        if reported.is_none_or(|reported| reported.elapsed() >= REPORT_INTERVAL) {
            reported = Some(Instant::now());
            for LockHolder { process, application, .. } in lock_holders::list_migrating(session).await? {
                tracing::warn!(process, application, "waiting for another psp migrate");
            }
        }
        sleep(MIGRATION_LOCK_POLL).await;
    }
}

/// Applies a migration, again and again if other sessions have locked what it needs.
async fn apply(session: &mut PgConnection, migration: &Migration) -> Result<(), MigrationError> {
    for attempt in 1..=MAX_LOCK_ATTEMPTS {
        let index = if migration.no_tx { concurrent_index(migration.sql.as_str()) } else { None };
        if let Some(index) = index
            && is_complete(session, index).await?
        {
            tracing::info!(migration = name(migration), "the index was complete already");
            return session.skip(&MIGRATIONS.table_name, migration).await.map_err(|error| failed(migration, error));
        }
        set_lock_timeout(session, migration).await?;
        match session.apply(&MIGRATIONS.table_name, migration).await {
            Ok(elapsed) => {
                tracing::info!(migration = name(migration), duration_ms = elapsed.as_millis(), "migration applied");
                return Ok(());
            }
            Err(error) if is_lock_conflict(&error) => {
                tracing::warn!(migration = name(migration), attempt, %error, "did not get a lock, trying again");
                sleep(LOCK_PAUSE).await;
            }
            Err(error) => return Err(failed(migration, error)),
        }
    }
    Err(MigrationError::Locked(name(migration)))
}

/// Building an index concurrently makes no other session wait, so it may wait itself for as long as it takes.
async fn set_lock_timeout(session: &mut PgConnection, migration: &Migration) -> Result<(), DbError> {
    let timeout = if migration.no_tx { Duration::ZERO } else { LOCK_TIMEOUT };
    let set = sqlx::query!("SELECT set_config('lock_timeout', $1, false)", timeout.as_millis().to_string());
    set.fetch_one(session).await?;
    Ok(())
}

/// Whether an index exists and is complete. An incomplete one is dropped: a process was killed while it built it, and
/// PostgreSQL would neither finish it nor build another with the same name.
async fn is_complete(session: &mut PgConnection, index: &str) -> Result<bool, DbError> {
    let valid = sqlx::query_scalar!(
        "SELECT indisvalid FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
          WHERE relname = $1 AND pg_table_is_visible(indexrelid)",
        index
    );
    match valid.fetch_optional(&mut *session).await? {
        None => Ok(false),
        Some(true) => Ok(true),
        Some(false) => {
            tracing::warn!(index, "dropping an index that an interrupted migration left incomplete");
            let drop = AssertSqlSafe(format!("DROP INDEX CONCURRENTLY IF EXISTS \"{}\"", index.replace('"', "\"\"")));
            session.execute(drop).await?;
            Ok(false)
        }
    }
}

/// The name of the index that a statement `CREATE INDEX CONCURRENTLY` builds.
fn concurrent_index(sql: &str) -> Option<&str> {
    let mut words = without_comments(sql).flat_map(str::split_whitespace);
    words.find(|word| word.eq_ignore_ascii_case("concurrently"))?;
    words.find(|word| !["if", "not", "exists"].iter().any(|keyword| word.eq_ignore_ascii_case(keyword)))
}

fn without_comments(sql: &str) -> impl Iterator<Item = &str> {
    sql.lines().map(|line| line.split("--").next().unwrap_or_default())
}

fn is_lock_conflict(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else { return false };
    // 55P03: lock_timeout; 40P01: deadlock. A transaction was rolled back; an index is incomplete.
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "55P03" || code == "40P01")
}

fn failed(migration: &Migration, error: MigrateError) -> MigrationError {
    MigrationError::Failed { name: name(migration), error }
}

fn name(migration: &Migration) -> String {
    format!("{} ({})", migration.version, migration.description)
}

fn database_error(error: MigrateError) -> DbError {
    match error {
        MigrateError::Execute(error) => error.into(),
        other => DbError::impossible("table of migrations", other.to_string()),
    }
}

/// Logs which sessions make the session with this process id wait.
async fn report_waits(pool: &PgPool, process: i32, current: &AtomicI64) -> std::convert::Infallible {
    let mut reported: Option<(Vec<i32>, Instant)> = None;
    loop {
        sleep(WATCH_INTERVAL).await;
        let blocking = match lock_holders::list_blocking(pool, process).await {
            Ok(blocking) => blocking,
            Err(error) => {
                tracing::debug!(%error, "cannot find out what the migration waits for");
                continue;
            }
        };
        let processes: Vec<i32> = blocking.iter().map(|holder| holder.process).collect();
        let is_known = |(known, at): &(Vec<i32>, Instant)| *known == processes && at.elapsed() < REPORT_INTERVAL;
        if processes.is_empty() || reported.as_ref().is_some_and(is_known) {
            continue;
        }
        for LockHolder { process, application, state, seconds } in blocking {
            let migration = current.load(Ordering::Relaxed);
            tracing::warn!(
                migration,
                process,
                application,
                state,
                transaction_seconds = seconds,
                "the migration waits for a transaction of another session; to end it: SELECT pg_terminate_backend({process})"
            );
        }
        reported = Some((processes, Instant::now()));
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
        Err(error) => return Err(database_error(error)),
    };
    let missing = MIGRATIONS.iter().filter(|migration| !applied.contains(&migration.version)).count();
    Ok(if missing == 0 { SchemaState::Ready } else { SchemaState::Behind(missing) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_of_a_concurrent_build_is_found() {
        for (sql, expected) in [
            ("-- no-transaction\nCREATE INDEX CONCURRENTLY by_a ON t (a);", Some("by_a")),
            ("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS by_a\n ON t (a)", Some("by_a")),
            ("-- not concurrently\ncreate index concurrently by_b on t (b)", Some("by_b")),
            ("CREATE INDEX by_a ON t (a)", None),
            ("ALTER TABLE t ADD COLUMN a text", None),
        ] {
            assert_eq!(concurrent_index(sql), expected, "{sql}");
        }
    }

    #[test]
    fn migration_without_transaction_builds_one_index() {
        for migration in MIGRATIONS.iter().filter(|migration| migration.no_tx) {
            let statements: usize =
                without_comments(migration.sql.as_str()).map(|line| line.matches(';').count()).sum();
            assert_eq!(statements, 1, "{}: a killed process must not leave it half done", name(migration));
            assert!(concurrent_index(migration.sql.as_str()).is_some(), "{}: use a transaction", name(migration));
        }
    }
}
