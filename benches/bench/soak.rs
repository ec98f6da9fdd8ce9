//! The memory of Redis and of the workers after 200,000 jobs.

use std::time::Instant;

use futures_util::{StreamExt, stream};
use psp_dashboard::redis::reconnecting::RedisConnection;
use psp_test_jobs::kinds::NO_OP;
use serde_json::json;

use crate::harness::programs::Memory;
use crate::harness::test_queue::{Process, TestQueue};
use crate::report::{self, Target};

const JOBS: usize = 200_000;
/// After this many jobs a worker has allocated what it needs.
const WARM_UP: usize = 10_000;

pub(crate) async fn measure() {
    let queue = TestQueue::start().await;
    let workers = [queue.start_worker(&[("LOG_LEVEL", "warn")]), queue.start_worker(&[("LOG_LEVEL", "warn")])];
    let mut redis = queue.redis.connection();
    enqueue(&queue, WARM_UP).await;
    queue.wait_until_idle().await;
    let (resident, used) = (resident(&workers), settled_memory(&mut redis).await);
    let started = Instant::now();
    enqueue(&queue, JOBS).await;
    queue.wait_until_idle().await;
    let elapsed = started.elapsed();
    let (resident_after, used_after) = (self::resident(&workers), settled_memory(&mut redis).await);
    report::heading(&format!("{JOBS} no-op jobs through Redis and 2 workers, after {WARM_UP} for warm-up"));
    let grown = |before: f64, after: f64| 100.0 * (after - before) / before;
    report::print("growth of Redis memory", grown(used, used_after), "%", Target::AtMost(5.0));
    report::print("Redis memory then", used_after / 1024.0, "KiB", Target::None);
    println!("    remaining keys: {}", keys(&mut redis).await);
    for (worker, (before, after)) in resident.iter().zip(resident_after).enumerate() {
        report::print(
            &format!("growth of memory, worker {}", worker + 1),
            grown(*before, after),
            "%",
            Target::AtMost(10.0),
        );
        report::print("its memory then", after, "MB", Target::None);
    }
    let unfinished = queue.number("SELECT count(*) FROM jobs WHERE state <> 'succeeded'").await;
    report::print("jobs that did not succeed", report::count(unfinished), "", Target::AtMost(0.0));
    report::print("duration", elapsed.as_secs_f64(), "s", Target::None);
}

/// Enqueues jobs normally, with a row and a wake-up each, eight at a time.
async fn enqueue(queue: &TestQueue, jobs: usize) {
    let enqueued = stream::iter(0..jobs).map(|_| queue.enqueue(&NO_OP, json!({}))).buffer_unordered(8);
    enqueued.for_each(|_| async {}).await;
}

fn resident(workers: &[Process; 2]) -> [f64; 2] {
    [&workers[0], &workers[1]].map(|worker| worker.program.memory_mib(Memory::Resident))
}

/// The memory of Redis after acknowledged wake-ups were removed: when it has not shrunk for 20 s.
async fn settled_memory(redis: &mut RedisConnection) -> f64 {
    let mut least = used_memory(redis).await;
    let mut unchanged_polls = 0;
    while unchanged_polls < 40 {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let now = used_memory(redis).await;
        unchanged_polls = if now < least * 0.99 { 0 } else { unchanged_polls + 1 };
        least = least.min(now);
    }
    least
}

async fn used_memory(redis: &mut RedisConnection) -> f64 {
    let info: String = redis::cmd("INFO").arg("memory").query_async(redis).await.expect("Redis responds");
    let bytes = info.lines().find_map(|line| line.strip_prefix("used_memory:")).expect("INFO has used_memory");
    bytes.trim().parse().expect("a number of bytes")
}

/// The keys in Redis with their sizes.
async fn keys(redis: &mut RedisConnection) -> String {
    let mut keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(redis).await.expect("Redis responds");
    keys.sort();
    let mut sizes = vec![];
    for key in keys {
        let size: Option<u64> =
            redis::cmd("MEMORY").arg("USAGE").arg(&key).query_async(redis).await.expect("a response");
        sizes.push(format!(
            "{} {} B",
            key.rsplit_once("queue:").map_or(key.as_str(), |(_, name)| name),
            size.unwrap_or(0)
        ));
    }
    sizes.join(", ")
}
