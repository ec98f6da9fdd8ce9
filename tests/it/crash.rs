//! Processes are killed, stopped and crashed: every job is done, its effect is there once, and what is repeated is what was
//! in flight.

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
async fn whoever_is_killed_every_job_has_its_effect_once() {
    let (kills, jobs) = if is_long() { (60, 3_000) } else { (4, 240) };
    let queue = TestQueue::start().await;
    // A lease of four seconds: where other tests have every core, a worker that lives may be silent for two.
    let mut workers = WorkerGroup::start(&queue, 3, &[("JOB_RESCUE_SECONDS", "6")]).await;
    workers.kill_while_counting(kills, jobs, counting::args(0, 150, Pause::BeforeWriting)).await;
    queue.wait_until_idle().await;
    let books = queue.totals().await;
    books.assert_each_succeeded_once();
    let in_flight = i64::try_from(workers.in_flight).expect("a few");
    let outcomes = queue.outcomes().await;
    assert!(
        books.repeated_attempts > 0 && books.repeated_attempts <= in_flight,
        "{books:?}, {in_flight} in flight at the kills: {outcomes}"
    );
    assert_eq!(queue.number("SELECT count(*) FROM jobs WHERE attempt > 1").await, 0, "a death costs no attempt");
}

#[tokio::test]
async fn a_job_runs_again_after_its_worker_was_killed() {
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
    let waited = queue.next_attempt(job_id, killed.at).await - killed.at;
    assert!(waited < TimeDelta::seconds(30), "it ran again {waited} after the kill");
}

/// Stopped after its claim was checked and before the commit, a worker keeps the rows of its jobs locked; the database ends
/// its transactions in the end, and others go on.
#[tokio::test]
async fn a_worker_that_was_stopped_writes_nothing_when_it_goes_on() {
    for pause in [Pause::BeforeWriting, Pause::BeforeTheCheck, Pause::BeforeTheCommit] {
        let queue = TestQueue::start().await;
        suspend_worker_for_three_leases(&queue, pause).await;
        queue.totals().await.assert_each_succeeded_once();
        let lost = queue.number("SELECT count(*) FROM job_attempts WHERE outcome = 'lost'").await;
        assert_eq!(usize::try_from(lost), Ok(SUSPENDED_JOBS), "the heir had them all ({pause:?})");
    }
}

#[tokio::test]
async fn a_job_that_kills_its_process_is_poison_and_those_beside_it_are_done() {
    let queue = TestQueue::start().await;
    let poison = queue.enqueue(&CRASHING, json!(crashing::Args { crashes: None, after_ms: 500 })).await;
    queue.enqueue_many(7, &COUNTING, counting::args(700, 1_500, Pause::BeforeWriting)).await;
    let deaths = WorkerGroup::start(&queue, 1, &[]).await.replace_until_idle().await;
    assert_eq!(deaths, 1, "the worker itself dies once; after that the suspects run alone");
    let ended = find_summary(&queue.pool, poison).await.expect("the jobs table answers").expect("the job is there");
    assert_eq!(ended.state, JobState::Failed);
    assert!(ended.error.as_deref().is_some_and(|error| error.starts_with("poison")), "{ended:?}");
    assert_eq!(queue.attempts(poison).await.len(), 4, "beside others once, and three times alone");
    let books = queue.totals().await;
    assert_eq!((books.succeeded, books.with_effect, books.duplicate_effects), (7, 7, 0), "{books:?}");
}

#[tokio::test]
async fn of_several_suspects_each_is_judged_by_itself() {
    let queue = TestQueue::start().await;
    for crashes in [None, Some(1), None, Some(3)] {
        queue.enqueue(&CRASHING, json!(crashing::Args { crashes, after_ms: 500 })).await;
    }
    queue.enqueue_many(4, &COUNTING, counting::args(700, 1_500, Pause::BeforeWriting)).await;
    let deaths = WorkerGroup::start(&queue, 1, &[]).await.replace_until_idle().await;
    assert_eq!(deaths, 1, "the worker itself dies once; after that the suspects run alone");
    let books = queue.totals().await;
    assert_eq!((books.succeeded, books.with_effect, books.duplicate_effects), (6, 6, 0), "{books:?}");
    let poison = "SELECT count(*) FROM jobs WHERE state = 'failed' AND error LIKE 'poison%' AND kind = 'crashing'";
    assert_eq!(queue.number(poison).await, 2);
    let acquitted = "SELECT count(*) FROM jobs WHERE state = 'succeeded' AND NOT suspect AND deaths_alone = 0";
    assert_eq!(queue.number(acquitted).await, 6);
}

#[tokio::test]
async fn no_live_workers_job_is_ever_taken() {
    let seconds = if is_long() { 60.0 } else { 8.0 };
    let queue = TestQueue::start().await;
    queue.enqueue_many(12, &SLEEPING, json!(sleeping::Args { seconds, in_server: false })).await;
    let workers = [queue.start_worker(&[]), queue.start_worker(&[])];
    let load = Load::of_all_cores();
    queue.wait_until_idle().await;
    drop((load, workers));
    let tried = queue.number("SELECT count(*) FROM job_attempts WHERE outcome = 'succeeded'").await;
    assert_eq!((tried, queue.totals().await.repeated_attempts), (12, 0));
}

/// Threads that leave no core idle, until it is dropped.
struct Load(Arc<AtomicBool>);

impl Load {
    fn of_all_cores() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || while !stop.load(Ordering::Relaxed) {});
        }
        Self(stop)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
