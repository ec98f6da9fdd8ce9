//! Connections to PostgreSQL: which limits they have, how many there are, and what happens if there are not enough.

mod limited_role;

use futures_util::future::join_all;
use psp_dashboard::config::{EnvVars, ServersConfig};
use psp_dashboard::db::pool::{connect, connect_jobs, connect_web};
use psp_dashboard::db::process_connections::Process;
use psp_dashboard::db::snapshot::Snapshot;
use reqwest::Method;
use sqlx::{Connection, Executor, PgConnection};
use tokio::net::TcpStream;

use self::limited_role::LimitedRole;
use crate::harness::programs::{Program, RunningProgram, free_port, run};
use crate::harness::servers::{Servers, number};
use crate::harness::test_system::{ADMIN, TestSystem, Web, header};
use crate::harness::{TIMEOUT, eventually};

/// With [`slow_down_quarantine`], its statements never end.
const SLOW: &str = "/api/v1/sync/quarantine";
const STATEMENT_LIMIT: &str = "SELECT setting::bigint FROM pg_settings WHERE name = 'statement_timeout'";
const LOCK_LIMIT: &str = "SELECT setting::bigint FROM pg_settings WHERE name = 'lock_timeout'";
const COMPILES: &str = "SELECT (setting = 'on')::int::bigint FROM pg_settings WHERE name = 'jit'";
const IDLE_LIMIT: &str = "SELECT setting::bigint FROM pg_settings WHERE name = 'idle_in_transaction_session_timeout'";
/// Those of a [`LimitedRole`].
const LIMITED_CONNECTIONS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE 'psp!_role!_%' ESCAPE '!'";
const SLOW_STATEMENTS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";

/// Replaces the table by a view that is read forever.
async fn slow_down_quarantine(system: &TestSystem) {
    system
        .pool
        .execute(
            "ALTER TABLE quarantine RENAME TO stored_quarantine;
             CREATE VIEW quarantine AS SELECT * FROM stored_quarantine WHERE (SELECT pg_sleep(3600)) IS NOT NULL",
        )
        .await
        .expect("the table exists");
}

async fn wait_for_slow_statements(system: &TestSystem, number: i64) {
    eventually(&format!("{number} slow statements"), || async {
        (system.number(SLOW_STATEMENTS).await == number).then_some(())
    })
    .await;
}

async fn status(web: &Web, key: Option<&str>, path: &str) -> u16 {
    web.request(Method::GET, path, key, None).await.expect("the web process responds").status
}

