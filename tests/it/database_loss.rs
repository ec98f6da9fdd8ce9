//! PostgreSQL is stopped, killed and frozen: no job is lost, no attempt is used up, and work resumes by itself.

use std::time::{Duration, Instant};

use psp_test_jobs::counting::{self, Pause};
use psp_test_jobs::kinds::COUNTING;
use reqwest::Method;
use serde_json::json;

use crate::harness::busy_system::BusySystem;
use crate::harness::health::wait_for_health;
use crate::harness::private_servers::PrivatePostgres;
use crate::harness::servers::Servers;
use crate::harness::test_queue::{Process, TestQueue};
use crate::harness::{eventually, is_long, outage};

/// A lease lasts two thirds of it.
const RESCUE_SECONDS: &str = "6";
/// Longer than a lease.
const OUTAGE: Duration = Duration::from_secs(6);
const CONCURRENCY: &str = "4";

async fn start_with_private_postgres() -> (PrivatePostgres, TestQueue) {
    let postgres = PrivatePostgres::start().await;
    let queue = TestQueue::start_on(Servers::with_postgres(&postgres).await).await;
    (postgres, queue)
}

/// Starts two workers and waits until both run as many jobs as they can. During the outage half of these jobs begin a
/// transaction, and the other half commit one. Further jobs are queued.
async fn start_busy_workers(queue: &TestQueue) -> [Process; 2] {
    for pause in [Pause::BeforeWriting, Pause::BeforeTheCommit] {
        queue.enqueue_many(4, &COUNTING, counting::args(2_500, 4_000, pause)).await;
    }
    let settings = [("JOB_RESCUE_SECONDS", RESCUE_SECONDS), ("WORKER_CONCURRENCY", CONCURRENCY)];
    let workers = [queue.start_worker(&settings), queue.start_worker(&settings)];
    eventually("both workers to run four jobs", || async {
        (queue.number("SELECT count(*) FROM job_leases").await == 8).then_some(())
    })
    .await;
    queue.enqueue_many(100, &COUNTING, counting::args(0, 20, Pause::BeforeTheCheck)).await;
    workers
}

/// Waits until every job is finished, and asserts that each had its effect once in its first attempt.
async fn assert_every_job_succeeds_in_its_first_attempt(queue: &TestQueue) {
    let restored = Instant::now();
    queue.wait_until_finished(1).await;
    let delay = restored.elapsed();
    assert!(!is_long() || delay < Duration::from_secs(10), "work resumed {delay:?} after the outage");
    queue.wait_until_idle().await;
    queue.totals().await.assert_each_succeeded_once();
    assert_eq!(queue.number("SELECT count(*) FROM jobs WHERE attempt > 1").await, 0, "no attempt is used up");
    let lost = queue.number("SELECT count(*) FROM job_attempts WHERE outcome = 'lost'").await;
    assert_eq!(lost, 0, "no live worker loses its lease");
}

#[tokio::test]
async fn stopped_postgres_uses_up_no_attempt() {
    let (postgres, queue) = start_with_private_postgres().await;
    let _workers = start_busy_workers(&queue).await;
    postgres.stop().await;
    outage(OUTAGE).await;
    postgres.restart().await;
    assert_every_job_succeeds_in_its_first_attempt(&queue).await;
}

#[tokio::test]
async fn killed_postgres_uses_up_no_attempt() {
    let (postgres, queue) = start_with_private_postgres().await;
    let _workers = start_busy_workers(&queue).await;
    postgres.kill();
    outage(OUTAGE).await;
    postgres.restart().await;
    assert_every_job_succeeds_in_its_first_attempt(&queue).await;
}

#[tokio::test]
async fn frozen_postgres_uses_up_no_attempt() {
    let (postgres, queue) = start_with_private_postgres().await;
    let _workers = start_busy_workers(&queue).await;
    postgres.freeze();
    outage(OUTAGE).await;
    postgres.unfreeze();
    assert_every_job_succeeds_in_its_first_attempt(&queue).await;
}

#[tokio::test]
async fn postgres_outage_during_a_sync_loses_no_record_and_is_reported_by_health() {
    let postgres = PrivatePostgres::start().await;
    let busy = BusySystem::start(Servers::with_postgres(&postgres).await).await;

    postgres.stop().await;
    let health = wait_for_health(&busy.web, 503, "unhealthy").await;
    assert_eq!(health["services"], json!({"database": "down", "redis": "ok"}), "{health}");
    let live = busy.web.request(Method::GET, "/health/live", None, None).await.expect("the web process responds");
    assert_eq!(live.status, 200, "a restart of the web process would not help: {live:?}");
    outage(OUTAGE).await;
    postgres.restart().await;

    busy.assert_recovers().await;
}
