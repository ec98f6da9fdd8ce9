//! Every kind of Redis outage: due jobs run anyway, once, and everything recovers without intervention.

use std::time::Duration;

use apalis_core::backend::TaskSink;
use futures_util::future::join_all;
use nix::sys::signal::Signal;
use psp_test_jobs::counting::{self, Pause};
use psp_test_jobs::kinds::{COUNTING, NO_OP};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::health::wait_for_health;
use crate::harness::private_servers::PrivateRedis;
use crate::harness::servers::Servers;
use crate::harness::socket::Socket;
use crate::harness::test_queue::TestQueue;
use crate::harness::test_system::{OPERATOR, TestSystem, VIEWER, Web};
use crate::harness::wakeups;
use crate::harness::wakeups::QUEUE;
use crate::harness::{eventually, is_long, outage};

/// The length of an outage in short runs: longer than every timeout of Redis.
const AWAY: Duration = Duration::from_secs(3);

async fn beside_a_redis() -> (PrivateRedis, TestQueue) {
    let redis = PrivateRedis::start().await;
    let queue = TestQueue::start_on(Servers::with_redis(&redis).await).await;
    (redis, queue)
}

/// Enqueues jobs at once, with a wake-up for each if Redis is available.
async fn enqueue(queue: &TestQueue, count: usize) {
    let args = counting::args(0, 20, Pause::BeforeTheCheck);
    join_all((0..count).map(|_| queue.enqueue(&COUNTING, args.clone()))).await;
}

async fn assert_each_done_at_once(queue: &TestQueue) {
    queue.wait_until_idle().await;
    queue.totals().await.assert_each_succeeded_once();
    assert_eq!(queue.number("SELECT count(*) FROM jobs WHERE attempt > 1").await, 0, "Redis is no reason to try twice");
}

/// Waits until this many workers listen for wake-ups again.
async fn wait_for_listeners(queue: &TestQueue, workers: usize) {
    eventually("the workers to listen for wake-ups", || async {
        (wakeups::registered_workers(queue).await.len() >= workers).then_some(())
    })
    .await;
}

#[tokio::test]
async fn flushed_redis_loses_and_duplicates_no_job() {
    let jobs = if is_long() { 5_000 } else { 600 };
    let (redis, queue) = beside_a_redis().await;
    let _workers = [queue.start_worker(&[]), queue.start_worker(&[])];
    queue.enqueue_many(jobs, &COUNTING, counting::args(0, 20, Pause::BeforeTheCheck)).await;
    for share in 1..=3 {
        enqueue(&queue, 20).await;
        queue.wait_until_finished(i64::try_from(jobs).expect("a few") * share / 4).await;
        let () = redis.command("FLUSHALL").await;
    }
    assert_each_done_at_once(&queue).await;
    wait_for_listeners(&queue, 2).await;
}

#[tokio::test]
async fn stopped_or_killed_redis_loses_and_duplicates_no_job() {
    let (mut redis, queue) = beside_a_redis().await;
    let _workers = [queue.start_worker(&[]), queue.start_worker(&[])];
    wait_for_listeners(&queue, 2).await;
    let ways: [fn(&mut PrivateRedis); 2] = [PrivateRedis::stop, PrivateRedis::kill];
    for lose in ways {
        queue.enqueue_many(100, &COUNTING, counting::args(0, 20, Pause::BeforeTheCheck)).await;
        lose(&mut redis);
        enqueue(&queue, 20).await;
        // All while no wake-up can be received.
        assert_each_done_at_once(&queue).await;
        redis.restart().await;
        enqueue(&queue, 20).await;
        assert_each_done_at_once(&queue).await;
        wait_for_listeners(&queue, 2).await;
    }
}

#[tokio::test]
async fn worker_killed_during_redis_outage_loses_and_duplicates_no_job() {
    let (mut redis, queue) = beside_a_redis().await;
    let mut dead = queue.start_worker(&[]);
    let _heir = queue.start_worker(&[]);
    let name = dead.worker_name().await;
    wait_for_listeners(&queue, 2).await;
    redis.stop();
    queue.enqueue_many(60, &COUNTING, counting::args(500, 1_000, Pause::BeforeWriting)).await;
    eventually("the worker to be at a job", || async { (!queue.leased_to(&name).await.is_empty()).then_some(()) })
        .await;
    dead.program.kill();
    assert_each_done_at_once(&queue).await;
    let lost = queue.number("SELECT count(*) FROM job_attempts WHERE outcome = 'lost'").await;
    assert!(lost > 0, "it was at work");
}

