//! What is known of apalis-redis and apalis-cron, fault by fault (docs/decisions/0001), and that no job feels any of it.
//!
//! A slow, a restarted and a flushed Redis, and a push that seems to fail and is applied, are in [`crate::redis_loss`]; a
//! killed worker whose attempt must not be forgotten in [`super::crash`]; two schedulers at once in [`super::schedulers`].

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

/// What a worker says when apalis has died in it.
const FELL_SILENT: &str = "the bells of the queue fell silent";

async fn send_wakeup(queue: &TestQueue, job_id: JobId, times: u32) {
    let rings = (0..times).map(|_| async { queue.redis.send_wakeup(QUEUE, job_id).await.expect("Redis takes it") });
    stream::iter(rings).buffer_unordered(16).collect::<Vec<()>>().await;
}

async fn wait_until_no_bell_is_kept(queue: &TestQueue) {
    eventually("every bell to be forgotten", || async {
        (wakeups::redis_command::<u64>(queue, "HLEN", "data", &[]).await == 0).then_some(())
    })
    .await;
}

fn deaths(worker: &Process) -> usize {
    worker.program.output().matches(FELL_SILENT).count()
}

/// 8,000 due messages in one queue end every worker that asks for the next one.
#[tokio::test]
async fn eight_thousand_due_bells_never_hang_in_a_queue() {
    let queue = TestQueue::start().await;
    send_wakeup(&queue, JobId(Uuid::now_v7()), 1_000).await;
    let bells: u64 = wakeups::redis_command(&queue, "HLEN", "data", &[]).await;
    assert!((64..=100).contains(&bells), "{bells} bells");
    let worker = queue.start_worker(&[]);
    wait_until_no_bell_is_kept(&queue).await;
    assert_eq!(deaths(&worker), 0, "{}", worker.program.output());
}

/// A message that cannot be read ends the worker that fetched it, and then the next one that it is delivered to.
#[tokio::test]
async fn a_bell_that_cannot_be_read_silences_no_worker_for_long() {
    let queue = TestQueue::start().await;
    let worker = queue.start_worker(&[]);
    worker.worker_name().await;
    let unreadable = [("no-json", "hello", "1"), ("no-number", "1", "many")];
    for (id, payload, attempts) in unreadable {
        let before = deaths(&worker);
        let _new: u32 = wakeups::redis_command(&queue, "HSET", "data", &[id, payload]).await;
        let meta = ["attempts", attempts, "max_attempts", "1", "status", "Pending"];
        let _new: u32 = wakeups::redis_command(&queue, "HSET", &format!("meta:{id}"), &meta).await;
        let _length: u32 = wakeups::redis_command(&queue, "RPUSH", "active", &[id]).await;
        eventually("apalis to die of it", || async { (deaths(&worker) > before).then_some(()) }).await;
        queue.enqueue(&COUNTING, counting::args(0, 0, Pause::BeforeWriting)).await;
        queue.wait_until_idle().await;
    }
    queue.totals().await.assert_each_succeeded_once();
    // The last name is that of the living; the bells are forgotten with those who held them.
    let names = eventually("the worker to hear bells again", || async {
        Some(wakeups::registered_workers(&queue).await).filter(|names| names.len() > unreadable.len())
    })
    .await;
    wakeups::expire_heartbeats(&queue, &names[..unreadable.len()]).await;
    wait_until_no_bell_is_kept(&queue).await;
    for (id, _, _) in unreadable {
        assert_eq!(wakeups::redis_command::<u32>(&queue, "EXISTS", &format!("meta:{id}"), &[]).await, 0, "{id}");
    }
    assert_eq!(deaths(&worker), unreadable.len(), "nobody dies of one twice");
}

/// A worker's name is refused when it comes back, even after a clean stop; and whatever is known of it is kept for ever.
#[tokio::test]
async fn workers_that_stop_or_die_come_back_and_are_forgotten() {
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
    eventually("the gone to be forgotten", || async {
        let names = wakeups::registered_workers(&queue).await;
        (names.len() == 1 && !gone.contains(&names[0])).then_some(())
    })
    .await;
    for name in gone {
        let kept: u32 = wakeups::redis_command(&queue, "EXISTS", &format!("workers:metadata:{name}"), &[]).await;
        assert_eq!(kept, 0, "{name}");
    }
    queue.totals().await.assert_each_succeeded_once();
}

/// Without a strategy of one's own a worker looks only at its heartbeat, and apalis's own strategies run 3 of 20.
#[tokio::test]
async fn sparse_jobs_are_heard_one_by_one() {
    let queue = TestQueue::start().await;
    let worker = queue.start_worker(&[]);
    worker.worker_name().await;
    eventually("it to hear bells", || async { (!wakeups::registered_workers(&queue).await.is_empty()).then_some(()) })
        .await;
    for _ in 0..20 {
        queue.enqueue(&NO_OP, json!({})).await;
        queue.wait_until_idle().await;
    }
    let heard = "SELECT count(*) FROM jobs WHERE started_at - created_at < interval '500 milliseconds'";
    let heard = queue.number(heard).await;
    assert!(heard > 10, "{heard} of 20 were heard; looking alone would have taken a second each");
}

