//! Suspects: jobs whose worker died run alone, short ones without waiting for long ones.

use std::time::Duration;

use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::jobs::claims::{Claimer, Suspects, claim};
use psp_dashboard::db::jobs::find_summary;
use psp_dashboard::domain::job::{
    EXPORT, HOUSEKEEPING, JobId, JobKind, JobState, KINDS, NewJob, Priority, REBUILD_ROLLUPS, SuspectLength, Trigger,
};
use psp_dashboard::domain::reconciliation::ReconcileArgs;
use psp_dashboard::domain::sync::SyncArgs;
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_dashboard::operations::rescue_jobs::rescue_jobs;
use psp_test_jobs::counting::{self, Pause};
use psp_test_jobs::kinds::{COUNTING, CRASHING, DOZING, SLEEPING};
use psp_test_jobs::{crashing, sleeping};
use serde_json::{Value, json};
use sqlx::{Executor, PgPool};

use crate::harness::eventually;
use crate::harness::servers::{Servers, number};
use crate::harness::test_queue::{Process, TestQueue};

/// Longer than a test lasts.
fn for_minutes() -> Value {
    json!(sleeping::Args { seconds: 600.0, in_server: false })
}

async fn state(queue: &TestQueue, job_id: JobId) -> JobState {
    find_summary(&queue.pool, job_id).await.expect("the jobs table responds").expect("the job exists").state
}

async fn wait_for_state(queue: &TestQueue, job_id: JobId, expected: JobState) {
    let condition = format!("the job to be {}", expected.as_str());
    eventually(&condition, || async { (state(queue, job_id).await == expected).then_some(()) }).await;
}

/// Waits until a worker runs these jobs, kills it, and starts another one.
async fn kill_worker_of(queue: &TestQueue, jobs: &[JobId]) -> Process {
    let mut worker = queue.start_worker(&[]);
    let name = worker.worker_name().await;
    eventually("the worker to run all jobs", || async {
        let leased = queue.leased_to(&name).await;
        jobs.iter().all(|job_id| leased.contains(job_id)).then_some(())
    })
    .await;
    worker.program.kill();
    queue.start_worker(&[])
}

#[tokio::test]
async fn short_suspect_ends_while_a_long_one_still_runs() {
    let queue = TestQueue::start().await;
    // Enqueued first, so that it would be the first of a single process.
    let long = queue.enqueue(&SLEEPING, for_minutes()).await;
    let culprit = queue.enqueue(&CRASHING, json!(crashing::Args { crashes: None, after_ms: 4_000 })).await;
    let short = queue.enqueue(&COUNTING, counting::args(3_000, 3_000, Pause::BeforeWriting)).await;
    let _successor = kill_worker_of(&queue, &[long, culprit, short]).await;
    wait_for_state(&queue, short, JobState::Succeeded).await;
    // The culprit is identified although another suspect runs at the same time.
    wait_for_state(&queue, culprit, JobState::Failed).await;
    assert_eq!(queue.attempts(culprit).await.len(), 4, "once beside others, and three times alone");
    assert_eq!(queue.attempts(short).await.len(), 2);
    assert_eq!(queue.attempts(long).await.len(), 2, "the long one has been running all the time");
    assert_eq!(state(&queue, long).await, JobState::Running);
    assert_eq!(queue.number("SELECT count(*) FROM job_leases WHERE alone").await, 1);
}

#[tokio::test]
async fn short_suspect_that_runs_for_too_long_continues_after_the_others() {
    let queue = TestQueue::start().await;
    let slow = queue.enqueue(&DOZING, for_minutes()).await;
    let short = queue.enqueue(&COUNTING, counting::args(1_500, 1_500, Pause::BeforeWriting)).await;
    let _successor = kill_worker_of(&queue, &[slow, short]).await;
    wait_for_state(&queue, short, JobState::Succeeded).await;
    let is_suspect = "SELECT count(*) FROM jobs WHERE kind = 'dozing' AND suspect AND finished_at IS NULL";
    assert_eq!(queue.number(is_suspect).await, 1, "it has not ended yet, so it still runs alone");
    let attempts = queue.attempts(slow).await;
    assert_eq!(attempts[1].outcome.as_deref(), Some("handed_back"), "{attempts:?}");
    assert!(attempts.iter().all(|attempt| attempt.number == 1), "this costs no attempt: {attempts:?}");
}

