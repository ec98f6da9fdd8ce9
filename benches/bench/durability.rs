//! What is left of the promises when processes are killed and stopped and Redis is emptied.
//!
//! The same campaigns as the tests', longer, and with the settings of production where a figure depends on them.

use std::time::{Duration, Instant};

use psp_test_jobs::counting::{self, Pause};
use psp_test_jobs::kinds::{COUNTING, SLEEPING};
use psp_test_jobs::schedule::ENTRIES;
use psp_test_jobs::sleeping;
use serde_json::json;

use crate::figure::{self, Target, Waits};
use crate::harness::scheduler_ticks::kill_schedulers;
use crate::harness::suspended_worker::suspend_worker_for_three_leases;
use crate::harness::test_queue::{JobTotals, TestQueue};
use crate::harness::worker_group::{KilledWorker, WorkerGroup};

/// What production has.
const DEFAULT_RESCUE: &[(&str, &str)] = &[("JOB_RESCUE_SECONDS", "15"), ("LOG_LEVEL", "info,sqlx=warn")];
/// What tests have.
const SHORT_RESCUE: &[(&str, &str)] = &[("JOB_RESCUE_SECONDS", "3")];

/// 200 SIGKILLs of random workers over 10,000 jobs.
pub(crate) async fn measure_kills() {
    let (jobs, kills) = (10_000, 200);
    let queue = TestQueue::start().await;
    let began = Instant::now();
    let mut workers = WorkerGroup::start(&queue, 4, DEFAULT_RESCUE).await;
    workers.kill_while_counting(kills, jobs, counting::args(0, 200, Pause::BeforeWriting)).await;
    queue.wait_until_idle().await;
    let books = queue.totals().await;
    println!("{kills} SIGKILLs of random workers of 4, {} jobs that count, rescue after 15 s:", books.jobs);
    print_totals(books);
    let in_flight = figure::count(i64::try_from(workers.in_flight).unwrap_or(i64::MAX));
    figure::print("attempts repeated", figure::count(books.repeated_attempts), "", Target::AtMost(in_flight));
    println!("    {}", queue.outcomes().await);
    let spent = queue.number("SELECT count(*) FROM jobs WHERE attempt > 1").await;
    figure::print("jobs that a death cost an attempt", figure::count(spent), "", Target::AtMost(0.0));
    figure::print("it took", began.elapsed().as_secs_f64(), "s", Target::None);
}

fn print_totals(totals: JobTotals) {
    figure::print("jobs lost", figure::count(totals.lost()), "", Target::AtMost(0.0));
    figure::print("duplicate effects", figure::count(totals.duplicate_effects), "", Target::AtMost(0.0));
}

/// From the SIGKILL of a worker until each of its jobs runs again.
pub(crate) async fn measure_rescue() {
    for (settings, p99, max) in [(DEFAULT_RESCUE, 20.0, 30.0), (SHORT_RESCUE, 5.0, 5.0)] {
        let queue = TestQueue::start().await;
        let jobs = json!(sleeping::Args { seconds: 600.0, in_server: false });
        let mut workers = WorkerGroup::start(&queue, 4, settings).await;
        queue.enqueue_many(32, &SLEEPING, jobs).await;
        let mut killed = vec![];
        while killed.iter().map(|killed: &KilledWorker| killed.jobs.len()).sum::<usize>() < 24 {
            killed.push(workers.kill_one().await);
        }
        // What is measured is the wait for a worker, not for those that were lost beside it.
        let end = r#"UPDATE jobs SET args = '{"seconds": 0}'"#;
        sqlx::Executor::execute(&queue.pool, end).await.expect("the jobs table answers");
        let waits = Waits::of(waits_until_running_again(&queue, &killed).await);
        println!("SIGKILL to running again, rescue after {} s, {} workers killed:", settings[0].1, killed.len());
        figure::print("p50", waits.percentile(50), "s", Target::None);
        figure::print("p99", waits.percentile(99), "s", Target::AtMost(p99));
        figure::print("max", waits.percentile(100), "s", Target::AtMost(max));
    }
}

async fn waits_until_running_again(queue: &TestQueue, killed: &[KilledWorker]) -> Vec<Duration> {
    let mut waits = vec![];
    for killed in killed {
        for job_id in &killed.jobs {
            let again = queue.next_attempt(*job_id, killed.at).await;
            waits.push((again - killed.at).to_std().expect("it was killed before"));
        }
    }
    waits
}

/// SIGSTOP for three leases, then SIGCONT.
pub(crate) async fn measure_stopped() {
    println!("SIGSTOP for three leases with 4 jobs at hand, then SIGCONT:");
    for pause in [Pause::BeforeWriting, Pause::BeforeTheCheck, Pause::BeforeTheCommit] {
        let queue = TestQueue::start().await;
        suspend_worker_for_three_leases(&queue, pause).await;
        let totals = queue.totals().await;
        let what = format!("duplicate effects, suspended {pause:?}");
        figure::print(&what, figure::count(totals.duplicate_effects), "", Target::AtMost(0.0));
        figure::print("jobs lost", figure::count(totals.lost()), "", Target::AtMost(0.0));
    }
}

/// Two schedulers that die and overlap.
pub(crate) async fn measure_schedulers() {
    let (ticks, kills) = (50, 20);
    let books = kill_schedulers(&TestQueue::start().await, 2, kills, ticks).await;
    println!("two schedulers, {ENTRIES} entries that tick every second, {kills} SIGKILLs, one always alive:");
    let wanted = figure::count(ticks * ENTRIES);
    figure::print("ticks recorded", figure::count(books.ticks), "", Target::AtLeast(wanted));
    figure::print("ticks missing", figure::count(books.missing), "", Target::AtMost(0.0));
    figure::print("jobs beyond one a tick", figure::count(books.jobs - books.with_job), "", Target::AtMost(0.0));
}

/// FLUSHALL in the midst of 5,000 jobs.
pub(crate) async fn measure_flush() {
    let queue = TestQueue::start().await;
    queue.enqueue_many(5_000, &COUNTING, counting::args(0, 20, Pause::BeforeWriting)).await;
    let _workers = WorkerGroup::start(&queue, 2, SHORT_RESCUE).await;
    queue.wait_until_finished(2_500).await;
    let flushed = Instant::now();
    redis::cmd("FLUSHALL").exec_async(&mut queue.redis.connection()).await.expect("Redis is ours");
    queue.wait_until_idle().await;
    let took = flushed.elapsed().as_secs_f64();
    println!("FLUSHALL in the midst of 5,000 jobs that count, 2 workers:");
    print_totals(queue.totals().await);
    figure::print("until all were finished", took, "s", Target::AtMost(60.0));
}
