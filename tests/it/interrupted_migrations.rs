//! `psp migrate` is killed in the middle of each migration, and has to wait for other sessions: running it again gives the
//! schema of an uninterrupted migration, and its log names the sessions that it waits for.

use std::time::Duration;

use psp_dashboard::db::migrate::{MIGRATIONS, SchemaState, schema_state};
use sqlx::migrate::Migrate;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool, Row};

use crate::harness::eventually;
use crate::harness::programs::{Program, RunningProgram};
use crate::harness::servers::Servers;

fn start_migrating(servers: &Servers) -> RunningProgram {
    let url = format!("{}?application_name=migration", servers.database_url);
    RunningProgram::start(Program::Psp, &["migrate"], [("DATABASE_URL", url)])
}

/// Kills it, and waits until the server has noticed.
async fn kill(mut program: RunningProgram, pool: &PgPool) {
    program.kill();
    wait_for_sessions(pool, "application_name = 'migration'", 0).await;
}

/// Waits until this many other sessions of the database meet a condition.
async fn wait_for_sessions(pool: &PgPool, condition: &str, expected: i64) {
    let query = format!(
        "SELECT count(*) FROM pg_stat_activity
          WHERE datname = current_database() AND pid <> pg_backend_pid() AND {condition}"
    );
    eventually(&format!("{expected} sessions with {condition}"), || async {
        let row = pool.fetch_one(AssertSqlSafe(query.clone())).await.expect("PostgreSQL responds");
        (row.get::<i64, _>(0) == expected).then_some(())
    })
    .await;
}

/// A session with an open transaction that has executed `statement`.
async fn hold(servers: &Servers, statement: String) -> PgConnection {
    let mut session = PgConnection::connect(&servers.database_url).await.expect("PostgreSQL is running");
    session.execute(AssertSqlSafe(format!("BEGIN; {statement}"))).await.expect("a valid statement");
    session
}

/// Everything in the schema, as text.
async fn describe_schema(pool: &PgPool) -> Vec<String> {
    let query = "SELECT 'index ' || indexrelid::regclass || ' ' || indisvalid || ' ' || pg_get_indexdef(indexrelid)
                   FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid
                  WHERE relnamespace = 'public'::regnamespace
                 UNION ALL
                 SELECT 'column ' || table_name || ' ' || column_name || ' ' || ordinal_position || ' ' || data_type || ' '
                        || is_nullable || ' ' || COALESCE(column_default, '')
                   FROM information_schema.columns WHERE table_schema = 'public'
                 UNION ALL
                 SELECT 'constraint ' || conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
                   FROM pg_constraint WHERE connamespace = 'public'::regnamespace
                 UNION ALL
                 SELECT 'function ' || pg_get_functiondef(pg_proc.oid) FROM pg_proc
                  WHERE pronamespace = 'public'::regnamespace AND prokind = 'f'
                    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = pg_proc.oid AND deptype = 'e')
                 UNION ALL
                 SELECT 'trigger ' || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal
                 UNION ALL
                 SELECT 'migration ' || version FROM _sqlx_migrations
                 ORDER BY 1";
    let rows = pool.fetch_all(query).await.expect("PostgreSQL responds");
    rows.iter().map(|row| row.get(0)).collect()
}

