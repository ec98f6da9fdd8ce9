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
use crate::harness::stopped::{STOPPED_AT, stop_for_three_leases};
use crate::harness::test_jobs::Trial;
use crate::harness::worker_group::WorkerGroup;

#[tokio::test]
async fn whoever_is_killed_every_job_has_its_effect_once() {
    let (kills, jobs) = if is_long() { (60, 3_000) } else { (4, 240) };
    let trial = Trial::open().await;
    // A lease of four seconds: where other tests have every core, a worker that lives may be silent for two.
    let mut workers = WorkerGroup::start(&trial, 3, &[("JOB_RESCUE_SECONDS", "6")]).await;
    workers.kill_while_counting(kills, jobs, counting::args(0, 150, Pause::BeforeWriting)).await;
    trial.settle().await;
    let books = trial.books().await;
    books.assert_each_done_once();
    let in_flight = i64::try_from(workers.in_flight).expect("a few");
    let outcomes = trial.outcomes().await;
    assert!(
        books.repeats > 0 && books.repeats <= in_flight,
        "{books:?}, {in_flight} in flight at the kills: {outcomes}"
    );
    assert_eq!(trial.number("SELECT count(*) FROM jobs WHERE attempt > 1").await, 0, "a death costs no attempt");
}

#[tokio::test]
async fn a_job_runs_again_after_its_worker_was_killed() {
    let trial = Trial::open().await;
    let job_id = trial.enqueue(&COUNTING, counting::args(1_000, 1_000, Pause::BeforeWriting)).await;
    let mut workers = WorkerGroup::start(&trial, 2, &[]).await;
    let killed = workers.kill_one().await;
    assert_eq!(killed.jobs, [job_id]);
    trial.settle().await;
    trial.books().await.assert_each_done_once();
    let attempts = trial.attempts(job_id).await;
    let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome.as_deref()).collect();
    assert_eq!(outcomes, [Some("lost"), Some("succeeded")]);
    let waited = trial.next_attempt(job_id, killed.at).await - killed.at;
    assert!(waited < TimeDelta::seconds(30), "it ran again {waited} after the kill");
}

/// Stopped after its claim was checked and before the commit, a worker keeps the rows of its jobs locked; the database ends
/// its transactions in the end, and others go on.
#[tokio::test]
async fn a_worker_that_was_stopped_writes_nothing_when_it_goes_on() {
    for pause in [Pause::BeforeWriting, Pause::BeforeTheCheck, Pause::BeforeTheCommit] {
        let trial = Trial::open().await;
        stop_for_three_leases(&trial, pause).await;
        trial.books().await.assert_each_done_once();
        let lost = trial.number("SELECT count(*) FROM job_attempts WHERE outcome = 'lost'").await;
        assert_eq!(usize::try_from(lost), Ok(STOPPED_AT), "the heir had them all ({pause:?})");
    }
}

#[tokio::test]
async fn a_job_that_kills_its_process_is_poison_and_those_beside_it_are_done() {
    let trial = Trial::open().await;
    let poison = trial.enqueue(&CRASHING, json!(crashing::Args { crashes: None, after_ms: 500 })).await;
    trial.enqueue_many(7, &COUNTING, counting::args(700, 1_500, Pause::BeforeWriting)).await;
    let deaths = WorkerGroup::start(&trial, 1, &[]).await.replace_until_settled().await;
    assert_eq!(deaths, 1, "the worker itself dies once; after that the suspects run alone");
    let ended = find_summary(&trial.pool, poison).await.expect("the jobs table answers").expect("the job is there");
    assert_eq!(ended.state, JobState::Failed);
    assert!(ended.error.as_deref().is_some_and(|error| error.starts_with("poison")), "{ended:?}");
    assert_eq!(trial.attempts(poison).await.len(), 4, "beside others once, and three times alone");
    let books = trial.books().await;
    assert_eq!((books.succeeded, books.with_effect, books.doubled), (7, 7, 0), "{books:?}");
}

#[tokio::test]
async fn of_several_suspects_each_is_judged_by_itself() {
    let trial = Trial::open().await;
    for crashes in [None, Some(1), None, Some(3)] {
        trial.enqueue(&CRASHING, json!(crashing::Args { crashes, after_ms: 500 })).await;
    }
    trial.enqueue_many(4, &COUNTING, counting::args(700, 1_500, Pause::BeforeWriting)).await;
    let deaths = WorkerGroup::start(&trial, 1, &[]).await.replace_until_settled().await;
    assert_eq!(deaths, 1, "the worker itself dies once; after that the suspects run alone");
    let books = trial.books().await;
    assert_eq!((books.succeeded, books.with_effect, books.doubled), (6, 6, 0), "{books:?}");
    let poison = "SELECT count(*) FROM jobs WHERE state = 'failed' AND error LIKE 'poison%' AND kind = 'crashing'";
    assert_eq!(trial.number(poison).await, 2);
    let acquitted = "SELECT count(*) FROM jobs WHERE state = 'succeeded' AND NOT suspect AND deaths_alone = 0";
    assert_eq!(trial.number(acquitted).await, 6);
}

#[tokio::test]
async fn no_live_workers_job_is_ever_taken() {
    let seconds = if is_long() { 60.0 } else { 8.0 };
    let trial = Trial::open().await;
    trial.enqueue_many(12, &SLEEPING, json!(sleeping::Args { seconds, in_server: false })).await;
    let workers = [trial.worker(&[]), trial.worker(&[])];
    let load = Load::of_all_cores();
    trial.settle().await;
    drop((load, workers));
    let tried = trial.number("SELECT count(*) FROM job_attempts WHERE outcome = 'succeeded'").await;
    assert_eq!((tried, trial.books().await.repeats), (12, 0));
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
