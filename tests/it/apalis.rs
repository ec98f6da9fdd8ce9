//! Known defects of apalis-redis and apalis-cron (docs/decisions/0001), and that jobs are not affected by them.
//!
//! A slow, a restarted and a flushed Redis, and a push that reports failure but is applied, are in [`crate::redis_loss`];
//! killed workers, whose attempts must still be recorded, in [`super::crash`]; two schedulers in [`super::schedulers`].

use std::time::Duration;

use chrono::TimeDelta;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use nix::sys::signal::Signal;
use psp_dashboard::db::jobs::find_summary;
use psp_dashboard::domain::job::{JobId, JobState, NewJob};
use psp_dashboard::operations::enqueue_job::enqueue_job;
use psp_test_jobs::counting::{self, Pause};
use psp_test_jobs::failing;
use psp_test_jobs::kinds::{self, COUNTING, FAILING, NO_OP};
use psp_test_jobs::schedule::ENTRIES;
use serde_json::json;
use uuid::Uuid;

use crate::harness::test_queue::{Process, TestQueue};
use crate::harness::wakeups;
use crate::harness::wakeups::QUEUE;
use crate::harness::{eventually, scheduler_ticks};

/// What a worker logs when its apalis worker has died.
const LISTENER_STOPPED: &str = "queue listener stopped, restarting";

async fn send_wakeups(queue: &TestQueue, job_id: JobId, count: u32) {
    let wakeups =
        (0..count).map(|_| async { queue.redis.send_wakeup(QUEUE, job_id).await.expect("Redis accepts the wake-up") });
    stream::iter(wakeups).buffer_unordered(16).collect::<Vec<()>>().await;
}

async fn wait_until_no_wakeup_is_stored(queue: &TestQueue) {
    eventually("every wake-up to be removed", || async {
        (wakeups::redis_command::<u64>(queue, "HLEN", "data", &[]).await == 0).then_some(())
    })
    .await;
}

fn listener_deaths(worker: &Process) -> usize {
    worker.program.output().matches(LISTENER_STOPPED).count()
}

/// Defect: 8,000 due messages in one queue kill every apalis worker that fetches the next one.
#[tokio::test]
async fn wakeups_of_a_queue_are_limited_to_a_hundred() {
    let queue = TestQueue::start().await;
    send_wakeups(&queue, JobId(Uuid::now_v7()), 1_000).await;
    let stored: u64 = wakeups::redis_command(&queue, "HLEN", "data", &[]).await;
    assert!((64..=100).contains(&stored), "{stored} wake-ups");
    let worker = queue.start_worker(&[]);
    wait_until_no_wakeup_is_stored(&queue).await;
    assert_eq!(listener_deaths(&worker), 0, "{}", worker.program.output());
}

/// Defect: a message that cannot be decoded kills the apalis worker that fetched it, and then the next one.
#[tokio::test]
async fn undecodable_wakeup_stops_a_listener_once_and_jobs_still_run() {
    let queue = TestQueue::start().await;
    let worker = queue.start_worker(&[]);
    worker.worker_name().await;
    let undecodable = [("no-json", "hello", "1"), ("no-number", "1", "many")];
    for (id, payload, attempts) in undecodable {
        let before = listener_deaths(&worker);
        let _new: u32 = wakeups::redis_command(&queue, "HSET", "data", &[id, payload]).await;
        let meta = ["attempts", attempts, "max_attempts", "1", "status", "Pending"];
        let _new: u32 = wakeups::redis_command(&queue, "HSET", &format!("meta:{id}"), &meta).await;
        let _length: u32 = wakeups::redis_command(&queue, "RPUSH", "active", &[id]).await;
        eventually("the apalis worker to die", || async { (listener_deaths(&worker) > before).then_some(()) }).await;
        queue.enqueue(&COUNTING, counting::args(0, 0, Pause::BeforeWriting)).await;
        queue.wait_until_idle().await;
    }
    queue.totals().await.assert_each_succeeded_once();
    // The last name is that of the live worker. The wake-ups are removed together with the dead workers that fetched them.
    let names = eventually("the worker to register again", || async {
        Some(wakeups::registered_workers(&queue).await).filter(|names| names.len() > undecodable.len())
    })
    .await;
    wakeups::expire_heartbeats(&queue, &names[..undecodable.len()]).await;
    wait_until_no_wakeup_is_stored(&queue).await;
    for (id, _, _) in undecodable {
        assert_eq!(wakeups::redis_command::<u32>(&queue, "EXISTS", &format!("meta:{id}"), &[]).await, 0, "{id}");
    }
    assert_eq!(listener_deaths(&worker), undecodable.len(), "each wake-up kills one apalis worker");
}

