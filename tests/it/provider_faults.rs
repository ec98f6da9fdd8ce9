//! Faults of the providers, one at a time: none of them loses or changes a record, and only real failures fail a job.

use serde_json::json;

use crate::harness::consistency::assert_matches_sandbox;
use crate::harness::eventually;
use crate::harness::test_system::TestSystem;

const FULL: Option<&str> = Some(r#"{"mode":"full"}"#);

/// Faults of requests, of pages and of whole records, with their rates. Those of single fields are in `damaged_records`.
const FAULTS: [(&str, f64); 20] = [
    ("timeout", 0.2),
    ("reset", 0.3),
    ("500", 0.3),
    ("502", 0.3),
    ("503", 0.3),
    ("503-retry-after", 0.1),
    ("429-seconds", 0.15),
    ("429-date", 0.1),
    ("payshack.401", 0.1),
    ("payshack.success-false", 0.3),
    ("html", 0.3),
    ("truncated", 0.3),
    ("endless", 0.3),
    ("duplicate", 1.0),
    ("stale", 1.0),
    ("malformed", 0.3),
    ("nul", 0.3),
    ("compressed", 1.0),
    ("utf16", 1.0),
    ("bom", 1.0),
];

#[tokio::test]
async fn single_faults_neither_lose_nor_change_records() {
    let system = TestSystem::start(&["--history-days", "2", "--per-day", "60"]).await;
    let settings =
        [("PROVIDER_TIMEOUT_SECONDS", "1"), ("PROVIDER_MAX_RESPONSE_BYTES", "2000000"), ("INITIAL_SYNC_DAYS", "4")];
    let _worker = system.start_jobs_with(&["worker"], &settings);
    system.sync_both().await;
    for (fault, rate) in FAULTS {
        system.sandbox.replace_faults(json!({fault: rate, "timeout-seconds": 2})).await;
        system.sandbox.create_and_change(15, 15).await;
        system.sandbox.clear_requests().await;
        // A rare fault can miss all requests of the first round.
        for round in 0.. {
            assert!(round < 10, "{fault} did not happen");
            sync_everything(&system, fault).await;
            if !affects_requests(fault) || count_faults(&system, fault).await > 0 {
                break;
            }
        }
        assert_matches_sandbox(&system).await;
    }
    let incomplete = "SELECT count(*) FROM quarantine WHERE reason = '' OR length(raw) = 0";
    assert_eq!(system.number(incomplete).await, 0, "quarantined records have a reason and their raw text");
    assert!(system.number("SELECT count(*) FROM quarantine").await > 0, "malformed records are quarantined");
}

/// Syncs both sources and reads all days again, so that a fault has many requests to affect.
async fn sync_everything(system: &TestSystem, fault: &str) {
    if fault == "payshack.401" {
        for args in [None, FULL] {
            system.run_job_until_it_succeeds("sync-payshack", args);
            system.run_job_until_it_succeeds("sync-vima", args);
        }
        return;
    }
    let failures = "SELECT count(*) FROM job_attempts WHERE outcome NOT IN ('succeeded', 'handed_back')";
    let before = system.number(failures).await;
    system.sync_both().await;
    system.run_job("sync-payshack", FULL);
    system.run_job("sync-vima", FULL);
    if fault.starts_with("429") || fault == "503-retry-after" || !affects_requests(fault) {
        assert_eq!(system.number(failures).await, before, "{fault} does not fail an attempt");
    }
}

fn affects_requests(fault: &str) -> bool {
    !["duplicate", "stale", "malformed", "nul", "compressed", "utf16", "bom"].contains(&fault)
}

/// How many requests a fault has affected since they were last cleared.
async fn count_faults(system: &TestSystem, fault: &str) -> usize {
    let kind = fault.split_once('.').map_or(fault, |(_, kind)| kind);
    let requests = system.sandbox.last_requests(10_000).await;
    requests.iter().filter(|request| request["fault"] == kind).count()
}

/// The service that this one replaces lost 700 of 1,000 records after a 500 on page 4, and reported a success.
#[tokio::test]
async fn failed_sync_keeps_its_pages_and_the_next_attempt_resumes_after_them() {
    // Without missing and duplicate payments, whose number depends on the time of day.
    let system = TestSystem::start(&[
        "--history-days",
        "1",
        "--per-day",
        "1000",
        "--discrepancies",
        "0",
        "--fault",
        "latency-ms=30",
    ])
    .await;
    let _worker = system.start_jobs(&["worker"]);
    let full = system.enqueue("sync-vima", FULL);
    eventually("some pages to be stored", || async {
        (system.number("SELECT count(*) FROM transactions").await >= 300).then_some(())
    })
    .await;
    system.sandbox.set_faults(json!({"500": 1.0, "latency-ms": 0})).await;
    eventually("the attempt to fail", || async { (system.job_state(full).await == "retrying").then_some(()) }).await;
    let failed = "SELECT records_seen FROM sync_runs WHERE status = 'failed' AND error LIKE '%HTTP 500%'";
    let stored = system.number(failed).await;
    assert!((300..1000).contains(&stored), "{stored}");
    system.sandbox.replace_faults(json!({})).await;
    system.wait_until_idle().await;
    assert_all_of_vima_is_stored(&system, 1000).await;
    let read_again =
        system.number("SELECT max(records_seen) FROM sync_runs WHERE mode = 'full' AND status = 'succeeded'").await;
    assert!(read_again <= 1000 - stored + 100, "{stored} were stored, and {read_again} read again");
}

async fn assert_all_of_vima_is_stored(system: &TestSystem, at_least: i64) {
    let expected = system.sandbox.get("truth").await["vima"]["payin"]["distinct"].as_i64();
    let stored = system.count_transactions("vima").await;
    assert_eq!(Some(stored), expected);
    assert!(stored >= at_least, "{stored}");
}

#[tokio::test]
async fn processes_share_one_login_and_a_rejected_token_causes_one_more() {
    let system = TestSystem::start(&["--switch", "payshack_single_session=true"]).await;
    let _workers = [system.start_jobs(&["worker"]), system.start_jobs(&["worker"])];
    let logins = async || system.sandbox.get("requests").await["logins"]["accepted"].as_i64();
    for kind in ["sync-payshack", "sync-payshack-metadata"] {
        system.enqueue(kind, None);
    }
    system.enqueue("sync-payshack", FULL);
    system.wait_until_idle().await;
    assert_eq!(logins().await, Some(1), "the provider allows one session, so a second login would end the first");
    system.sandbox.set_faults(json!({"payshack.401": 1.0})).await;
    let refused = system.try_run_job("sync-payshack-metadata", None);
    assert!(!refused.status.success() && refused.stderr.contains("right after a login"), "{refused:?}");
    assert_eq!(logins().await, Some(2), "one more login, and none after its token was rejected too");
    system.sandbox.replace_faults(json!({})).await;
    system.run_job("sync-payshack-metadata", None);
    system.run_job("sync-payshack", None);
    assert_eq!(logins().await, Some(3));
}

#[tokio::test]
async fn cursor_that_does_not_advance_is_reported_without_looping() {
    let system = TestSystem::start(&["--switch", "vima_cursor=ignored"]).await;
    let _worker = system.start_jobs(&["worker"]);
    system.run_job("sync-vima", None);
    let incomplete = "SELECT count(*) FROM sync_runs
                       WHERE mode = 'incremental' AND status = 'incomplete' AND error LIKE '%do not advance beyond%'";
    assert_eq!(system.number(incomplete).await, 1, "the run reports what it could not read");
    let watermarks = "SELECT count(*) FROM sync_streams WHERE source = 'vima' AND watermark IS NOT NULL";
    assert_eq!(system.number(watermarks).await, 0, "an incomplete run sets no watermark");
    let requests = system.sandbox.get("requests").await["total"].as_i64().expect("a count");
    assert!(requests < 20, "{requests} requests");
    // A job that reads the backlog meanwhile may skip a day. The next sync requests that day only once the job has ended.
    system.wait_until_idle().await;
    system.sandbox.set_switches(json!({"vima_cursor": "exclusive"})).await;
    system.sync_both().await;
    assert_matches_sandbox(&system).await;
}
