//! The syncs: afterwards the database equals the provider exactly, whatever the provider did.

use std::time::Duration;

use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::json;

use crate::harness::consistency::assert_matches_sandbox;
use crate::harness::eventually;
use crate::harness::test_system::TestSystem;

const BOTH: [&str; 2] = ["sync-vima", "sync-payshack"];

#[tokio::test]
async fn records_are_stored_once_and_a_repeated_run_changes_nothing() {
    let system = TestSystem::start(&[]).await;
    let _worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    assert_matches_sandbox(&system).await;
    let inserted = "SELECT sum(inserted)::bigint FROM sync_runs";
    assert_eq!(system.number(inserted).await, system.number("SELECT count(*) FROM transactions").await);
    // Every write gives the row a later xmin, and so a larger sum.
    let payments = "SELECT sum(xmin::text::bigint)::bigint FROM transactions";
    let cells = "SELECT sum(xmin::text::bigint)::bigint FROM metric_cells";
    let before = (system.number(payments).await, system.number(cells).await);
    system.sync_both().await;
    for kind in BOTH {
        system.run_job(kind, Some(r#"{"mode":"full"}"#));
    }
    assert_matches_sandbox(&system).await;
    let after = (system.number(payments).await, system.number(cells).await);
    assert_eq!(before, after, "an unchanged record is not written again, nor are the metrics");
    assert_eq!(system.number("SELECT count(*) FROM transaction_changes").await, 0);
}

#[tokio::test]
async fn changes_are_followed_with_their_history() {
    let system = TestSystem::start(&[]).await;
    let _worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    let moved = system.sandbox.send(Method::POST, "live", Some(json!({"create": 40, "change": 60}))).await;
    assert_eq!(moved["created"].as_array().map(Vec::len), Some(40));
    system.sync_both().await;
    assert_matches_sandbox(&system).await;
    assert!(system.number("SELECT count(*) FROM transaction_changes WHERE old_status <> new_status").await > 0);
    let unexplained = "SELECT count(*) FROM transaction_changes WHERE run_id NOT IN (SELECT id FROM sync_runs)";
    assert_eq!(system.number(unexplained).await, 0);
}

#[tokio::test]
async fn open_payments_older_than_the_window_are_rechecked() {
    let system = TestSystem::start(&["--history-days", "5", "--per-day", "150"]).await;
    // With an interval of one second every run rechecks another share of the open payments.
    let settings =
        [("PAYSHACK_OVERLAP_DAYS", "0"), ("INITIAL_SYNC_DAYS", "7"), ("PAYSHACK_SYNC_INTERVAL_SECONDS", "1")];
    let _worker = system.start_jobs_with(&["worker"], &settings);
    system.sync_both().await;
    let old = sqlx::query!(
        "SELECT kind, source_id FROM transactions
          WHERE source = 'payshack' AND status IN ('pending', 'processing') AND created_at < now() - interval '2 days'"
    );
    let old = old.fetch_all(&system.pool).await.expect("the database responds");
    assert!(!old.is_empty(), "the test wants old open payments");
    for row in &old {
        let path = format!("payshack/{}s/{}", row.kind, row.source_id);
        system.sandbox.send(Method::PATCH, &path, Some(json!({"status": "Success"}))).await;
    }
    eventually("every old open payment to be asked for", || async {
        system.run_job("sync-payshack", None);
        let open = "SELECT count(*) FROM transactions
                     WHERE source = 'payshack' AND status IN ('pending', 'processing')
                       AND created_at < now() - interval '2 days'";
        (system.number(open).await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn sync_handles_every_variant_of_provider_behaviour() {
    for switches in [
        ["vima_cursor=inclusive", "vima_envelope=wrapped", "payshack_order=oldest", "payshack_date_filter=modified"],
        ["vima_page_overrun=7", "payshack_amounts=string", "vima_wide_ids=true", "payshack_order=newest"],
    ] {
        let arguments: Vec<&str> = switches.iter().flat_map(|switch| ["--switch", switch]).collect();
        let system = TestSystem::start(&arguments).await;
        let _worker = system.start_jobs(&["worker"]);
        system.sync_both().await;
        system.sandbox.send(Method::POST, "live", Some(json!({"create": 30, "change": 30}))).await;
        system.sync_both().await;
        assert_matches_sandbox(&system).await;
    }
}

#[tokio::test]
async fn sync_completes_with_every_fault_enabled() {
    let faults = [
        "500=0.05",
        "503=0.05",
        "reset=0.05",
        "html=0.03",
        "truncated=0.03",
        "401=0.03",
        "duplicate=0.1",
        "stale=0.1",
        "malformed=0.02",
        "nul=0.02",
    ];
    let arguments: Vec<&str> = faults.iter().flat_map(|fault| ["--fault", fault]).collect();
    let system = TestSystem::start(&arguments).await;
    let _worker = system.start_jobs(&["worker"]);
    read_all(&system).await;
    system.sandbox.send(Method::POST, "live", Some(json!({"create": 20, "change": 20}))).await;
    read_all(&system).await;
    let quarantined = system.number("SELECT count(*) FROM quarantine").await;
    assert!(quarantined > 0, "some records are broken");
    assert_matches_sandbox(&system).await;
    assert!(system.number("SELECT sum(quarantined)::bigint FROM sync_runs").await >= quarantined);
}

/// Reads both sources completely, although tokens expire, including the history days.
async fn read_all(system: &TestSystem) {
    for kind in BOTH {
        system.run_job_until_it_succeeds(kind, None);
        system.run_job_until_it_succeeds(kind, Some(r#"{"mode":"full"}"#));
    }
    eventually("every job to be finished", || async {
        (system.number("SELECT count(*) FROM jobs WHERE finished_at IS NULL").await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn wrong_credentials_fail_at_once_without_repeated_logins() {
    let system = TestSystem::start(&[]).await;
    let settings =
        [("PAYSHACK_PASSWORD", "wrong"), ("VIMA_API_KEY", "wrong-key"), ("PAYSHACK_LOGIN_PAUSE_SECONDS", "2")];
    let _worker = system.start_jobs_with(&["worker"], &settings);
    for kind in BOTH {
        let ended = system.try_run_job(kind, None);
        assert!(!ended.status.success() && ended.stderr.contains("credentials"), "{ended:?}");
        assert!(!ended.stderr.contains("wrong"), "a secret in an error: {ended:?}");
    }
    let logins = async || system.sandbox.get("requests").await["logins"]["refused"].as_i64();
    assert_eq!(logins().await, Some(1), "one refused login, and no second right after it");
    let again = system.try_run_job("sync-payshack", None);
    assert!(!again.status.success());
    assert_eq!(logins().await, Some(2), "one more, after the pause");
    let leaked = "SELECT (SELECT count(*) FROM jobs WHERE jobs::text LIKE '%wrong%')
                       + (SELECT count(*) FROM sync_runs WHERE sync_runs::text LIKE '%wrong%')
                       + (SELECT count(*) FROM events WHERE events::text LIKE '%wrong%')";
    assert_eq!(system.number(leaked).await, 0, "no secret may reach the database");
}

#[tokio::test]
async fn worker_killed_during_a_sync_loses_and_duplicates_nothing() {
    let system = TestSystem::start(&["--per-day", "1500", "--fault", "latency-ms=15"]).await;
    let mut first = system.start_jobs(&["worker"]);
    let scheduler = system.start_jobs(&["scheduler"]);
    eventually("some pages to be stored", || async {
        (system.number("SELECT count(*) FROM transactions").await > 500).then_some(())
    })
    .await;
    drop(scheduler);
    first.kill();
    let killed_at = tokio::time::Instant::now();
    assert!(system.number("SELECT count(*) FROM jobs WHERE state = 'running'").await > 0, "it was at work");
    let _second = system.start_jobs(&["worker"]);
    eventually("the jobs to be taken over", || async {
        let lost = system.number("SELECT count(*) FROM job_attempts WHERE outcome = 'lost'").await;
        let left_behind = "SELECT count(*) FROM sync_runs
                            WHERE status = 'running' AND job_id NOT IN (SELECT job_id FROM job_leases)";
        (lost > 0 && system.number(left_behind).await == 0).then_some(())
    })
    .await;
    assert!(killed_at.elapsed() < Duration::from_secs(20), "the rescue took {:?}", killed_at.elapsed());
    system.wait_until_idle().await;
    assert_matches_sandbox(&system).await;
}

/// Also if no worker is left to rescue the job.
#[tokio::test]
async fn sync_of_a_dead_worker_is_not_shown_as_running() {
    let system = TestSystem::start(&["--per-day", "1500", "--fault", "latency-ms=50"]).await;
    let web = system.start_web().await;
    let mut worker = system.start_jobs(&["worker"]);
    system.enqueue("sync-vima", Some(r#"{"mode":"full"}"#));
    let shown = async || {
        let status = web.get("/api/v1/sync/status").await;
        let runs = web.get("/api/v1/sync/runs?source=vima").await;
        let message = runs["items"][0]["error"].as_str().unwrap_or_default().to_owned();
        let run = runs["items"][0]["status"].as_str().unwrap_or_default().to_owned();
        (status["sources"][0]["status"].as_str().expect("a status").to_owned(), run, message)
    };
    eventually("the sync to show as running", || async {
        let (status, run, _) = shown().await;
        (status == "running" && run == "running").then_some(())
    })
    .await;
    worker.kill();
    let killed_at = tokio::time::Instant::now();
    eventually("the sync to show as failed", || async {
        let (status, run, message) = shown().await;
        (status == "failed" && run == "failed" && message.contains("worker died")).then_some(())
    })
    .await;
    assert!(killed_at.elapsed() < Duration::from_secs(15), "shown for {:?}", killed_at.elapsed());
}

#[tokio::test]
async fn shutdown_hands_back_the_sync_without_costing_an_attempt() {
    let system = TestSystem::start(&["--per-day", "2000", "--fault", "latency-ms=100"]).await;
    let settings = [("SHUTDOWN_GRACE_SECONDS", "6")];
    let mut first = system.start_jobs_with(&["worker"], &settings);
    let scheduler = system.start_jobs(&["scheduler"]);
    eventually("some pages to be stored", || async {
        (system.number("SELECT count(*) FROM transactions").await > 100).then_some(())
    })
    .await;
    drop(scheduler);
    first.signal(Signal::SIGTERM);
    let status = first.wait_for_exit(Duration::from_secs(6)).await;
    assert_eq!(status.code(), Some(0), "{}", first.output());
    assert!(system.number("SELECT count(*) FROM job_attempts WHERE outcome = 'handed_back'").await > 0);
    system.sandbox.send(Method::PUT, "faults", Some(json!({"latency-ms": 0}))).await;
    let _second = system.start_jobs(&["worker"]);
    system.wait_until_idle().await;
    assert_matches_sandbox(&system).await;
    assert_eq!(system.number("SELECT max(attempt)::bigint FROM jobs").await, 1, "no attempt was burned");
}
