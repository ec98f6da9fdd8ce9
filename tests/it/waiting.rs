//! What jobs wait for, in every situation in which the claim statement leaves a job where it is.

use std::time::Duration;

use psp_dashboard::db::jobs::claims::{self, Claimer};
use psp_dashboard::db::jobs::{queues, waiting};
use psp_dashboard::domain::job::attempt::Outcome;
use psp_dashboard::domain::job::waiting::WaitReason;
use psp_dashboard::domain::job::{JobId, JobKind, NewJob};
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_test_jobs::kinds::{self, NO_OP, SLEEPING};
use psp_test_jobs::sleeping;
use serde_json::{Value, json};
use sqlx::Executor;

use crate::harness::eventually;
use crate::harness::test_queue::TestQueue;

/// Longer than a test lasts.
fn for_minutes() -> Value {
    json!(sleeping::Args { seconds: 600.0, in_server: false })
}

async fn reasons(queue: &TestQueue, job_id: JobId) -> Vec<WaitReason> {
    let long_keys = JobKind::long_keys([&NO_OP, &SLEEPING].into_iter());
    let facts = waiting::find(&queue.pool, job_id, &long_keys).await.expect("the jobs table responds");
    facts.expect("the job has not finished").reasons()
}

fn codes(reasons: &[WaitReason]) -> Vec<&'static str> {
    reasons.iter().map(|reason| reason.code().as_str()).collect()
}

async fn wait_for(queue: &TestQueue, job_id: JobId, expected: &[&str]) -> Vec<WaitReason> {
    eventually(&format!("the job to wait for {expected:?}"), || async {
        Some(reasons(queue, job_id).await).filter(|reasons| codes(reasons) == expected)
    })
    .await
}

/// The only reason, once it is of this kind.
async fn wait_for_one(queue: &TestQueue, job_id: JobId, expected: &str) -> WaitReason {
    wait_for(queue, job_id, &[expected]).await.remove(0)
}

async fn enqueue(queue: &TestQueue, job: &NewJob) -> JobId {
    enqueue_job(&queue.pool, &queue.redis, job).await.expect("the job is enqueued").job_id
}

#[tokio::test]
async fn job_of_a_queue_without_a_worker_waits_for_one() {
    let queue = TestQueue::start().await;
    let job = queue.enqueue(&SLEEPING, for_minutes()).await;
    assert_eq!(codes(&reasons(&queue, job).await), ["no_worker"]);
    queues::insert_pause(&queue.pool, SLEEPING.queue, "ada").await.expect("the jobs table responds");
    let paused = wait_for(&queue, job, &["queue_paused", "no_worker"]).await.remove(0);
    assert!(matches!(paused, WaitReason::QueuePaused { queue, by, .. } if queue == SLEEPING.queue && by == "ada"));
    let _worker = queue.start_worker(&[]);
    wait_for(&queue, job, &["queue_paused"]).await;
    queues::delete_pause(&queue.pool, SLEEPING.queue).await.expect("the jobs table responds");
    wait_for(&queue, job, &[]).await;
}

#[tokio::test]
async fn job_waits_for_its_due_time() {
    let queue = TestQueue::start().await;
    let _worker = queue.start_worker(&[]);
    let delayed = NewJob { delay: Duration::from_hours(1), ..kinds::job(&NO_OP, json!({})) };
    let job = enqueue(&queue, &delayed).await;
    wait_for(&queue, job, &["not_due"]).await;
}

#[tokio::test]
async fn failed_attempt_and_its_error_are_the_reason() {
    let queue = TestQueue::start().await;
    let job = queue.enqueue(&NO_OP, json!({})).await;
    let claimer = Claimer {
        queues: &[NO_OP.queue.to_owned()],
        worker: "worker-1",
        lease: Duration::from_mins(1),
        suspects: None,
    };
    let taken = claims::claim(&queue.pool, &claimer, 1).await.expect("the jobs table responds").jobs;
    let outcome = Outcome::Retry { error: "vima answered 503".to_owned(), after: Duration::from_hours(1) };
    let mut connection = queue.pool.acquire().await.expect("a connection");
    claims::finish(&mut connection, &taken[0].claim, &outcome).await.expect("the claim is valid");
    let _worker = queue.start_worker(&[]);
    let retry = wait_for_one(&queue, job, "retry").await;
    assert!(matches!(&retry, WaitReason::Retry { error, .. } if error == "vima answered 503"), "{retry:?}");
}

#[tokio::test]
async fn job_waits_for_the_running_one_with_the_same_limit() {
    let queue = TestQueue::start().await;
    let _worker = queue.start_worker(&[]);
    let limited = NewJob { limit_key: Some("one-at-a-time".to_owned()), ..kinds::job(&SLEEPING, for_minutes()) };
    let running = enqueue(&queue, &limited).await;
    wait_for(&queue, running, &[]).await;
    let job = enqueue(&queue, &limited).await;
    assert_eq!(wait_for_one(&queue, job, "limit").await.job_id(), Some(running));
}

#[tokio::test]
async fn job_waits_for_a_slot_and_for_more_urgent_jobs() {
    let queue = TestQueue::start().await;
    let _worker = queue.start_worker(&[("WORKER_CONCURRENCY", "1")]);
    let running = queue.enqueue(&SLEEPING, for_minutes()).await;
    wait_for(&queue, running, &[]).await;
    let next = queue.enqueue(&SLEEPING, for_minutes()).await;
    let slot = wait_for_one(&queue, next, "free_slot").await;
    assert_eq!(slot, WaitReason::FreeSlot { claimed: 1, slots: Some(1) });
    assert!(slot.is_blocking(), "the only slot is in use");
    let last = queue.enqueue(&SLEEPING, for_minutes()).await;
    // A job whose limit is in use cannot start before it.
    queue.pool.execute("UPDATE job_leases SET limit_key = 'held'").await.expect("the jobs table responds");
    enqueue(&queue, &NewJob { limit_key: Some("held".to_owned()), ..kinds::job(&SLEEPING, for_minutes()) }).await;
    queue.pool.execute("UPDATE jobs SET priority = 20 WHERE limit_key IS NULL").await.expect("the jobs table responds");
    assert_eq!(reasons(&queue, last).await, [WaitReason::UrgentJobs { ahead: 1 }]);
    assert_eq!(codes(&reasons(&queue, next).await), ["free_slot"]);
}

#[tokio::test]
async fn job_of_a_dead_worker_waits_for_its_rescue_and_then_for_isolation() {
    let queue = TestQueue::start().await;
    let mut worker = queue.start_worker(&[]);
    let name = worker.worker_name().await;
    let jobs = [queue.enqueue(&SLEEPING, for_minutes()).await, queue.enqueue(&SLEEPING, for_minutes()).await];
    eventually("the worker to run both", || async { (queue.leased_to(&name).await.len() == 2).then_some(()) }).await;
    worker.program.kill();
    for job in jobs {
        wait_for(&queue, job, &["rescue"]).await;
    }
    let _successor = queue.start_worker(&[]);
    // Both are long suspects: one runs, the other one waits.
    let waiting = eventually("one of them to run alone", || async {
        let [one, other] = [reasons(&queue, jobs[0]).await, reasons(&queue, jobs[1]).await];
        match (&one[..], &other[..]) {
            ([], waiting) | (waiting, []) if codes(waiting) == ["isolation"] => Some(waiting.to_vec()),
            _ => None,
        }
    })
    .await;
    assert_eq!(waiting, [WaitReason::Isolation { ahead: 0 }]);
}
