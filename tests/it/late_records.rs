//! Late records: ids that become visible below the cursor, and changes of payments that are final.

use std::time::Duration;

use chrono::Days;
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::domain::sync::day_start;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;
use sqlx::postgres::types::PgInterval;

use crate::harness::consistency::assert_matches_sandbox;
use crate::harness::eventually;
use crate::harness::test_system::TestSystem;

/// Creates payments of which half stay invisible during this many runs.
async fn pass_late_payments(system: &TestSystem, runs: usize) {
    system.sync_both().await;
    become_visible(system, 3600).await;
    system.sandbox.send(Method::POST, "live", Some(json!({"create": 60, "change": 40}))).await;
    for _ in 0..runs {
        system.sync_both().await;
    }
    assert!(missing(system).await > 0, "the test needs payments that are not visible yet");
    become_visible(system, 0).await;
}

/// Half of the following changes become visible this many seconds late.
async fn become_visible(system: &TestSystem, seconds: u32) {
    let late = json!({"vima_late_visible_share": 0.5, "vima_late_visible_seconds": seconds});
    system.sandbox.send(Method::PUT, "switches", Some(late)).await;
}

async fn missing(system: &TestSystem) -> i64 {
    let expected = system.sandbox.get("truth").await["vima"]["payin"]["distinct"].as_i64().expect("a count");
    expected - system.number("SELECT count(*) FROM transactions WHERE source = 'vima'").await
}

#[tokio::test]
async fn ids_visible_minutes_late_are_read_by_the_overlap() {
    let system = TestSystem::start(&[]).await;
    let _worker = system.start_jobs(&["worker"]);
    pass_late_payments(&system, 1).await;
    system.sync_both().await;
    assert_matches_sandbox(&system).await;
}

/// An overlap counted from now would start after the records that were late when the outage began.
#[tokio::test]
async fn records_late_before_an_outage_are_read_after_it() {
    let system = TestSystem::start(&[]).await;
    let _worker = system.start_jobs(&["worker"]);
    pass_late_payments(&system, 1).await;
    let_hours_pass(&system, 3).await;
    system.run_job("housekeeping", None);
    system.sync_both().await;
    assert_matches_sandbox(&system).await;
}

#[tokio::test]
async fn ids_visible_hours_late_are_read_by_the_nightly_sweep() {
    let system = TestSystem::start(&[]).await;
    let _worker = system.start_jobs_with(&["worker"], &[("VIMA_OVERLAP_MINUTES", "0")]);
    // Hours ago, so that the sweep of two days finds the earlier position of the update cursor.
    system.sync_both().await;
    let_hours_pass(&system, 60).await;
    pass_late_payments(&system, 3).await;
    system.sync_both().await;
    assert!(missing(&system).await > 0, "the overlap must not reach back this far");
    let today = SystemClock.now().date_naive();
    let days = json!({"mode": "range", "from_date": today - Days::new(1), "to_date": today}).to_string();
    system.run_job("sync-vima", Some(&days));
    assert_matches_sandbox(&system).await;
}

/// Shifts all timestamps of the sync state into the past.
async fn let_hours_pass(system: &TestSystem, hours: u64) {
    let hours = PgInterval::try_from(Duration::from_hours(hours)).expect("an interval");
    sqlx::query!("UPDATE sync_streams SET watermark = watermark - $1::interval", hours)
        .execute(&system.pool)
        .await
        .expect("the streams can be moved");
    sqlx::query!("UPDATE sync_cursor_marks SET reached_at = reached_at - $1::interval", hours)
        .execute(&system.pool)
        .await
        .expect("the marks can be moved");
}

/// Below the newest id at the first run there may be ids that are not visible yet. They are late by less than the overlap;
/// older records of the history must be visible, because nothing promises to find those.
async fn follow_with_an_overlap_of(minutes: i64) {
    let system = TestSystem::start(&[]).await;
    let _worker = system.start_jobs_with(&["worker"], &[("VIMA_OVERLAP_MINUTES", &minutes.to_string())]);
    become_visible(&system, 600).await;
    system.sandbox.send(Method::POST, "live", Some(json!({"create": 60, "change": 40}))).await;
    system.sync_both().await;
    assert!(missing(&system).await > 0, "the test needs payments that are not visible yet");
    become_visible(&system, 0).await;
    system.sync_both().await;
    assert_matches_sandbox(&system).await;
}

