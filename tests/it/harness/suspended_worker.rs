//! Suspends a worker for longer than its leases last, and resumes it.

use std::time::Duration;

use nix::sys::signal::Signal;
use psp_dashboard::domain::job::JobId;
use psp_test_jobs::counting::{self, Pause};
use psp_test_jobs::kinds::COUNTING;

use super::eventually;
use super::test_queue::{Process, TestQueue};

/// How many jobs the worker runs when it is suspended. Equal to its concurrency, so that it claims others only after it has
/// given up these.
pub(crate) const SUSPENDED_JOBS: usize = 4;
/// A lease lasts two thirds of `JOB_RESCUE_SECONDS`, which is 3 in a [`TestQueue`].
const THREE_LEASES: Duration = Duration::from_secs(6);

/// Suspends a worker that runs jobs, for at least three leases and until another worker has finished them, and resumes it.
/// Returns when every job is finished.
pub(crate) async fn suspend_worker_for_three_leases(queue: &TestQueue, pause: Pause) {
    enqueue_jobs(queue, pause).await;
    let suspended = queue.start_worker(&[("WORKER_CONCURRENCY", "4")]);
    wait_until_jobs_pause(queue, &suspended, pause).await;
    suspended.program.signal(Signal::SIGSTOP);
    let since = tokio::time::Instant::now();
    let mut successor = queue.start_worker(&[]);
    successor.worker_name().await;
    queue.wait_until_idle().await;
    eventually("three leases to have passed", || async { (since.elapsed() >= THREE_LEASES).then_some(()) }).await;
    successor.program.kill();
    suspended.program.signal(Signal::SIGCONT);
    wait_until_jobs_are_given_up(queue, &suspended).await;
    queue.wait_until_idle().await;
}

async fn enqueue_jobs(queue: &TestQueue, pause: Pause) -> Vec<JobId> {
    let mut jobs = vec![];
    for _ in 0..SUSPENDED_JOBS {
        jobs.push(queue.enqueue(&COUNTING, counting::args(1_500, 2_000, pause)).await);
    }
    jobs
}

/// Waits until the worker runs all jobs, inside their transactions if they pause there.
async fn wait_until_jobs_pause(queue: &TestQueue, worker: &Process, pause: Pause) {
    let in_transaction = "SELECT count(*) FROM pg_stat_activity
                           WHERE datname = current_database() AND application_name LIKE 'psp job %'
                             AND xact_start IS NOT NULL";
    let name = worker.worker_name().await;
    eventually("the worker to run all jobs", || async {
        let paused =
            pause == Pause::BeforeWriting || usize::try_from(queue.number(in_transaction).await) == Ok(SUSPENDED_JOBS);
        (paused && queue.leased_to(&name).await.len() == SUSPENDED_JOBS).then_some(())
    })
    .await;
}

/// Enqueues as many further jobs, and waits until the worker runs all of these.
async fn wait_until_jobs_are_given_up(queue: &TestQueue, worker: &Process) {
    let name = worker.worker_name().await;
    let others = enqueue_jobs(queue, Pause::BeforeWriting).await;
    eventually("the worker to run other jobs", || async {
        let leased = queue.leased_to(&name).await;
        others.iter().all(|job_id| leased.contains(job_id)).then_some(())
    })
    .await;
}
