//! PostgreSQL is lost in every way it can be: nothing is lost with it, nobody is blamed, and work goes on by itself.

use std::time::{Duration, Instant};

use psp_test_jobs::counting::{self, Pause};
use psp_test_jobs::kinds::COUNTING;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::consistency::assert_matches_sandbox;
use crate::harness::private_servers::PrivatePostgres;
use crate::harness::servers::Servers;
use crate::harness::test_queue::{Process, TestQueue};
use crate::harness::test_system::{TestSystem, Web};
use crate::harness::{eventually, is_long, outage};

/// A lease is two thirds of it.
const RESCUE_SECONDS: &str = "6";
/// How long PostgreSQL is away where there is no time for more: longer than a lease.
const AWAY: Duration = Duration::from_secs(6);
/// As many hands as a worker has.
const HANDS: &str = "4";

async fn beside_a_postgres() -> (PrivatePostgres, TestQueue) {
    let postgres = PrivatePostgres::start().await;
    let queue = TestQueue::start_on(Servers::with_postgres(&postgres).await).await;
    (postgres, queue)
}

/// Starts two workers whose hands are all at jobs that need the database in the midst of the outage: half of them to begin,
/// half of them to commit. More jobs wait.
async fn start_at_work(queue: &TestQueue) -> [Process; 2] {
    for pause in [Pause::BeforeWriting, Pause::BeforeTheCommit] {
        queue.enqueue_many(4, &COUNTING, counting::args(2_500, 4_000, pause)).await;
    }
    let settings = [("JOB_RESCUE_SECONDS", RESCUE_SECONDS), ("WORKER_CONCURRENCY", HANDS)];
    let workers = [queue.start_worker(&settings), queue.start_worker(&settings)];
    eventually("all hands to be at work", || async {
        (queue.number("SELECT count(*) FROM job_leases").await == 8).then_some(())
    })
    .await;
    queue.enqueue_many(100, &COUNTING, counting::args(0, 20, Pause::BeforeTheCheck)).await;
    workers
}

/// Waits until everything is done, which began by itself, and looks into the books.
async fn assert_nothing_lost_and_nobody_blamed(queue: &TestQueue) {
    let returned = Instant::now();
    queue.wait_until_finished(1).await;
    let waited = returned.elapsed();
    assert!(!is_long() || waited < Duration::from_secs(10), "work went on {waited:?} after the return");
    queue.wait_until_idle().await;
    queue.totals().await.assert_each_succeeded_once();
    assert_eq!(queue.number("SELECT count(*) FROM jobs WHERE attempt > 1").await, 0, "no attempt is burned");
    let lost = queue.number("SELECT count(*) FROM job_attempts WHERE outcome = 'lost'").await;
    assert_eq!(lost, 0, "no live worker's lease is taken");
}

#[tokio::test]
async fn a_postgres_that_is_stopped_costs_no_job_an_attempt() {
    let (postgres, queue) = beside_a_postgres().await;
    let _workers = start_at_work(&queue).await;
    postgres.stop().await;
    outage(AWAY).await;
    postgres.restart().await;
    assert_nothing_lost_and_nobody_blamed(&queue).await;
}

#[tokio::test]
async fn a_postgres_that_is_killed_costs_no_job_an_attempt() {
    let (postgres, queue) = beside_a_postgres().await;
    let _workers = start_at_work(&queue).await;
    postgres.kill();
    outage(AWAY).await;
    postgres.restart().await;
    assert_nothing_lost_and_nobody_blamed(&queue).await;
}

#[tokio::test]
async fn a_postgres_that_hangs_costs_no_job_an_attempt() {
    let (postgres, queue) = beside_a_postgres().await;
    let _workers = start_at_work(&queue).await;
    postgres.freeze();
    outage(AWAY).await;
    postgres.unfreeze();
    assert_nothing_lost_and_nobody_blamed(&queue).await;
}

#[tokio::test]
async fn a_sync_across_an_outage_equals_the_truth_and_health_tells_of_it() {
    let postgres = PrivatePostgres::start().await;
    let slow = ["--per-day", "600", "--fault", "latency-ms=50"];
    let system = TestSystem::start_on(Servers::with_postgres(&postgres).await, &slow).await;
    let web = system.start_web().await;
    let _worker = system.start_jobs(&["worker"]);
    let _scheduler = system.start_jobs(&["scheduler"]);
    wait_for_health(&web, 200, "healthy").await;
    eventually("some pages to be stored", || async {
        (system.number("SELECT count(*) FROM transactions").await > 200).then_some(())
    })
    .await;
    assert!(system.number("SELECT count(*) FROM jobs WHERE state = 'running'").await > 0, "the syncs are at work");

    postgres.stop().await;
    let health = wait_for_health(&web, 503, "unhealthy").await;
    assert_eq!(health["services"], json!({"database": "down", "redis": "ok"}), "{health}");
    let alive = web.request(Method::GET, "/health/live", None, None).await.expect("the web process answers");
    assert_eq!(alive.status, 200, "a restart would not mend it: {alive:?}");
    outage(AWAY).await;
    postgres.restart().await;

    wait_for_health(&web, 200, "healthy").await;
    system.sandbox.send(Method::PUT, "faults", Some(json!({"latency-ms": 0}))).await;
    system.wait_until_idle().await;
    assert_matches_sandbox(&system).await;
    assert_eq!(system.number("SELECT max(attempt)::bigint FROM jobs").await, 1, "no attempt is burned");
}

/// Waits until `/health` says this.
async fn wait_for_health(web: &Web, code: u16, status: &str) -> Value {
    eventually("health to change", || async {
        let answer = web.request(Method::GET, "/health", None, None).await.ok()?;
        Some(answer.json()).filter(|health| answer.status == code && health["status"] == status)
    })
    .await
}
