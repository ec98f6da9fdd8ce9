//! Redis with sentinels: a failover costs seconds and no job, however the primary is lost, and afterwards everything goes through
//! the new primary only.

mod settings;
mod whole_system;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use psp_test_jobs::counting::{self, Pause};
use psp_test_jobs::kinds::{COUNTING, NO_OP};
use serde_json::json;

use crate::harness::private_servers::PrivateRedis;
use crate::harness::sentinels::MonitoredRedis;
use crate::harness::servers::Servers;
use crate::harness::test_queue::TestQueue;
use crate::harness::wakeups::{self, QUEUE};
use crate::harness::worker_group::WorkerGroup;
use crate::harness::{eventually, is_long};

const WORKERS: usize = 2;

async fn beside_sentinels() -> (MonitoredRedis, TestQueue) {
    let redis = MonitoredRedis::start().await;
    let queue = TestQueue::start_on(Servers::with_sentinels(&redis).await).await;
    (redis, queue)
}

#[tokio::test]
async fn killed_primary_costs_seconds_and_no_job() {
    let (mut redis, queue) = beside_sentinels().await;
    let _workers = [queue.start_worker(&[]), queue.start_worker(&[])];
    wait_for_workers_at(&redis.servers[0], &queue).await;
    start_jobs(&queue).await;
    redis.servers[0].kill();
    let killed = Instant::now();
    enqueue_with_wakeups(&queue).await;
    wait_for_workers_at(&redis.servers[1], &queue).await;
    println!("killed primary: wake-ups reach all workers through the new one after {:?}", killed.elapsed());
    assert_continues_at(&redis.servers[1], &queue).await;

    redis.servers[0].restart().await;
    redis.wait_for_replica(0).await;
    assert_continues_at(&redis.servers[1], &queue).await;
}

/// For seconds the former primary accepts writes, which are lost: also that a wake-up was acknowledged.
#[tokio::test]
async fn planned_failover_costs_seconds_and_no_job() {
    let (redis, queue) = beside_sentinels().await;
    let _workers = [queue.start_worker(&[]), queue.start_worker(&[])];
    wait_for_workers_at(&redis.servers[0], &queue).await;
    let listeners = wakeups::registered_workers(&queue).await;
    start_jobs(&queue).await;
    redis.fail_over().await;
    let asked = Instant::now();
    enqueue_with_wakeups(&queue).await;
    wait_for_workers_at(&redis.servers[1], &queue).await;
    println!("planned failover: wake-ups reach all workers through the new primary after {:?}", asked.elapsed());
    wait_until_unused(&redis.servers[0]).await;
    assert_continues_at(&redis.servers[1], &queue).await;
    wakeups::expire_heartbeats(&queue, &listeners).await;
    eventually("what the former listeners had fetched to be deleted", || async {
        (wakeups::redis_command::<u64>(&queue, "HLEN", "data", &[]).await == 0).then_some(())
    })
    .await;
}

/// It neither answers nor closes connections, and takes itself for the primary when it resumes.
#[tokio::test]
async fn frozen_primary_is_left_and_not_written_to_when_it_resumes() {
    let (redis, queue) = beside_sentinels().await;
    let _workers = [queue.start_worker(&[]), queue.start_worker(&[])];
    wait_for_workers_at(&redis.servers[0], &queue).await;
    start_jobs(&queue).await;
    redis.servers[0].freeze();
    let frozen = Instant::now();
    redis.wait_for_primary(1).await;
    let promoted = Instant::now();
    wait_for_workers_at(&redis.servers[1], &queue).await;
    let (outage, switch) = (frozen.elapsed(), promoted.elapsed());
    println!("frozen primary: wake-ups through the new one after {outage:?}, {switch:?} after the promotion");
    // Less than the timeout of a command.
    assert!(switch < Duration::from_secs(8), "hanging commands were given up: {switch:?}");
    redis.servers[0].unfreeze();
    wait_until_unused(&redis.servers[0]).await;
    assert_continues_at(&redis.servers[1], &queue).await;
    redis.wait_for_replica(0).await;
    assert_continues_at(&redis.servers[1], &queue).await;
}

