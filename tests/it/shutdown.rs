//! Graceful shutdown of workers: nothing is claimed, short jobs end, long jobs continue in another worker.

use nix::sys::signal::Signal;
use psp_dashboard::domain::job::JobId;
use psp_test_jobs::kinds::{NO_OP, SLEEPING};
use psp_test_jobs::sleeping;
use serde_json::{Value, json};

use crate::harness::TIMEOUT;
use crate::harness::eventually;
use crate::harness::test_queue::{Process, TestQueue};

/// Five seconds of it are reserved for handing back.
const GRACE: (&str, &str) = ("SHUTDOWN_GRACE_SECONDS", "8");
const LONG: f64 = 600.0;

fn sleeping(seconds: f64, in_server: bool) -> Value {
    json!(sleeping::Args { seconds, in_server })
}

async fn wait_until_at_work(queue: &TestQueue, worker: &str, jobs: &[JobId]) {
    eventually("the worker to be at the jobs", || async {
        let held = queue.leased_to(worker).await;
        jobs.iter().all(|job_id| held.contains(job_id)).then_some(())
    })
    .await;
}

async fn assert_stops(worker: &mut Process) {
    let status = worker.program.wait_for_exit(TIMEOUT).await;
    assert_eq!(status.code(), Some(0), "{}", worker.program.output());
}

#[tokio::test]
async fn short_jobs_end_and_long_jobs_move_to_another_worker() {
    let queue = TestQueue::start().await;
    let short = queue.enqueue(&SLEEPING, sleeping(1.5, false)).await;
    let long = queue.enqueue(&SLEEPING, sleeping(LONG, false)).await;
    let mut stopping = queue.start_worker(&[GRACE]);
    let old = stopping.worker_name().await;
    wait_until_at_work(&queue, &old, &[short, long]).await;
    let mut other = queue.start_worker(&[GRACE]);
    let new = other.worker_name().await;
    stopping.program.signal(Signal::SIGTERM);
    assert_stops(&mut stopping).await;
    wait_until_at_work(&queue, &new, &[long]).await;

    let ended = |attempts: Vec<crate::harness::test_queue::Attempt>| -> Vec<(String, i32, Option<String>)> {
        attempts.into_iter().map(|attempt| (attempt.worker, attempt.number, attempt.outcome)).collect()
    };
    let succeeded = (old.clone(), 1, Some("succeeded".to_owned()));
    assert_eq!(ended(queue.attempts(short).await), [succeeded]);
    let handed_back = (old, 1, Some("handed_back".to_owned()));
    assert_eq!(ended(queue.attempts(long).await), [handed_back, (new, 1, None)], "it costs no attempt");
    other.program.signal(Signal::SIGTERM);
    assert_stops(&mut other).await;
}

#[tokio::test]
async fn stopping_worker_claims_nothing() {
    let queue = TestQueue::start().await;
    let long = queue.enqueue(&SLEEPING, sleeping(LONG, false)).await;
    let mut stopping = queue.start_worker(&[GRACE]);
    let name = stopping.worker_name().await;
    wait_until_at_work(&queue, &name, &[long]).await;
    stopping.program.signal(Signal::SIGTERM);
    eventually("the worker to know that it is to stop", || async {
        stopping.program.output().contains("worker stopping").then_some(())
    })
    .await;
    for _ in 0..5 {
        queue.enqueue(&NO_OP, json!({})).await;
    }
    assert_stops(&mut stopping).await;
    let claimed = "SELECT count(*) FROM job_attempts JOIN jobs ON jobs.id = job_id WHERE kind = 'no-op'";
    assert_eq!(queue.number(claimed).await, 0);
    assert_eq!(queue.number("SELECT count(*) FROM job_leases").await, 0, "everything is handed back");
    assert_eq!(queue.number("SELECT count(*) FROM processes").await, 0, "it has said goodbye");
}

#[tokio::test]
async fn statements_end_with_their_worker() {
    let queue = TestQueue::start().await;
    let mut jobs = vec![];
    for _ in 0..3 {
        jobs.push(queue.enqueue(&SLEEPING, sleeping(LONG, true)).await);
    }
    let mut stopping = queue.start_worker(&[GRACE]);
    let name = stopping.worker_name().await;
    wait_until_at_work(&queue, &name, &jobs).await;
    stopping.program.signal(Signal::SIGTERM);
    assert_stops(&mut stopping).await;
    let statements = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND state = 'active' AND query LIKE '%pg_sleep%'
                         AND pid <> pg_backend_pid()";
    eventually("its statements to end in the server", || async { (queue.number(statements).await == 0).then_some(()) })
        .await;
    for job_id in jobs {
        let outcomes: Vec<_> = queue.attempts(job_id).await.into_iter().map(|attempt| attempt.outcome).collect();
        assert_eq!(outcomes, [Some("handed_back".to_owned())]);
    }
}
