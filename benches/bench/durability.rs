//! Jobs while processes are killed and suspended and Redis is flushed.
//!
//! Longer runs of what the tests do, with production settings if a measurement depends on them.

use std::time::{Duration, Instant};

use psp_test_jobs::counting::{self, Pause};
use psp_test_jobs::kinds::{COUNTING, SLEEPING};
use psp_test_jobs::schedule::ENTRIES;
use psp_test_jobs::sleeping;
use serde_json::json;

use crate::harness::scheduler_ticks::kill_schedulers;
use crate::harness::suspended_worker::suspend_worker_for_three_leases;
use crate::harness::test_queue::{JobTotals, TestQueue};
use crate::harness::worker_group::{KilledWorker, WorkerGroup};
use crate::report::{self, Durations, Target};

/// The production settings.
const DEFAULT_RESCUE: &[(&str, &str)] = &[("JOB_RESCUE_SECONDS", "15"), ("LOG_LEVEL", "info,sqlx=warn")];
/// The settings of the tests.
const SHORT_RESCUE: &[(&str, &str)] = &[("JOB_RESCUE_SECONDS", "3")];

/// 200 SIGKILLs of random workers over 10,000 jobs.
pub(crate) async fn measure_kills() {
    let (jobs, kills) = (10_000, 200);
    let queue = TestQueue::start().await;
    let started = Instant::now();
    let mut workers = WorkerGroup::start(&queue, 4, DEFAULT_RESCUE).await;
    workers.kill_while_counting(kills, jobs, counting::args(0, 200, Pause::BeforeWriting)).await;
    queue.wait_until_idle().await;
    let totals = queue.totals().await;
    report::heading(&format!("{kills} SIGKILLs of random workers of 4, {} jobs, rescue after 15 s", totals.jobs));
    print_totals(totals);
    let in_flight = report::count(i64::try_from(workers.in_flight).unwrap_or(i64::MAX));
    report::print("repeated attempts", report::count(totals.repeated_attempts), "", Target::AtMost(in_flight));
    println!("    {}", queue.outcomes().await);
    let charged = queue.number("SELECT count(*) FROM jobs WHERE attempt > 1").await;
    report::print("jobs charged with an attempt for a death", report::count(charged), "", Target::AtMost(0.0));
    report::print("duration", started.elapsed().as_secs_f64(), "s", Target::None);
}

/// Jobs that did not succeed or had no effect.
fn lost_jobs(totals: JobTotals) -> i64 {
    totals.jobs - totals.with_effect.min(totals.succeeded)
}

fn print_totals(totals: JobTotals) {
    report::print("jobs lost", report::count(lost_jobs(totals)), "", Target::AtMost(0.0));
    report::print("duplicate effects", report::count(totals.duplicate_effects), "", Target::AtMost(0.0));
}

/// Measures the time from the SIGKILL of a worker until its jobs run again.
pub(crate) async fn measure_rescue() {
    for (settings, p99, max) in [(DEFAULT_RESCUE, 20.0, 30.0), (SHORT_RESCUE, 5.0, 5.0)] {
        let queue = TestQueue::start().await;
        let jobs = json!(sleeping::Args { seconds: 600.0, in_server: false });
        let mut workers = WorkerGroup::start(&queue, 4, settings).await;
        queue.enqueue_many(32, &SLEEPING, jobs).await;
        let mut killed = vec![];
        while killed.iter().map(|worker: &KilledWorker| worker.jobs.len()).sum::<usize>() < 24 {
            killed.push(workers.kill_one().await);
        }
        // Each lost job finishes at once, so that it does not delay the others.
        let end = r#"UPDATE jobs SET args = '{"seconds": 0}'"#;
        sqlx::Executor::execute(&queue.pool, end).await.expect("the jobs table responds");
        let delays = Durations::new(delays_until_running_again(&queue, &killed).await);
        report::heading(&format!("rescue after {} s, {} workers killed", settings[0].1, killed.len()));
        report::print("p50", delays.percentile(50), "s", Target::None);
        report::print("p99", delays.percentile(99), "s", Target::AtMost(p99));
        report::print("max", delays.percentile(100), "s", Target::AtMost(max));
    }
}

async fn delays_until_running_again(queue: &TestQueue, killed: &[KilledWorker]) -> Vec<Duration> {
    let mut delays = vec![];
    for worker in killed {
        for job_id in &worker.jobs {
            let started_at = queue.next_attempt(*job_id, worker.at).await;
            delays.push((started_at - worker.at).to_std().expect("it started after the kill"));
        }
    }
    delays
}

/// Measures what a worker writes after SIGSTOP for three leases and SIGCONT.
pub(crate) async fn measure_suspended() {
    for pause in [Pause::BeforeWriting, Pause::BeforeTheCheck, Pause::BeforeTheCommit] {
        let queue = TestQueue::start().await;
        suspend_worker_for_three_leases(&queue, pause).await;
        let totals = queue.totals().await;
        report::heading(&format!("SIGSTOP of a worker with 4 running jobs for three leases, then SIGCONT: {pause:?}"));
        report::print("duplicate effects", report::count(totals.duplicate_effects), "", Target::AtMost(0.0));
        report::print("jobs lost", report::count(lost_jobs(totals)), "", Target::AtMost(0.0));
    }
}

/// Counts ticks and jobs while two schedulers are killed and replaced.
pub(crate) async fn measure_schedulers() {
    let (ticks, kills) = (50, 20);
    let totals = kill_schedulers(&TestQueue::start().await, 2, kills, ticks).await;
    report::heading(&format!("two schedulers, {ENTRIES} entries that tick every second, {kills} SIGKILLs"));
    let expected = report::count(ticks * ENTRIES);
    report::print("recorded ticks", report::count(totals.ticks), "", Target::AtLeast(expected));
    report::print("missing ticks", report::count(totals.missing), "", Target::AtMost(0.0));
    report::print("jobs beyond one per tick", report::count(totals.jobs - totals.with_job), "", Target::AtMost(0.0));
}

/// Measures how long 5,000 jobs take after FLUSHALL.
pub(crate) async fn measure_flush() {
    let queue = TestQueue::start().await;
    queue.enqueue_many(5_000, &COUNTING, counting::args(0, 20, Pause::BeforeWriting)).await;
    let _workers = WorkerGroup::start(&queue, 2, SHORT_RESCUE).await;
    queue.wait_until_finished(2_500).await;
    let flushed = Instant::now();
    redis::cmd("FLUSHALL").exec_async(&mut queue.redis.connection()).await.expect("Redis responds");
    queue.wait_until_idle().await;
    let elapsed = flushed.elapsed().as_secs_f64();
    report::heading("FLUSHALL while 5,000 jobs run on 2 workers");
    print_totals(queue.totals().await);
    report::print("until all were finished", elapsed, "s", Target::AtMost(60.0));
}
