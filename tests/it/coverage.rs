//! What counts as read: only what was read. A first run that fails, and succeeds days later, leaves no gap.

use chrono::Days;
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::domain::sync::day_start;
use serde_json::json;

use crate::harness::consistency::assert_matches_sandbox;
use crate::harness::eventually;
use crate::harness::test_system::TestSystem;

/// Reads both sources, including the days before. Unlike `sync_both`, after a job has failed.
async fn read_all(system: &TestSystem) {
    for kind in ["sync-vima", "sync-payshack"] {
        system.run_job(kind, None);
    }
    eventually("every job to be finished", || async {
        (system.number("SELECT count(*) FROM jobs WHERE finished_at IS NULL").await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn failed_first_run_covers_nothing() {
    let system = TestSystem::start(&["--history-days", "4", "--per-day", "60"]).await;
    let overlap = ("PAYSHACK_OVERLAP_DAYS", "0");
    let wrong = system.start_jobs_with(&["worker"], &[("PAYSHACK_PASSWORD", "wrong"), overlap]);
    assert!(!system.try_run_job("sync-payshack", None).status.success());
    let covered = "SELECT count(*) FROM sync_streams WHERE source = 'payshack'";
    assert_eq!(system.number(covered).await, 0, "nothing was read");
    drop(wrong);

    // As an earlier release recorded it, two days ago.
    let first_day = SystemClock.now().date_naive() - Days::new(2);
    sqlx::query!(
        r#"INSERT INTO sync_streams (source, stream, day, covered_from, followed_from)
           VALUES ('payshack', 'history', $1, $2, $2)"#,
        first_day - Days::new(2),
        day_start(first_day)
    )
    .execute(&system.pool)
    .await
    .expect("nothing is covered yet");
    let _worker = system.start_jobs_with(&["worker"], &[overlap]);
    read_all(&system).await;
    assert_matches_sandbox(&system).await;
}

/// Vima's first run notes the newest ids. If it fails then, the next one still begins there.
#[tokio::test]
async fn failed_first_run_of_vima_leaves_no_gap() {
    let system = TestSystem::start(&["--history-days", "2", "--per-day", "60"]).await;
    let _worker = system.start_jobs_with(&["worker"], &[("VIMA_OVERLAP_MINUTES", "0")]);
    system
        .sandbox
        .script(json!({"path": "vima/operation", "query": ["descending=false"], "status": 404, "body": "{}"}))
        .await;
    assert!(!system.try_run_job("sync-vima", None).status.success());
    assert_eq!(system.number("SELECT count(*) FROM sync_cursor_marks").await, 2, "it noted the newest ids");
    system.sandbox.clear_script().await;
    system.sandbox.create_and_change(30, 30).await;
    sqlx::query!("UPDATE sync_cursor_marks SET reached_at = reached_at - interval '2 days'")
        .execute(&system.pool)
        .await
        .expect("the marks can be moved");
    read_all(&system).await;
    assert_matches_sandbox(&system).await;
}
