//! How soon a job starts, and how many a second are done for good.

use std::time::Duration;

use chrono::{DateTime, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::jobs::find_summary;
use psp_dashboard::domain::job::JobId;
use psp_test_jobs::kinds::NO_OP;
use serde_json::json;

use crate::baseline;
use crate::figure::{self, Target, Waits};
use crate::harness::test_queue::TestQueue;

/// How many jobs are counted, of those that wait.
const COUNTED: i64 = 20_000;
const QUIET: &[(&str, &str)] = &[("LOG_LEVEL", "warn")];

/// From the call that enqueues a job until the first line of its handler, with nothing else to do.
pub(crate) async fn measure_latency() {
    let queue = TestQueue::start().await;
    let worker = queue.start_worker(&[]);
    worker.worker_name().await;
    let mut waits = vec![];
    for _ in 0..500 {
        let asked = SystemClock.now();
        let job_id = queue.enqueue(&NO_OP, json!({})).await;
        let ran_at = wait_for_run(&queue, job_id).await;
        waits.push((ran_at - asked).to_std().expect("it runs after it was asked for"));
    }
    let waits = Waits::of(waits);
    println!("from enqueueing to the first line of the handler, idle, one worker, 500 jobs one after another:");
    figure::print("p50", waits.percentile(50) * 1000.0, "ms", Target::AtMost(5.0));
    figure::print("p99", waits.percentile(99) * 1000.0, "ms", Target::AtMost(25.0));
    figure::print("max", waits.percentile(100) * 1000.0, "ms", Target::None);
}

async fn wait_for_run(queue: &TestQueue, job_id: JobId) -> DateTime<Utc> {
    loop {
        let glance =
            find_summary(&queue.pool, job_id).await.expect("the jobs table answers").expect("the job is there");
        if let Some(result) = glance.result {
            return result["ran_at"].as_str().expect("a no-op says when it ran").parse().expect("a time");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Jobs that do nothing, counted when the jobs table says that they succeeded, beside the same of apalis-redis alone.
pub(crate) async fn measure_throughput() {
    println!("no-op jobs a second, enqueued before the workers start, which have the settings of production:");
    let bare = baseline::jobs_a_second().await;
    for (workers, enqueued, backlog) in [
        (1, 20_000, "20,000 waiting"),
        (2, 20_000, "20,000 waiting"),
        (4, 20_000, "20,000 waiting"),
        (4, 100_000, "100,000 waiting"),
    ] {
        let durable = jobs_a_second(workers, enqueued).await;
        let what = format!("durable, {backlog}, the first 20,000 by {workers} workers");
        figure::print(&what, durable, "/s", Target::AtLeast(1_500.0));
        figure::print("its ratio to apalis-redis alone", durable / bare, "", Target::None);
    }
    figure::print("apalis-redis alone, 20,000 pushed 4,000 at a time", bare, "/s", Target::None);
}

async fn jobs_a_second(workers: usize, enqueued: usize) -> f64 {
    let queue = TestQueue::start().await;
    queue.enqueue_many(enqueued, &NO_OP, json!({})).await;
    let _workers: Vec<_> = (0..workers).map(|_| queue.start_worker(QUIET)).collect();
    queue.wait_until_finished(COUNTED).await;
    // By the jobs table's own times: until the end of the last of those that were to be counted.
    let micros = sqlx::query_scalar!(
        r#"SELECT (EXTRACT(EPOCH FROM max(ended.finished_at) - (SELECT min(started_at) FROM jobs)) * 1e6)::bigint AS "micros!"
             FROM (SELECT finished_at FROM jobs WHERE state = 'succeeded' ORDER BY finished_at LIMIT $1) AS ended"#,
        COUNTED
    );
    let micros = micros.fetch_one(&queue.pool).await.expect("the jobs table answers");
    figure::rate(COUNTED, Duration::from_micros(micros.unsigned_abs()))
}
