//! PgBouncer in front of PostgreSQL: everything works in its session mode; no program starts in its other modes.

use crate::harness::consistency::assert_matches_sandbox;
use crate::harness::health::wait_for_health;
use crate::harness::pgbouncer::PgBouncer;
use crate::harness::programs::{Program, run};
use crate::harness::servers::Servers;
use crate::harness::test_system::TestSystem;

#[tokio::test]
async fn session_mode_serves_every_program() {
    let system = TestSystem::start_on(Servers::start_empty().await, &[]).await;
    let pgbouncer = PgBouncer::start(&system.servers.database_url, "session").await;
    let url = pgbouncer.url(&system.servers.database_url);
    let run = |program, arguments: &[&str]| {
        let settings = system.settings().into_iter().chain([("DATABASE_URL", url.clone())]);
        let output = run(program, arguments, settings);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    run(Program::Psp, &["migrate"]);
    let through_pgbouncer = [("DATABASE_URL", url.as_str())];
    let web = system.start_web_with(&through_pgbouncer).await;
    let _worker = system.start_jobs_with(&["worker"], &through_pgbouncer);
    let _scheduler = system.start_jobs_with(&["scheduler"], &through_pgbouncer);
    wait_for_health(&web, 200, "healthy").await;
    for kind in ["sync-vima", "sync-payshack"] {
        run(Program::Jobs, &["enqueue", kind, "--wait"]);
    }
    system.wait_until_idle().await;
    assert_matches_sandbox(&system).await;
    run(Program::Psp, &["check"]);
}

#[tokio::test]
async fn other_modes_are_refused_by_every_program() {
    let system = TestSystem::start(&[]).await;
    for mode in ["transaction", "statement"] {
        let pgbouncer = PgBouncer::start(&system.servers.database_url, mode).await;
        let url = pgbouncer.url(&system.servers.database_url);
        for (program, arguments) in [
            (Program::Psp, &["web"][..]),
            (Program::Psp, &["migrate"]),
            (Program::Psp, &["keys", "list"]),
            (Program::Psp, &["check"]),
            (Program::Jobs, &["worker"]),
            (Program::Jobs, &["scheduler"]),
            (Program::Jobs, &["enqueue", "housekeeping"]),
            (Program::Jobs, &["quarantine", "list"]),
        ] {
            let output = run(program, arguments, system.settings().into_iter().chain([("DATABASE_URL", url.clone())]));
            assert_eq!(output.status.code(), Some(1), "{mode} {arguments:?}: {output:?}");
            let text = output.stdout + &output.stderr;
            assert!(text.contains("pooler in transaction mode"), "{mode} {arguments:?}: {text}");
        }
    }
}