/// A message is delivered again when its worker is slow to say that it lives, or holds a batch of them; and one whose id
/// was used before is dropped without a word.
#[tokio::test]
async fn a_job_that_is_rung_for_again_and_again_runs_once() {
    let queue = TestQueue::start().await;
    let job_id = queue.enqueue(&COUNTING, counting::args(100, 200, Pause::BeforeWriting)).await;
    send_wakeup(&queue, job_id, 20).await;
    let _workers =
        [queue.start_worker(&[("WORKER_CONCURRENCY", "1")]), queue.start_worker(&[("WORKER_CONCURRENCY", "1")])];
    // Many more than there are hands: they wait in the jobs table, and no batch with them.
    let others = (0..20).map(|_| queue.enqueue(&COUNTING, counting::args(20, 50, Pause::BeforeWriting)));
    join_all(others).await;
    queue.wait_until_idle().await;
    send_wakeup(&queue, job_id, 3).await;
    wait_until_no_bell_is_kept(&queue).await;
    let books = queue.totals().await;
    books.assert_each_succeeded_once();
    assert_eq!(books.repeated_attempts, 0, "{books:?}");
    assert_eq!(wakeups::redis_command::<u32>(&queue, "EXISTS", "done", &[]).await, 0, "done bells are not kept");
}

/// apalis tries again 25 times whatever it is told, and forgets how long it was to wait.
#[tokio::test]
async fn the_ledger_counts_the_tries_and_the_waits() {
    let queue = TestQueue::start().await;
    let _worker = queue.start_worker(&[]);
    for (how, tries, state) in [
        (failing::Args::Retry, FAILING.max_attempts as usize, JobState::Failed),
        (failing::Args::Never, 1, JobState::Failed),
        (failing::Args::Until { attempt: 2 }, 2, JobState::Succeeded),
    ] {
        let job_id = queue.enqueue(&FAILING, json!(how)).await;
        queue.wait_until_idle().await;
        assert_eq!(queue.attempts(job_id).await.len(), tries, "{how:?}");
        let glance = find_summary(&queue.pool, job_id).await.expect("the jobs table answers");
        assert_eq!(glance.expect("the job is there").state, state, "{how:?}");
    }
    let patient = queue.enqueue(&FAILING, json!(failing::Args::After { seconds: 2 })).await;
    let attempts = eventually("a second try", || async {
        Some(queue.attempts(patient).await).filter(|attempts| attempts.len() > 1)
    })
    .await;
    assert!(attempts[1].started_at - attempts[0].started_at >= TimeDelta::seconds(2), "{attempts:?}");
    assert_eq!(wakeups::redis_command::<u32>(&queue, "EXISTS", "dead", &[]).await, 0, "apalis was told of no failure");
}

/// A delay of apalis may end a second early.
#[tokio::test]
async fn no_job_runs_before_its_time() {
    let queue = TestQueue::start().await;
    let _worker = queue.start_worker(&[]);
    let job = NewJob { delay: Duration::from_secs(2), ..kinds::job(&NO_OP, json!({})) };
    let job_id = enqueue_job(&queue.pool, &queue.redis, &job).await.expect("the jobs table takes it").job_id;
    eventually("the job to run", || async {
        send_wakeup(&queue, job_id, 1).await;
        (queue.finished().await == 1).then_some(())
    })
    .await;
    let early = "SELECT count(*) FROM jobs WHERE started_at < created_at + interval '2 seconds'";
    assert_eq!(queue.number(early).await, 0, "it was rung for all the while");
}

/// apalis-cron forgets what it missed while it was down, and skips what comes while nobody is free to run it.
#[tokio::test]
async fn ticks_that_nobody_was_there_for_are_made_up_for() {
    let queue = TestQueue::start().await;
    let mut scheduler = queue.start_process(&["scheduler"], &[]);
    scheduler_ticks::wait_for_ticks(&queue, 2).await;
    scheduler.program.kill();
    let last = "SELECT EXTRACT(EPOCH FROM now() - max(tick_at))::bigint FROM schedule_ticks";
    eventually("three ticks to be missed", || async { (queue.number(last).await > 3).then_some(()) }).await;
    let before = scheduler_ticks::count_ticks(&queue).await;
    let mut scheduler = queue.start_process(&["scheduler"], &[]);
    eventually("all entries to tick again", || async {
        (scheduler_ticks::count_ticks(&queue).await.ticks >= before.ticks + 5 * ENTRIES).then_some(())
    })
    .await;
    scheduler.program.signal(Signal::SIGTERM);
    scheduler.program.wait_for_exit(Duration::from_secs(20)).await;
    scheduler_ticks::count_ticks(&queue).await.assert_each_ticked_once();
    assert_eq!(queue.finished().await, 0, "nobody was free to run any of them");
}
