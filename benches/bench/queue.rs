//! The latency and throughput of the queue.

use std::time::Duration;

use chrono::{DateTime, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::jobs::find_summary;
use psp_dashboard::domain::job::JobId;
use psp_test_jobs::kinds::NO_OP;
use serde_json::json;

use crate::baseline;
use crate::harness::test_queue::TestQueue;
use crate::report::{self, Durations, Target};

/// How many finished jobs are measured.
const COUNTED: i64 = 20_000;
const QUIET: &[(&str, &str)] = &[("LOG_LEVEL", "warn")];

/// Measures the time from the call that enqueues a job to the first line of its handler, on an idle queue.
pub(crate) async fn measure_latency() {
    let queue = TestQueue::start().await;
    let worker = queue.start_worker(&[]);
    worker.worker_name().await;
    let mut delays = vec![];
    for _ in 0..500 {
        let requested_at = SystemClock.now();
        let job_id = queue.enqueue(&NO_OP, json!({})).await;
        let ran_at = wait_for_run(&queue, job_id).await;
        delays.push((ran_at - requested_at).to_std().expect("it runs after it was enqueued"));
    }
    let delays = Durations::new(delays);
    report::heading("from enqueueing to the first line of the handler, idle, one worker, 500 jobs one after another");
    report::print("p50", delays.percentile_ms(50), "ms", Target::AtMost(5.0));
    report::print("p99", delays.percentile_ms(99), "ms", Target::AtMost(25.0));
    report::print("max", delays.percentile_ms(100), "ms", Target::None);
}

/// Returns when the job ran.
pub(crate) async fn wait_for_run(queue: &TestQueue, job_id: JobId) -> DateTime<Utc> {
    loop {
        let summary =
            find_summary(&queue.pool, job_id).await.expect("the jobs table responds").expect("the job exists");
        if let Some(result) = summary.result {
            return result["ran_at"].as_str().expect("a no-op returns when it ran").parse().expect("a time");
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Measures no-op jobs per second until the jobs table has recorded their success, compared with apalis-redis alone.
pub(crate) async fn measure_throughput() {
    report::heading("no-op jobs per second, enqueued before the workers start, production settings");
    let apalis_alone = baseline::jobs_per_second().await;
    for (workers, enqueued, backlog) in [
        (1, 20_000, "20,000 waiting"),
        (2, 20_000, "20,000 waiting"),
        (4, 20_000, "20,000 waiting"),
        (4, 100_000, "100,000 waiting"),
    ] {
        let durable = jobs_per_second(workers, enqueued).await;
        let name = format!("durable, {backlog}, the first 20,000 by {workers} workers");
        report::print(&name, durable, "/s", Target::AtLeast(1_500.0));
        report::print(&format!("{name}: ratio to apalis-redis alone"), durable / apalis_alone, "", Target::None);
    }
    report::print("apalis-redis alone, 20,000 pushed 4,000 at a time", apalis_alone, "/s", Target::None);
}

async fn jobs_per_second(workers: usize, enqueued: usize) -> f64 {
    let queue = TestQueue::start().await;
    queue.enqueue_many(enqueued, &NO_OP, json!({})).await;
    let _workers: Vec<_> = (0..workers).map(|_| queue.start_worker(QUIET)).collect();
    queue.wait_until_finished(COUNTED).await;
    // By the times in the jobs table, until the last of the counted jobs finished.
    let micros = sqlx::query_scalar!(
        r#"SELECT (EXTRACT(EPOCH FROM max(ended.finished_at) - (SELECT min(started_at) FROM jobs)) * 1e6)::bigint AS "micros!"
             FROM (SELECT finished_at FROM jobs WHERE state = 'succeeded' ORDER BY finished_at LIMIT $1) AS ended"#,
        COUNTED
    );
    let micros = micros.fetch_one(&queue.pool).await.expect("the jobs table responds");
    report::per_second(COUNTED, Duration::from_micros(micros.unsigned_abs()))
}