#[tokio::test]
async fn suspects_are_claimed_by_their_expected_duration() {
    let servers = Servers::start().await;
    let (pool, redis) = (servers.pool().await, servers.redis().await);
    let day = "2026-01-15".parse().expect("a day");
    let of_days = SyncArgs::Range { from_date: day, to_date: day };
    for job in [
        NewJob { priority: Priority::Interactive, ..NewJob::without_args(&REBUILD_ROLLUPS, Trigger::Cli) },
        NewJob::with_args(&EXPORT, json!({}), Trigger::Api),
        NewJob::sync(Source::Payshack, &of_days, Trigger::Api),
        NewJob::reconcile(ReconcileArgs::for_day(day), Trigger::Schedule),
        NewJob { priority: Priority::Backfill, ..NewJob::without_args(&HOUSEKEEPING, Trigger::Schedule) },
        NewJob::sync(Source::Vima, &SyncArgs::Incremental, Trigger::Api),
        NewJob::sync(Source::Payshack, &SyncArgs::Incremental, Trigger::Schedule),
    ] {
        enqueue_job(&pool, &redis, &job).await.expect("the job is enqueued");
    }
    pool.execute("UPDATE jobs SET suspect = true, due_at = created_at").await.expect("the jobs table responds");
    let queues: Vec<String> = JobKind::queues().into_iter().map(str::to_owned).collect();
    let long_keys = JobKind::long_keys(KINDS.into_iter());
    for (length, expected) in [
        (SuspectLength::Short, ["housekeeping {}", "sync-vima incremental", "sync-payshack incremental"].as_slice()),
        (SuspectLength::Long, &["reconcile {}", "export {}", "sync-payshack range", "rebuild-rollups {}"]),
    ] {
        let suspects = Some(Suspects { length, long_keys: &long_keys });
        let worker = Claimer { queues: &queues, worker: "isolated", lease: Duration::from_mins(1), suspects };
        let mut claimed = vec![];
        while let Some(job) = claim(&pool, &worker, 1).await.expect("the jobs table responds").jobs.pop() {
            claimed.push(format!("{} {}", job.kind, job.args["mode"].as_str().unwrap_or("{}")));
        }
        assert_eq!(claimed, expected);
    }
}

/// The deaths in isolation of the live sync and the export, and whether the export is due.
async fn deaths(pool: &PgPool) -> [i64; 3] {
    [
        number(pool, "SELECT deaths_alone::bigint FROM jobs WHERE kind = 'sync-vima'").await,
        number(pool, "SELECT deaths_alone::bigint FROM jobs WHERE kind = 'export'").await,
        number(pool, "SELECT count(*) FROM jobs WHERE kind = 'export' AND due_at <= now()").await,
    ]
}

#[tokio::test]
async fn death_of_both_isolated_processes_counts_for_neither_job() {
    let servers = Servers::start().await;
    let (pool, redis) = (servers.pool().await, servers.redis().await);
    for job in [
        NewJob::sync(Source::Vima, &SyncArgs::Incremental, Trigger::Schedule),
        NewJob::with_args(&EXPORT, json!({}), Trigger::Api),
    ] {
        enqueue_job(&pool, &redis, &job).await.expect("the job is enqueued");
    }
    let execute = async |statement: &'static str| {
        pool.execute(statement).await.expect("the jobs table responds");
    };
    execute("UPDATE jobs SET suspect = true").await;
    let queues: Vec<String> = JobKind::queues().into_iter().map(str::to_owned).collect();
    let long_keys = JobKind::long_keys(KINDS.into_iter());
    let claim_both = async || {
        for (length, worker) in [(SuspectLength::Short, "worker-1/short/2"), (SuspectLength::Long, "worker-1/long/3")] {
            let suspects = Some(Suspects { length, long_keys: &long_keys });
            let claimer = Claimer { queues: &queues, worker, lease: Duration::from_mins(1), suspects };
            claim(&pool, &claimer, 1).await.expect("the jobs table responds");
        }
    };
    let rescue = async || rescue_jobs(&pool, &redis, SystemClock.now()).await.expect("the jobs table responds").len();

    claim_both().await;
    // The lease that was renewed last expires last; the jobs are released together.
    execute(
        "UPDATE job_leases SET expires_at = now() - CASE worker WHEN 'worker-1/short/2' THEN interval '10 milliseconds'
                                                               ELSE interval '-500 milliseconds' END",
    )
    .await;
    let released = eventually("the last lease to expire", || async { Some(rescue().await).filter(|jobs| *jobs > 0) });
    assert_eq!(released.await, 2);
    assert_eq!(deaths(&pool).await, [0, 0, 0], "either may be the culprit, so the export waits");

    claim_both().await;
    assert_eq!(number(&pool, "SELECT count(*) FROM job_leases").await, 1, "the live sync runs alone");
    execute("UPDATE job_leases SET expires_at = now() - interval '1 second'").await;
    assert_eq!(rescue().await, 1);
    assert_eq!(deaths(&pool).await, [1, 0, 0]);

    execute("UPDATE jobs SET due_at = now()").await;
    claim_both().await;
    execute("UPDATE job_leases SET expires_at = now() - interval '1 second' WHERE worker = 'worker-1/long/3'").await;
    assert_eq!(rescue().await, 1);
    assert_eq!(deaths(&pool).await, [1, 1, 1], "the process of the live sync lives, so the export killed its own");
}