#[tokio::test]
async fn slow_redis_delays_no_job_and_duplicates_none() {
    let (redis, queue) = beside_a_redis().await;
    let _workers = [queue.start_worker(&[]), queue.start_worker(&[])];
    wait_for_listeners(&queue, 2).await;
    // Once, so that Redis has the script cached.
    enqueue(&queue, 1).await;
    let () = redis.command("CONFIG RESETSTAT").await;
    redis.freeze();
    enqueue(&queue, 20).await;
    let push = async { queue.redis.wakeups(QUEUE).push(Value::Null).await };
    let pushed = tokio::time::timeout(Duration::from_secs(1), push).await;
    assert!(pushed.is_err(), "no response: {pushed:?}");
    assert_each_done_at_once(&queue).await;
    outage(AWAY).await;
    enqueue(&queue, 20).await;
    redis.unfreeze();
    eventually("the push to be applied all the same", || async {
        let stats: String = redis.command("INFO commandstats").await;
        stats.contains("cmdstat_hsetnx").then_some(())
    })
    .await;
    enqueue(&queue, 20).await;
    assert_each_done_at_once(&queue).await;
    wait_for_listeners(&queue, 2).await;
}

#[tokio::test]
async fn web_process_serves_during_redis_outage() {
    let mut redis = PrivateRedis::start().await;
    let system = TestSystem::start_on(Servers::with_redis(&redis).await, &[]).await;
    let web = system.start_web().await;
    let mut socket = Socket::connect_with_key(&web.socket(), VIEWER).await;
    socket.receive("connected").await;
    let _worker = system.start_jobs(&["worker"]);
    let _scheduler = system.start_jobs(&["scheduler"]);
    wait_for_health(&web, 200, "healthy").await;
    redis.stop();
    let health = wait_for_health(&web, 200, "degraded").await;
    assert_eq!(health["services"], json!({"database": "ok", "redis": "down"}), "{health}");
    trigger(&web, "payshack").await;
    wait_for_end(&mut socket, "payshack").await;
    for away in [true, false] {
        if away {
            outage(AWAY).await;
        } else {
            redis.restart().await;
            wait_for_health(&web, 200, "healthy").await;
        }
        trigger(&web, "vima").await;
        wait_for_end(&mut socket, "vima").await;
    }
    assert_eq!(system.number("SELECT max(attempt)::bigint FROM jobs").await, 1, "an outage costs no attempt");
    system.wait_until_idle().await;
    let ids: Vec<i64> = socket.received.iter().map(|message| message["id"].as_i64().expect("an id")).collect();
    assert!(ids.is_sorted(), "ids never go back: {ids:?}");
    crate::harness::consistency::assert_matches_sandbox(&system).await;
}

async fn trigger(web: &Web, source: &str) {
    let body = json!({"source": source, "force": true}).to_string();
    let triggered = web.request(Method::POST, "/api/v1/sync/trigger", Some(OPERATOR), Some(&body)).await;
    assert_eq!(triggered.expect("the web process responds").status, 202);
}

async fn wait_for_end(socket: &mut Socket, source: &str) {
    let of_it = |message: &Value| message["type"] == "sync_completed" && message["source"] == source;
    socket.receive_where("the end of the sync", of_it).await;
}

/// After the load Redis has no more keys than before, although workers were killed and stopped.
#[tokio::test]
async fn redis_keeps_no_finished_wakeups() {
    let jobs = if is_long() { 20_000 } else { 1_500 };
    let (redis, queue) = beside_a_redis().await;
    let _worker = queue.start_worker(&[]);
    let mut others = [queue.start_worker(&[]), queue.start_worker(&[])];
    wait_for_listeners(&queue, 3).await;
    queue.enqueue(&NO_OP, json!({})).await;
    let (memory, keys) = wait_for_silence(&redis, &queue).await;

    for _ in 0..jobs / 50 {
        join_all((0..50).map(|_| queue.enqueue(&NO_OP, json!({})))).await;
    }
    let pushes = redis.info("commandstats", "cmdstat_hsetnx").await;
    assert!(pushes > 100, "the load must be felt: {pushes} wake-ups");
    let [killed, stopped] = &mut others;
    killed.program.kill();
    stopped.program.signal(Signal::SIGTERM);
    stopped.program.wait_for_exit(Duration::from_secs(20)).await;
    queue.wait_until_idle().await;

    let names = wakeups::registered_workers(&queue).await;
    assert!(names.len() >= 3, "apalis itself forgets no worker: {names:?}");
    wakeups::expire_heartbeats(&queue, &names).await;
    eventually("Redis to keep what it kept before", || async {
        let (now, keys_now) = wait_for_silence(&redis, &queue).await;
        (now <= memory + memory / 20 && keys_now <= keys).then_some(())
    })
    .await;
}

/// Waits until no wake-up is stored, and returns the remaining bytes and keys.
async fn wait_for_silence(redis: &PrivateRedis, queue: &TestQueue) -> (u64, u64) {
    eventually("every wake-up to be deleted", || async {
        (wakeups::redis_command::<u64>(queue, "HLEN", "data", &[]).await == 0).then_some(())
    })
    .await;
    (redis.info("memory", "used_memory").await, redis.command("DBSIZE").await)
}
