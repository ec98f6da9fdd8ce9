//! A backup that was taken while payments arrived, restored into another database beside an empty Redis.

use std::time::Duration;

use nix::sys::signal::Signal;
use psp_dashboard::redis::Redis;
use reqwest::Method;
use serde_json::json;
use sqlx::PgPool;

use crate::harness::consistency::assert_matches_sandbox;
use crate::harness::eventually;
use crate::harness::programs::{Output, Program, RunningProgram, run};
use crate::harness::servers::{Servers, number};
use crate::harness::socket::Socket;
use crate::harness::test_system::{ADMIN, TestSystem, Web};

const OFTEN: [(&str, &str); 2] = [("VIMA_SYNC_INTERVAL_SECONDS", "1"), ("PAYSHACK_SYNC_INTERVAL_SECONDS", "1")];
const NEWEST_EVENT: &str = "SELECT max(id) FROM events";
const RUNNING: &str = "SELECT count(*) FROM jobs WHERE state = 'running'";

fn psp(system: &TestSystem, arguments: &[&str]) -> Output {
    let output = run(Program::Psp, arguments, system.settings());
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    output
}

/// What a backup must contain, and no sync brings back.
async fn count_decisions(pool: &PgPool) -> (i64, i64) {
    (
        number(pool, "SELECT count(*) FROM api_keys").await,
        number(pool, "SELECT coalesce(max(sequence), 0) FROM audit_log").await,
    )
}

#[tokio::test]
async fn restored_backup_continues_without_loss_or_duplicates() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dump = folder.path().join("psp.dump");
    let system = TestSystem::start(&["--per-day", "300", "--fault", "latency-ms=20", "--live-per-second", "10"]).await;
    let key = psp(&system, &["keys", "create", "--name", "finance", "--role", "viewer"]).stdout.trim().to_owned();
    let programs = ["worker", "scheduler"].map(|command| system.start_jobs_with(&[command], &OFTEN));
    eventually("some pages to be stored while syncs run", || async {
        let stored = system.number("SELECT count(*) FROM transactions").await;
        (stored > 200 && system.number(RUNNING).await > 0).then_some(())
    })
    .await;
    system.servers.dump(&dump).await;
    let decisions = count_decisions(&system.pool).await;
    let dumped = system.number("SELECT count(*) FROM transactions").await;
    eventually("payments that are not in the backup", || async {
        (system.number("SELECT count(*) FROM transactions").await > dumped + 50).then_some(())
    })
    .await;
    let last_event = system.number(NEWEST_EVENT).await;
    drop(programs);

    let TestSystem { sandbox, .. } = system;
    sandbox.set_faults(json!({"latency-ms": 0})).await;
    sandbox.send(Method::PUT, "live", Some(json!({"per_second": 0}))).await;
    sandbox.create_and_change(40, 40).await;
    let servers = Servers::restore(&dump).await;
    let restored = TestSystem { pool: servers.pool().await, sandbox, servers: servers.into() };
    assert_eq!(count_decisions(&restored.pool).await, decisions, "keys and the audit log");
    assert!(restored.number(RUNNING).await > 0, "the dead workers still have jobs");
    let event = restored.number(NEWEST_EVENT).await;
    assert!(event < last_event, "the backup is older than the system that was lost");
    // It has none of the grants of the database that was dumped: roles.sql has granted them.
    psp(&restored, &["migrate"]);

    let web = restored.start_web().await;
    let mut programs = ["worker", "scheduler"].map(|command| restored.start_jobs_with(&[command], &OFTEN));
    let mut ahead = Socket::connect_with_key(&format!("{}?since={last_event}", web.socket()), ADMIN).await;
    let gap = ahead.receive("gap").await;
    assert_eq!(gap["since"], last_event, "a client that knows lost events is asked to load everything again");
    let mut client = Socket::connect_with_key(&format!("{}?since={event}", web.socket()), ADMIN).await;
    client.receive_where("events after those of the backup", |message| message["id"].as_i64() > Some(event)).await;
    let ids: Vec<i64> = client.received.iter().skip(1).filter_map(|message| message["id"].as_i64()).collect();
    assert!(ids.first().is_some_and(|id| *id > event) && ids.is_sorted_by(|one, other| one < other), "{ids:?}");
    for kind in ["sync-vima", "sync-payshack"] {
        restored.run_job(kind, None);
    }
    stop_scheduling(&mut programs[1]).await;
    restored.wait_until_idle().await;
    assert_matches_sandbox(&restored).await;
    assert_consistent(&restored, &web, &key).await;
}

async fn stop_scheduling(scheduler: &mut RunningProgram) {
    scheduler.signal(Signal::SIGTERM);
    assert!(scheduler.wait_for_exit(Duration::from_mins(1)).await.success(), "{}", scheduler.output());
}

async fn assert_consistent(restored: &TestSystem, web: &Web, key: &str) {
    let check = psp(restored, &["check", "--rollups", "--audit"]);
    for part in ["ok    schema", "ok    metrics: the rollups", "ok    audit log"] {
        assert!(check.stdout.contains(part), "{part}: {check:?}");
    }
    let me = web.request(Method::GET, "/api/v1/me", Some(key), None).await.expect("the web process responds");
    assert_eq!(me.status, 200, "a key of the backup is valid: {}", me.text);
    let redis: Redis = restored.servers.redis().await;
    redis.check_writable().await.expect("the new namespace is in use");
}
