//! What 200,000 jobs leave behind: nothing in Redis, nothing in the workers' memory.

use std::time::Instant;

use futures_util::{StreamExt, stream};
use psp_test_jobs::kinds::NO_OP;
use redis::aio::ConnectionManager;
use serde_json::json;

use crate::figure::{self, Target};
use crate::harness::programs::Memory;
use crate::harness::test_queue::{Process, TestQueue};

const JOBS: usize = 200_000;
/// After so many a worker has allocated what it needs.
const WARM_UP: usize = 10_000;

/// Measures and prints.
pub(crate) async fn measure() {
    let queue = TestQueue::start().await;
    let workers = [queue.start_worker(&[("LOG_LEVEL", "warn")]), queue.start_worker(&[("LOG_LEVEL", "warn")])];
    let mut redis = queue.redis.connection();
    enqueue(&queue, WARM_UP).await;
    queue.wait_until_idle().await;
    let (resident, used) = (resident(&workers), rest(&mut redis).await);
    let began = Instant::now();
    enqueue(&queue, JOBS).await;
    queue.wait_until_idle().await;
    let took = began.elapsed();
    let (resident_after, used_after) = (self::resident(&workers), rest(&mut redis).await);
    println!("{JOBS} no-op jobs through Redis and 2 workers, after {WARM_UP} to warm up:");
    let grown = |before: f64, after: f64| 100.0 * (after - before) / before;
    figure::print("growth of Redis' memory", grown(used, used_after), "%", Target::AtMost(5.0));
    figure::print("to", used_after / 1024.0, "KiB", Target::None);
    println!("    left in it: {}", keys(&mut redis).await);
    for (before, after) in resident.iter().zip(resident_after) {
        figure::print("growth of a worker's resident memory", grown(*before, after), "%", Target::AtMost(10.0));
        figure::print("to", after, "MB", Target::None);
    }
    let unfinished = queue.number("SELECT count(*) FROM jobs WHERE state <> 'succeeded'").await;
    figure::print("jobs that did not succeed", figure::count(unfinished), "", Target::AtMost(0.0));
    figure::print("it took", took.as_secs_f64(), "s", Target::None);
}

/// Enqueues jobs as any process does, a row and a bell each, eight at a time.
async fn enqueue(queue: &TestQueue, jobs: usize) {
    let enqueued = stream::iter(0..jobs).map(|_| queue.enqueue(&NO_OP, json!({}))).buffer_unordered(8);
    enqueued.for_each(|_| async {}).await;
}

fn resident(workers: &[Process; 2]) -> [f64; 2] {
    [&workers[0], &workers[1]].map(|worker| worker.program.memory_mib(Memory::Resident))
}

/// What Redis uses once the bells that were answered are swept: when a while brings it no further down.
async fn rest(redis: &mut ConnectionManager) -> f64 {
    let mut least = used(redis).await;
    let mut looks = 0;
    while looks < 40 {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let now = used(redis).await;
        looks = if now < least * 0.99 { 0 } else { looks + 1 };
        least = least.min(now);
    }
    least
}

async fn used(redis: &mut ConnectionManager) -> f64 {
    let info: String = redis::cmd("INFO").arg("memory").query_async(redis).await.expect("Redis answers");
    let bytes = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("Redis says what it uses");
    bytes.trim().parse().expect("a number of bytes")
}

/// What Redis holds, each key with its size.
async fn keys(redis: &mut ConnectionManager) -> String {
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(redis).await.expect("Redis answers");
    keys.sort();
    let mut sizes = vec![];
    for key in keys {
        let size: Option<u64> =
            redis::cmd("MEMORY").arg("USAGE").arg(&key).query_async(redis).await.expect("an answer");
        sizes.push(format!(
            "{} {} B",
            key.rsplit_once("queue:").map_or(key.as_str(), |(_, name)| name),
            size.unwrap_or(0)
        ));
    }
    sizes.join(", ")
}