/// The job kill campaign, while one failover follows another.
#[tokio::test]
async fn workers_killed_during_failovers_run_each_job_once() {
    let (kills, jobs) = if is_long() { (60, 3_000) } else { (4, 240) };
    let (mut redis, queue) = beside_sentinels().await;
    let mut workers = WorkerGroup::start(&queue, 3, &[("JOB_RESCUE_SECONDS", "6")]).await;
    tokio::select! {
        () = workers.kill_while_counting(kills, jobs, counting::args(0, 150, Pause::BeforeWriting)) => {}
        never = redis.fail_over_again_and_again() => match never {},
    }
    queue.wait_until_idle().await;
    let totals = queue.totals().await;
    totals.assert_each_succeeded_once();
    let in_flight = i64::try_from(workers.in_flight).expect("a small number");
    let outcomes = queue.outcomes().await;
    assert!(totals.repeated_attempts <= in_flight, "{totals:?}, {in_flight} in flight at the kills: {outcomes}");
    assert_eq!(queue.number("SELECT count(*) FROM jobs WHERE attempt > 1").await, 0, "no attempt was used up");
}

/// Enough jobs to last for the failover.
async fn start_jobs(queue: &TestQueue) {
    queue.enqueue_many(200, &COUNTING, counting::args(100, 400, Pause::BeforeTheCheck)).await;
}

/// Enqueues jobs at once, with a wake-up for each if Redis is available.
async fn enqueue_with_wakeups(queue: &TestQueue) {
    let args = counting::args(0, 20, Pause::BeforeTheCheck);
    join_all((0..20).map(|_| queue.enqueue(&COUNTING, args.clone()))).await;
}

/// Waits until all workers are subscribed to wake-ups at this server.
async fn wait_for_workers_at(server: &PrivateRedis, queue: &TestQueue) {
    let publish = format!("PUBLISH {} 1", queue.redis.wakeup_channel(QUEUE));
    eventually("the workers to be subscribed to wake-ups", || async {
        (server.command::<usize>(&publish).await >= WORKERS).then_some(())
    })
    .await;
}

/// Asserts that every job was run once, and that wake-ups are sent through `primary`, and are fetched and heard there.
async fn assert_continues_at(primary: &PrivateRedis, queue: &TestQueue) {
    queue.wait_until_idle().await;
    let woken = "SELECT count(*) FROM jobs WHERE started_at - created_at < interval '500 milliseconds'";
    let before = queue.number(woken).await;
    let () = primary.command("CONFIG RESETSTAT").await;
    for _ in 0..10 {
        queue.enqueue(&NO_OP, json!({})).await;
        queue.wait_until_idle().await;
    }
    let woken = queue.number(woken).await - before;
    assert!(woken > 5, "{woken} of 10 started within half a second; polling alone takes up to a second each");
    assert!(primary.info("commandstats", "cmdstat_hsetnx").await > 0, "wake-ups were sent through the primary");
    let stored = format!("HLEN {}:queue:{QUEUE}:data", queue.servers.namespace);
    eventually("the wake-ups to be fetched", || async { (primary.command::<u64>(&stored).await == 0).then_some(()) })
        .await;
    let succeeded = queue.number("SELECT count(*) FROM jobs WHERE state = 'succeeded' AND attempt = 1").await;
    assert_eq!(succeeded, queue.number("SELECT count(*) FROM jobs").await, "a failover uses up no attempt");
    let effects = queue.totals().await;
    assert_eq!((effects.duplicate_effects, effects.repeated_attempts), (0, 0), "{effects:?}");
}

/// Waits until only sentinels, the other server and this test are connected.
async fn wait_until_unused(server: &PrivateRedis) {
    eventually("every process to have left the former primary", || async {
        let clients: String = server.command("CLIENT LIST").await;
        let is_ours = |client: &&str| {
            let is_sentinel = client.contains(" name=sentinel-");
            let is_server = client.contains(" flags=M") || client.contains(" flags=S");
            !is_sentinel && !is_server && !client.contains(" cmd=client")
        };
        (!clients.lines().any(|client| is_ours(&client))).then_some(())
    })
    .await;
}
