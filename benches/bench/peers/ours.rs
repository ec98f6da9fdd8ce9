//! Our queue, measured as the peers are.

use std::time::Duration;

use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_test_jobs::counting::{self, Pause};
use psp_test_jobs::kinds::{COUNTING, NO_OP, job};
use serde_json::json;
use tokio::task::JoinSet;

use super::{Kills, pace};
use crate::harness::test_queue::TestQueue;
use crate::harness::worker_group::WorkerGroup;
use crate::queue::wait_for_run;
use crate::report::Durations;

/// The production default, where tests take another.
const RESCUE: (&str, &str) = ("JOB_RESCUE_SECONDS", "15");
const QUIET: &[(&str, &str)] = &[RESCUE, ("LOG_LEVEL", "warn")];
/// Workers log under which name they claim jobs.
const NAMED: &[(&str, &str)] = &[RESCUE, ("LOG_LEVEL", "info,sqlx=warn")];

pub(super) async fn throughput(workers: usize, jobs: usize) -> f64 {
    let queue = TestQueue::start().await;
    queue.enqueue_many(jobs, &NO_OP, json!({})).await;
    let _workers: Vec<_> = (0..workers).map(|_| queue.start_worker(QUIET)).collect();
    let unfinished = async || queue.number("SELECT count(*) FROM jobs WHERE finished_at IS NULL").await;
    pace::finishing_rate(jobs, unfinished).await
}

pub(super) async fn idle_latency(jobs: usize) -> Durations {
    let queue = TestQueue::start().await;
    let _worker = queue.start_worker(QUIET);
    warm_up(&queue).await;
    let mut delays = vec![];
    for _ in 0..jobs {
        let requested_at = SystemClock.now();
        let job_id = queue.enqueue(&NO_OP, json!({})).await;
        let ran_at = wait_for_run(&queue, job_id).await;
        delays.push((ran_at - requested_at).to_std().expect("it runs after it was enqueued"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Durations::new(delays)
}

pub(super) async fn loaded_latency(jobs: usize, rate: f64) -> Durations {
    let queue = TestQueue::start().await;
    let _worker = queue.start_worker(QUIET);
    warm_up(&queue).await;
    let mut enqueuing = JoinSet::new();
    pace::spread(jobs, rate, || {
        let (pool, redis) = (queue.pool.clone(), queue.redis.clone());
        enqueuing.spawn(async move {
            let requested_at = SystemClock.now();
            let enqueued = enqueue_job(&pool, &redis, &job(&NO_OP, json!({}))).await.expect("the job is enqueued");
            (enqueued.job_id, requested_at)
        });
    })
    .await;
    let enqueued = enqueuing.join_all().await;
    queue.wait_until_idle().await;
    let mut delays = vec![];
    for (job_id, requested_at) in enqueued {
        let ran_at = wait_for_run(&queue, job_id).await;
        delays.push((ran_at - requested_at).to_std().expect("it runs after it was enqueued"));
    }
    Durations::new(delays)
}

async fn warm_up(queue: &TestQueue) {
    for _ in 0..5 {
        let job_id = queue.enqueue(&NO_OP, json!({})).await;
        wait_for_run(queue, job_id).await;
    }
}

/// Half of the jobs pause before their effect, half after it, as those of the peers do.
pub(super) async fn kills(jobs: usize, kills: usize) -> Kills {
    let queue = TestQueue::start().await;
    for pause in [Pause::BeforeWriting, Pause::AfterTheCommit] {
        queue.enqueue_many(jobs / 2, &COUNTING, counting::args(0, 200, pause)).await;
    }
    let mut workers = WorkerGroup::start(&queue, 2, NAMED).await;
    let mut killed = vec![];
    for kill in 1..=kills {
        queue.wait_until_finished(i64::try_from(jobs * kill / (kills + 1)).expect("a small number")).await;
        killed.push(workers.kill_one().await);
    }
    queue.wait_until_idle().await;
    let mut rescues = vec![];
    for worker in &killed {
        for job_id in &worker.jobs {
            let started_at = queue.next_attempt(*job_id, worker.at).await;
            rescues.push((started_at - worker.at).to_std().expect("it started after the kill"));
        }
    }
    let totals = queue.totals().await;
    Kills {
        lost: totals.jobs - totals.with_effect.min(totals.succeeded),
        waiting: 0,
        duplicates: totals.duplicate_effects,
        rescues: (!rescues.is_empty()).then(|| Durations::new(rescues)),
    }
}