/// A busy machine may need several attempts.
async fn wait_for_status(web: &Web, key: Option<&str>, path: &str, expected: u16) {
    eventually(&format!("{path} to answer {expected}"), || async {
        (status(web, key, path).await == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn slow_requests_end_and_block_neither_health_nor_authentication() {
    let system = TestSystem::start(&[]).await;
    let created = run(Program::Psp, &["keys", "create", "--name", "new", "--role", "viewer"], system.settings());
    let key = created.stdout.trim();
    // Far longer than this test waits: whatever ends earlier was cancelled.
    let web = system.start_web_with(&[("DATABASE_STATEMENT_TIMEOUT_SECONDS", "600")]).await;
    slow_down_quarantine(&system).await;

    // Each has two statements, so every connection for requests is busy. A request that found no connection in time is repeated.
    let mut clients =
        Box::pin(join_all((0..3).map(|_| async { while status(&web, Some(ADMIN), SLOW).await == 503 {} })));
    tokio::select! {
        _ = &mut clients => panic!("a slow request was answered"),
        () = wait_for_slow_statements(&system, 6) => {}
    }
    for (key, path) in [(None, "/health"), (None, "/health/ready"), (Some(key), "/api/v1/me")] {
        wait_for_status(&web, key, path, 200).await;
    }

    drop(clients);
    wait_for_slow_statements(&system, 0).await;
    wait_for_status(&web, Some(key), "/api/v1/transactions", 200).await;

    let impatient = system.start_web_with(&[("DATABASE_STATEMENT_TIMEOUT_SECONDS", "2")]).await;
    let refused = impatient.request(Method::GET, SLOW, Some(ADMIN), None).await.expect("the web process responds");
    assert_eq!((refused.status, header(&refused.headers, "retry-after")), (503, "5"), "{refused:?}");
    assert!(refused.text.contains("took too long") && refused.text.contains("/exports"), "{refused:?}");
    wait_for_slow_statements(&system, 0).await;

    let mut lock = system.pool.begin().await.expect("the database responds");
    lock.execute("LOCK TABLE transactions").await.expect("the table exists");
    let locked = "/api/v1/transactions/00000000-0000-0000-0000-000000000000";
    assert_eq!(status(&impatient, Some(ADMIN), locked).await, 503);
    lock.rollback().await.expect("the database responds");
    wait_for_status(&impatient, Some(ADMIN), locked, 404).await;
}

#[tokio::test]
async fn sessions_have_the_limits_of_their_purpose() {
    let servers = Servers::start().await;
    let mut env_vars = EnvVars::from_pairs([("DATABASE_URL", servers.database_url.as_str())]);
    let settings = ServersConfig::read_database(&mut env_vars).expect("valid settings");
    let web = connect_web(&settings).await.expect("the database responds");
    let jobs = connect_jobs(&settings, Process::Worker).await.expect("the database responds");
    let command = connect(&settings).await.expect("the database responds");
    for (purpose, pool, statement, lock, idle) in [
        ("requests", web.pool, 15_000, 5_000, 10_000),
        ("access", web.access_pool, 3_000, 2_000, 10_000),
        ("queue", jobs.queue_pool, 10_000, 5_000, 10_000),
        ("work", jobs.work_pool.clone(), 1_800_000, 60_000, 10_000),
        ("command", command, 0, 0, 0),
    ] {
        let limit = async |query| number(&pool, query).await;
        assert_eq!(limit(STATEMENT_LIMIT).await, statement, "{purpose}");
        assert_eq!(limit(LOCK_LIMIT).await, lock, "{purpose}");
        assert_eq!(limit(IDLE_LIMIT).await, idle, "{purpose}");
        if matches!(purpose, "requests" | "access" | "queue") {
            // Short statements that are sent all the time.
            assert_eq!(limit(COMPILES).await, 0, "{purpose}: compiling a statement takes longer than running it");
        }
    }
    let mut export = Snapshot::open_for_export(&jobs.work_pool).await.expect("the database responds");
    let cut = export
        .connection()
        .expect("it is open")
        .execute("SELECT 1 / (current_setting('statement_timeout') = '4h')::int");
    assert!(cut.await.is_ok(), "an export has a limit of its own");
    export.close().await.expect("the database responds");
    assert_eq!(number(&jobs.work_pool, STATEMENT_LIMIT).await, 1_800_000);
}

#[tokio::test]
async fn one_process_of_each_kind_needs_at_most_twenty_connections() {
    let system = TestSystem::start(&["--live-per-second", "20"]).await;
    let role = LimitedRole::create(&system, 20).await;
    let settings = [
        ("DATABASE_URL", role.url.as_str()),
        ("VIMA_SYNC_INTERVAL_SECONDS", "1"),
        ("PAYSHACK_SYNC_INTERVAL_SECONDS", "1"),
        ("PAYSHACK_METADATA_SYNC_INTERVAL_SECONDS", "1"),
    ];
    let web = system.start_web_with(&settings).await;
    let jobs = ["worker", "scheduler"].map(|command| system.start_jobs_with(&[command], &settings));
    let paths = ["/api/v1/transactions", "/api/v1/metrics/overview", "/api/v1/filters", "/api/v1/sync/status"];
    eventually("both sources to be synced while the API is used", || async {
        let requests = paths.iter().cycle().take(16).map(|path| status(&web, Some(ADMIN), path));
        let (statuses, connections) = tokio::join!(join_all(requests), system.number(LIMITED_CONNECTIONS));
        assert!((2..=20).contains(&connections), "{connections} connections");
        let synced = system.number("SELECT count(DISTINCT source) FROM sync_runs WHERE status = 'succeeded'").await;
        (synced == 2 && statuses.iter().all(|status| *status == 200)).then_some(())
    })
    .await;
    for program in jobs.iter().chain([&web.program]) {
        let output = program.output();
        assert!(!output.contains("too many connections") && !output.contains("no free connection"), "{output}");
    }
}

#[tokio::test]
async fn programs_wait_for_a_free_connection() {
    let system = TestSystem::start(&[]).await;
    let role = LimitedRole::create(&system, 1).await;
    let blocker = PgConnection::connect(&role.url).await.expect("the only connection");
    let settings = || {
        let mut settings = system.settings();
        settings.retain(|(name, _)| *name != "DATABASE_URL");
        settings.push(("DATABASE_URL", role.url.clone()));
        settings
    };
    let port = free_port();
    let web = settings().into_iter().chain([("HOST", "127.0.0.1".to_owned()), ("PORT", port.to_string())]);
    let mut migrate = RunningProgram::start(Program::Psp, &["migrate"], settings());
    let web = RunningProgram::start(Program::Psp, &["web"], web);
    let jobs = ["worker", "scheduler"].map(|command| RunningProgram::start(Program::Jobs, &[command], settings()));
    for program in jobs.iter().chain([&migrate, &web]) {
        eventually("the program to wait", || async { program.output().contains("waiting for one").then_some(()) })
            .await;
    }
    // Hosts kill a process that does not listen in time.
    TcpStream::connect(("127.0.0.1", port)).await.expect("the web process listens before it is connected");
    role.allow(&system, 20).await;
    blocker.close().await.expect("the connection is open");
    let exited = migrate.wait_for_exit(TIMEOUT).await;
    assert!(exited.success(), "{}", migrate.output());
    eventually("the processes to start", || async {
        let started = web.output().contains("web process started");
        (started && system.number("SELECT count(*) FROM processes").await == 2).then_some(())
    })
    .await;
}

#[tokio::test]
async fn too_few_connections_are_refused_and_check_adds_them_up() {
    let system = TestSystem::start(&[]).await;
    let with = |name: &'static str, value: &str| {
        let mut settings = system.settings();
        settings.retain(|(known, _)| *known != name);
        settings.push((name, value.to_owned()));
        settings
    };
    for (program, command, given, needed) in
        [(Program::Psp, "web", "2", "at least 3"), (Program::Jobs, "worker", "3", "at least 4")]
    {
        let refused = run(program, &[command], with("DATABASE_MAX_CONNECTIONS", given));
        assert!(!refused.status.success(), "{refused:?}");
        let names_both = refused.stderr.contains("DATABASE_MAX_CONNECTIONS is") && refused.stderr.contains(needed);
        assert!(names_both, "{refused:?}");
    }
    let role = LimitedRole::create(&system, 15).await;
    for (settings, expected) in [
        (system.settings(), "ok    connections: one deployment uses at most 20"),
        (with("DATABASE_MAX_CONNECTIONS", "10"), "ok    connections: one deployment uses at most 27"),
        (with("DATABASE_MAX_CONNECTIONS", "3"), "FAIL  connections: psp-jobs worker needs at least 4"),
        (with("DATABASE_URL", &role.url), "but PostgreSQL allows only 15"),
    ] {
        let checked = run(Program::Psp, &["check"], settings);
        assert!(checked.stdout.contains(expected), "{expected}: {checked:?}");
    }
}