/// Defect: a worker name that was used before is refused even after a clean stop, and registrations are kept for ever.
#[tokio::test]
async fn stopped_and_killed_workers_can_restart_and_are_deregistered() {
    let queue = TestQueue::start().await;
    for kill in [false, true, false] {
        let mut worker = queue.start_worker(&[]);
        queue.enqueue(&COUNTING, counting::args(0, 0, Pause::BeforeWriting)).await;
        queue.wait_until_idle().await;
        if kill {
            worker.program.kill();
        } else {
            worker.program.signal(Signal::SIGTERM);
            worker.program.wait_for_exit(Duration::from_secs(20)).await;
        }
    }
    let gone = wakeups::registered_workers(&queue).await;
    assert_eq!(gone.len(), 3, "{gone:?}");
    wakeups::expire_heartbeats(&queue, &gone).await;
    let _worker = queue.start_worker(&[]);
    eventually("the old workers to be deregistered", || async {
        let names = wakeups::registered_workers(&queue).await;
        (names.len() == 1 && !gone.contains(&names[0])).then_some(())
    })
    .await;
    for name in gone {
        let exists: u32 = wakeups::redis_command(&queue, "EXISTS", &format!("workers:metadata:{name}"), &[]).await;
        assert_eq!(exists, 0, "{name}");
    }
    queue.totals().await.assert_each_succeeded_once();
}

/// Defect: without a custom poll strategy a worker fetches only at its heartbeat, and apalis's own strategies run 3 of 20
/// jobs.
#[tokio::test]
async fn single_jobs_of_an_idle_queue_start_within_half_a_second() {
    let queue = TestQueue::start().await;
    let worker = queue.start_worker(&[]);
    worker.worker_name().await;
    eventually("the worker to register", || async {
        (!wakeups::registered_workers(&queue).await.is_empty()).then_some(())
    })
    .await;
    for _ in 0..20 {
        queue.enqueue(&NO_OP, json!({})).await;
        queue.wait_until_idle().await;
    }
    let woken = "SELECT count(*) FROM jobs WHERE started_at - created_at < interval '500 milliseconds'";
    let woken = queue.number(woken).await;
    assert!(woken > 10, "{woken} of 20 started within half a second; polling alone takes up to a second each");
}

/// Defect: a message is delivered again if its worker is late with its heartbeat or holds a batch of messages; one whose id
/// was used before is dropped silently.
#[tokio::test]
async fn job_with_many_wakeups_runs_once() {
    let queue = TestQueue::start().await;
    let job_id = queue.enqueue(&COUNTING, counting::args(100, 200, Pause::BeforeWriting)).await;
    send_wakeups(&queue, job_id, 20).await;
    let _workers =
        [queue.start_worker(&[("WORKER_CONCURRENCY", "1")]), queue.start_worker(&[("WORKER_CONCURRENCY", "1")])];
    // Many more than the workers can run at once: they wait in the jobs table, not in a batch of messages.
    let others = (0..20).map(|_| queue.enqueue(&COUNTING, counting::args(20, 50, Pause::BeforeWriting)));
    join_all(others).await;
    queue.wait_until_idle().await;
    send_wakeups(&queue, job_id, 3).await;
    wait_until_no_wakeup_is_stored(&queue).await;
    let totals = queue.totals().await;
    totals.assert_each_succeeded_once();
    assert_eq!(totals.repeated_attempts, 0, "{totals:?}");
    assert_eq!(
        wakeups::redis_command::<u32>(&queue, "EXISTS", "done", &[]).await,
        0,
        "acknowledged wake-ups are not stored"
    );
}