#[tokio::test]
async fn records_late_at_the_first_run_are_read() {
    follow_with_an_overlap_of(15).await;
}

/// Shortly after midnight the current day has no record before the overlap: the previous day must be read.
#[tokio::test]
async fn records_late_at_the_first_run_are_read_at_the_first_minute_of_a_day() {
    follow_with_an_overlap_of(minutes_since_yesterday_began()).await;
}

fn minutes_since_yesterday_began() -> i64 {
    let now = SystemClock.now();
    (now - day_start(now.date_naive() - Days::new(1))).num_minutes()
}

/// The next worker still knows when the source was first followed, although that day has been read.
#[tokio::test]
async fn records_late_at_the_first_run_are_read_after_the_worker_is_killed() {
    let system = TestSystem::start(&[]).await;
    let blocked = block_cursor_marks(&system).await;
    let overlap = minutes_since_yesterday_began().to_string();
    let mut first = system.start_jobs_with(&["worker"], &[("VIMA_OVERLAP_MINUTES", &overlap)]);
    become_visible(&system, 600).await;
    system.sandbox.send(Method::POST, "live", Some(json!({"create": 60, "change": 40}))).await;
    system.run_job("sync-vima", None);
    eventually("the newest day to be read", || async {
        let read = "SELECT count(*) FROM sync_streams WHERE source = 'vima' AND covered_from < followed_from";
        (system.number(read).await > 0).then_some(())
    })
    .await;
    first.kill();
    blocked.rollback().await.expect("the lock can be released");
    let _second = system.start_jobs_with(&["worker"], &[("VIMA_OVERLAP_MINUTES", &overlap)]);
    system.wait_until_idle().await;
    become_visible(&system, 0).await;
    system.sync_both().await;
    assert_matches_sandbox(&system).await;
}

/// Until the transaction ends, no cursor mark older than an hour can be written.
async fn block_cursor_marks(system: &TestSystem) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let hold = "CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
                    'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END';
                CREATE TRIGGER hold BEFORE INSERT ON sync_cursor_marks FOR EACH ROW
                    WHEN (NEW.reached_at < now() - interval '1 hour') EXECUTE FUNCTION hold()";
    system.pool.execute(hold).await.expect("marks can be held");
    let mut transaction = system.pool.begin().await.expect("a transaction begins");
    transaction.execute("SELECT pg_advisory_xact_lock(1)").await.expect("the lock is free");
    transaction
}

/// A refund of a final payment that is older than the overlap is on no list that is read often.
#[tokio::test]
async fn late_refund_is_found_by_the_rolling_pass() {
    let system = TestSystem::start(&["--switch", "payshack_date_filter=created"]).await;
    let _worker = system.start_jobs_with(&["worker"], &[("PAYSHACK_OVERLAP_DAYS", "0")]);
    system.sync_both().await;
    let settled = sqlx::query!(
        r#"SELECT source_id, (created_at AT TIME ZONE 'UTC')::date AS "day!" FROM transactions
            WHERE source = 'payshack' AND kind = 'payin' AND status = 'success'
            ORDER BY created_at LIMIT 1"#
    );
    let settled = settled.fetch_one(&system.pool).await.expect("a payment was settled");
    let path = format!("payshack/payins/{}", settled.source_id);
    system.sandbox.send(Method::PATCH, &path, Some(json!({"status": "Refunded"}))).await;
    system.sync_both().await;
    let refunded = "SELECT count(*) FROM transaction_changes WHERE old_status = 'success' AND new_status = 'refunded'";
    assert_eq!(system.number(refunded).await, 0, "the overlap must not reach back this far");
    let day = Value::from(settled.day.to_string());
    system.run_job("sync-payshack", Some(&json!({"mode": "range", "from_date": day, "to_date": day}).to_string()));
    assert_eq!(system.number(refunded).await, 1);
    assert_matches_sandbox(&system).await;
}