/// For each migration: its statements have been executed, its version not recorded yet. Half of the indexes that are built
/// concurrently are killed while they are built, the other half when they are complete.
#[tokio::test]
async fn migrate_killed_during_each_migration_continues_to_the_same_schema() {
    let servers = Servers::start_empty().await;
    let pool = servers.pool().await;
    pool.acquire()
        .await
        .expect("a session")
        .ensure_migrations_table("_sqlx_migrations")
        .await
        .expect("an empty database");
    let (mut incomplete, mut complete) = (0, 0);
    for migration in MIGRATIONS.iter() {
        // The record of this version waits for the end of this transaction.
        let record = format!(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
             VALUES ({}, '', true, '', 0)",
            migration.version
        );
        let blocking = hold(&servers, record).await;
        let program = start_migrating(&servers);
        wait_for_sessions(&pool, "wait_event_type = 'Lock' AND query ILIKE '%INSERT INTO _sqlx_migrations%'", 1).await;
        kill(program, &pool).await;
        blocking.close().await.expect("PostgreSQL is running");
        if !migration.no_tx {
            continue;
        }
        let (index, table) = index_and_table(migration.sql.as_str());
        if complete > incomplete {
            pool.execute(AssertSqlSafe(format!("DROP INDEX {index}"))).await.expect("the index exists");
            let blocking = hold(&servers, format!("LOCK TABLE {table} IN ROW EXCLUSIVE MODE")).await;
            let program = start_migrating(&servers);
            wait_for_sessions(&pool, "wait_event_type = 'Lock' AND query ILIKE '%INDEX CONCURRENTLY%'", 1).await;
            kill(program, &pool).await;
            blocking.close().await.expect("PostgreSQL is running");
            incomplete += 1;
        } else {
            complete += 1;
        }
    }
    assert!(incomplete > 2 && complete > 2, "{incomplete} and {complete}");
    let status = start_migrating(&servers).wait_for_exit(Duration::from_mins(1)).await;
    assert!(status.success(), "{status}");
    assert_eq!(schema_state(&pool).await.expect("a response"), SchemaState::Ready);
    let uninterrupted = Servers::start().await;
    let (interrupted, uninterrupted) =
        (describe_schema(&pool).await, describe_schema(&uninterrupted.pool().await).await);
    assert!(uninterrupted.len() > 300, "{}", uninterrupted.len());
    assert_same(&interrupted, &uninterrupted);
}

/// The name of the index that a migration creates, and of its table.
fn index_and_table(sql: &str) -> (&str, &str) {
    let mut words = sql.split_whitespace().skip_while(|word| *word != "CONCURRENTLY").skip(1);
    let index = words.next().expect("the name of an index");
    let table = words.skip_while(|word| *word != "ON").nth(1).expect("the name of a table");
    (index, table)
}

fn assert_same(found: &[String], expected: &[String]) {
    let missing: Vec<&String> = expected.iter().filter(|line| !found.contains(line)).collect();
    let extra: Vec<&String> = found.iter().filter(|line| !expected.contains(line)).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing: {missing:#?}\nextra: {extra:#?}");
}

#[tokio::test]
async fn migrate_names_the_session_it_waits_for_and_tries_again() {
    let servers = Servers::start_empty().await;
    let pool = servers.pool().await;
    let mut nightly = PgConnection::connect(&format!("{}?application_name=nightly-report", servers.database_url))
        .await
        .expect("PostgreSQL is running");
    let process: i32 = nightly.fetch_one("SELECT pg_backend_pid()").await.expect("a response").get(0);
    nightly.ensure_migrations_table("_sqlx_migrations").await.expect("an empty database");
    nightly.execute("BEGIN; LOCK TABLE _sqlx_migrations IN SHARE MODE").await.expect("a valid statement");

    let mut program = start_migrating(&servers);
    eventually("the log to name the session", || async {
        let output = program.output();
        (output.contains("nightly-report") && output.contains(&format!("pg_terminate_backend({process})")))
            .then_some(())
    })
    .await;
    eventually("the lock to time out", || async { program.output().contains("did not get a lock").then_some(()) })
        .await;
    let second = start_migrating(&servers);
    eventually("the second process to name the first", || async {
        second.output().contains("waiting for another psp migrate").then_some(())
    })
    .await;
    nightly.execute("ROLLBACK").await.expect("a valid statement");
    assert!(program.wait_for_exit(Duration::from_mins(1)).await.success(), "{}", program.output());
    assert_eq!(schema_state(&pool).await.expect("a response"), SchemaState::Ready);
}
