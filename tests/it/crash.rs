//! Processes are killed, suspended and crashed: every job is finished, has its effect once, and only attempts that were in
//! flight are repeated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::TimeDelta;
use psp_dashboard::db::jobs::find_summary;
use psp_dashboard::domain::job::JobState;
use psp_test_jobs::counting::{self, Pause};
use psp_test_jobs::kinds::{COUNTING, CRASHING, SLEEPING};
use psp_test_jobs::{crashing, sleeping};
use serde_json::json;

use crate::harness::is_long;
use crate::harness::suspended_worker::{SUSPENDED_JOBS, suspend_worker_for_three_leases};
use crate::harness::test_queue::TestQueue;
use crate::harness::worker_group::WorkerGroup;

#[tokio::test]
async fn killed_worker_jobs_run_exactly_once() {
    let (kills, jobs) = if is_long() { (60, 3_000) } else { (4, 240) };
    let queue = TestQueue::start().await;
    // A lease of four seconds: while other tests use every core, a live worker may miss heartbeats for two.
    let mut workers = WorkerGroup::start(&queue, 3, &[("JOB_RESCUE_SECONDS", "6")]).await;
    workers.kill_while_counting(kills, jobs, counting::args(0, 150, Pause::BeforeWriting)).await;
    queue.wait_until_idle().await;
    let totals = queue.totals().await;
    totals.assert_each_succeeded_once();
    let in_flight = i64::try_from(workers.in_flight).expect("a small number");
    let outcomes = queue.outcomes().await;
    assert!(
        totals.repeated_attempts > 0 && totals.repeated_attempts <= in_flight,
        "{totals:?}, {in_flight} in flight at the kills: {outcomes}"
    );
    assert_eq!(
        queue.number("SELECT count(*) FROM jobs WHERE attempt > 1").await,
        0,
        "the death of a worker uses up no attempt"
    );
}

#[tokio::test]
async fn killed_worker_job_runs_again_within_thirty_seconds() {
    let queue = TestQueue::start().await;
    let job_id = queue.enqueue(&COUNTING, counting::args(1_000, 1_000, Pause::BeforeWriting)).await;
    let mut workers = WorkerGroup::start(&queue, 2, &[]).await;
    let killed = workers.kill_one().await;
    assert_eq!(killed.jobs, [job_id]);
    queue.wait_until_idle().await;
    queue.totals().await.assert_each_succeeded_once();
    let attempts = queue.attempts(job_id).await;
    let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome.as_deref()).collect();
    assert_eq!(outcomes, [Some("lost"), Some("succeeded")]);
    let delay = queue.next_attempt(job_id, killed.at).await - killed.at;
    assert!(delay < TimeDelta::seconds(30), "it ran again {delay} after the kill");
}

/// A worker that is suspended between the check of its claim and the commit keeps the rows of its jobs locked. The database
/// ends its transactions after a timeout, and other workers continue.
#[tokio::test]
async fn suspended_worker_writes_nothing_when_it_resumes() {
    for pause in [Pause::BeforeWriting, Pause::BeforeTheCheck, Pause::BeforeTheCommit] {
        let queue = TestQueue::start().await;
        suspend_worker_for_three_leases(&queue, pause).await;
        queue.totals().await.assert_each_succeeded_once();
        let lost = queue.number("SELECT count(*) FROM job_attempts WHERE outcome = 'lost'").await;
        assert_eq!(usize::try_from(lost), Ok(SUSPENDED_JOBS), "the other worker took over every job ({pause:?})");
    }
}

#[tokio::test]
async fn job_that_crashes_its_worker_fails_as_poison_and_the_others_succeed() {
    let queue = TestQueue::start().await;
    let poison = queue.enqueue(&CRASHING, json!(crashing::Args { crashes: None, after_ms: 500 })).await;
    queue.enqueue_many(7, &COUNTING, counting::args(700, 1_500, Pause::BeforeWriting)).await;
    let crashes = WorkerGroup::start(&queue, 1, &[]).await.replace_until_idle().await;
    assert_eq!(crashes, 1, "the worker itself crashes once; after that suspects run in a process of their own");
    let summary = find_summary(&queue.pool, poison).await.expect("the jobs table responds").expect("the job exists");
    assert_eq!(summary.state, JobState::Failed);
    assert!(summary.error.as_deref().is_some_and(|error| error.starts_with("poison")), "{summary:?}");
    assert_eq!(queue.attempts(poison).await.len(), 4, "once beside others, and three times alone");
    let totals = queue.totals().await;
    assert_eq!((totals.succeeded, totals.with_effect, totals.duplicate_effects), (7, 7, 0), "{totals:?}");
}

#[tokio::test]
async fn several_suspects_are_tried_one_by_one() {
    let queue = TestQueue::start().await;
    for crashes in [None, Some(1), None, Some(3)] {
        queue.enqueue(&CRASHING, json!(crashing::Args { crashes, after_ms: 500 })).await;
    }
    queue.enqueue_many(4, &COUNTING, counting::args(700, 1_500, Pause::BeforeWriting)).await;
    let crashes = WorkerGroup::start(&queue, 1, &[]).await.replace_until_idle().await;
    assert_eq!(crashes, 1, "the worker itself crashes once; after that suspects run in a process of their own");
    let totals = queue.totals().await;
    assert_eq!((totals.succeeded, totals.with_effect, totals.duplicate_effects), (6, 6, 0), "{totals:?}");
    let poison = "SELECT count(*) FROM jobs WHERE state = 'failed' AND error LIKE 'poison%' AND kind = 'crashing'";
    assert_eq!(queue.number(poison).await, 2);
    let cleared = "SELECT count(*) FROM jobs WHERE state = 'succeeded' AND NOT suspect AND deaths_alone = 0";
    assert_eq!(queue.number(cleared).await, 6);
}

#[tokio::test]
async fn jobs_of_live_workers_are_never_taken_over_under_load() {
    let seconds = if is_long() { 60.0 } else { 8.0 };
    let queue = TestQueue::start().await;
    queue.enqueue_many(12, &SLEEPING, json!(sleeping::Args { seconds, in_server: false })).await;
    let workers = [queue.start_worker(&[]), queue.start_worker(&[])];
    let load = CpuLoad::on_all_cores();
    queue.wait_until_idle().await;
    drop((load, workers));
    let succeeded = queue.number("SELECT count(*) FROM job_attempts WHERE outcome = 'succeeded'").await;
    assert_eq!((succeeded, queue.totals().await.repeated_attempts), (12, 0));
}

/// Threads that keep every core busy until this is dropped.
struct CpuLoad(Arc<AtomicBool>);

impl CpuLoad {
    fn on_all_cores() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || while !stop.load(Ordering::Relaxed) {});
        }
        Self(stop)
    }
}

impl Drop for CpuLoad {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
