//! A worker that is stopped for longer than its leases hold, and goes on as if nothing had been.

use std::time::Duration;

use nix::sys::signal::Signal;
use psp_dashboard::domain::job::JobId;
use psp_test_jobs::counting::{self, Pause};
use psp_test_jobs::kinds::COUNTING;

use super::eventually;
use super::test_jobs::{Process, Trial};

/// How many jobs the worker is at: as many as it has hands, so that it claims again only once it has let go of them.
pub(crate) const STOPPED_AT: usize = 4;
/// A lease is two thirds of `JOB_RESCUE_SECONDS`, which is 3 in trials.
const THREE_LEASES: Duration = Duration::from_secs(6);

/// Stops a worker in the midst of its jobs, for at least three leases and until another has done them, and lets it go on.
/// Returns once every job has come to its end.
pub(crate) async fn stop_for_three_leases(trial: &Trial, pause: Pause) {
    enqueue(trial, pause).await;
    let stopped = trial.worker(&[("WORKER_CONCURRENCY", "4")]);
    wait_until_midway(trial, &stopped, pause).await;
    stopped.running.signal(Signal::SIGSTOP);
    let since = tokio::time::Instant::now();
    let mut heir = trial.worker(&[]);
    heir.worker().await;
    trial.settle().await;
    eventually("three leases to have passed", || async { (since.elapsed() >= THREE_LEASES).then_some(()) }).await;
    heir.running.kill();
    stopped.running.signal(Signal::SIGCONT);
    wait_until_it_let_go(trial, &stopped).await;
    trial.settle().await;
}

async fn enqueue(trial: &Trial, pause: Pause) -> Vec<JobId> {
    let mut jobs = vec![];
    for _ in 0..STOPPED_AT {
        jobs.push(trial.enqueue(&COUNTING, counting::args(1_500, 2_000, pause)).await);
    }
    jobs
}

/// Waits until the worker is at all jobs, inside their transactions where they pause there.
async fn wait_until_midway(trial: &Trial, worker: &Process, pause: Pause) {
    let in_transaction = "SELECT count(*) FROM pg_stat_activity
                           WHERE datname = current_database() AND application_name LIKE 'psp job %'
                             AND xact_start IS NOT NULL";
    let name = worker.worker().await;
    eventually("the worker to be at all jobs", || async {
        let midway =
            pause == Pause::BeforeWriting || usize::try_from(trial.number(in_transaction).await) == Ok(STOPPED_AT);
        (midway && trial.held_by(&name).await.len() == STOPPED_AT).then_some(())
    })
    .await;
}

/// Waits until all hands of the worker are at other jobs than before.
async fn wait_until_it_let_go(trial: &Trial, worker: &Process) {
    let name = worker.worker().await;
    let others = enqueue(trial, Pause::BeforeWriting).await;
    eventually("the worker to have let go", || async {
        let held = trial.held_by(&name).await;
        others.iter().all(|job_id| held.contains(job_id)).then_some(())
    })
    .await;
}