/// Defect: apalis retries 25 times whatever is configured, and loses the delay before the next attempt.
#[tokio::test]
async fn jobs_table_counts_attempts_and_applies_retry_delays() {
    let queue = TestQueue::start().await;
    let _worker = queue.start_worker(&[]);
    for (args, attempts, state) in [
        (failing::Args::Retry, FAILING.max_attempts as usize, JobState::Failed),
        (failing::Args::Never, 1, JobState::Failed),
        (failing::Args::Until { attempt: 2 }, 2, JobState::Succeeded),
    ] {
        let job_id = queue.enqueue(&FAILING, json!(args)).await;
        queue.wait_until_idle().await;
        assert_eq!(queue.attempts(job_id).await.len(), attempts, "{args:?}");
        let summary = find_summary(&queue.pool, job_id).await.expect("the jobs table responds");
        assert_eq!(summary.expect("the job exists").state, state, "{args:?}");
    }
    let delayed = queue.enqueue(&FAILING, json!(failing::Args::After { seconds: 2 })).await;
    let attempts = eventually("a second attempt", || async {
        Some(queue.attempts(delayed).await).filter(|attempts| attempts.len() > 1)
    })
    .await;
    assert!(attempts[1].started_at - attempts[0].started_at >= TimeDelta::seconds(2), "{attempts:?}");
    assert_eq!(
        wakeups::redis_command::<u32>(&queue, "EXISTS", "dead", &[]).await,
        0,
        "no failure is reported to apalis"
    );
}

/// Defect: a delay of apalis may end a second early.
#[tokio::test]
async fn delayed_job_does_not_run_early_despite_wakeups() {
    let queue = TestQueue::start().await;
    let _worker = queue.start_worker(&[]);
    let job = NewJob { delay: Duration::from_secs(2), ..kinds::job(&NO_OP, json!({})) };
    let job_id = enqueue_job(&queue.pool, &queue.redis, &job).await.expect("the job is enqueued").job_id;
    eventually("the job to run", || async {
        send_wakeups(&queue, job_id, 1).await;
        (queue.finished().await == 1).then_some(())
    })
    .await;
    let early = "SELECT count(*) FROM jobs WHERE started_at < created_at + interval '2 seconds'";
    assert_eq!(queue.number(early).await, 0, "wake-ups were sent during the whole delay");
}

/// Defect: apalis-cron loses the ticks of its downtime, and skips ticks while no worker is free.
#[tokio::test]
async fn ticks_missed_while_schedulers_were_down_are_made_up() {
    let queue = TestQueue::start().await;
    let mut scheduler = queue.start_process(&["scheduler"], &[]);
    scheduler_ticks::wait_for_ticks(&queue, 2).await;
    scheduler.program.kill();
    let since_last_tick = "SELECT EXTRACT(EPOCH FROM now() - max(tick_at))::bigint FROM schedule_ticks";
    eventually("three ticks to be missed", || async { (queue.number(since_last_tick).await > 3).then_some(()) }).await;
    let before = scheduler_ticks::count_ticks(&queue).await;
    let mut scheduler = queue.start_process(&["scheduler"], &[]);
    eventually("all entries to tick again", || async {
        (scheduler_ticks::count_ticks(&queue).await.ticks >= before.ticks + 5 * ENTRIES).then_some(())
    })
    .await;
    scheduler.program.signal(Signal::SIGTERM);
    scheduler.program.wait_for_exit(Duration::from_secs(20)).await;
    scheduler_ticks::count_ticks(&queue).await.assert_each_ticked_once();
    assert_eq!(queue.finished().await, 0, "no worker was running");
}
