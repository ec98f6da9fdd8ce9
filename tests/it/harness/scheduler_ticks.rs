//! Kills schedulers at random, and counts the ticks that were recorded.

use psp_test_jobs::schedule::ENTRIES;

use super::eventually;
use super::test_queue::{Process, TestQueue};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TickTotals {
    pub(crate) ticks: i64,
    /// Ticks that are missing between the first and the last of their entry.
    pub(crate) missing: i64,
    /// Ticks that have a job of their own.
    pub(crate) with_job: i64,
    pub(crate) jobs: i64,
}

impl TickTotals {
    /// Asserts that every tick has exactly one job, and that none is missing.
    pub(crate) fn assert_each_ticked_once(self) {
        assert_eq!(self, Self { missing: 0, with_job: self.ticks, jobs: self.ticks, ..self });
    }
}

/// Runs schedulers until every entry has `ticks` ticks, and kills a random one `kills` times, each after its successor has
/// started.
pub(crate) async fn kill_schedulers(queue: &TestQueue, schedulers: usize, kills: i64, ticks: i64) -> TickTotals {
    let mut running: Vec<Process> = (0..schedulers).map(|_| queue.start_process(&["scheduler"], &[])).collect();
    for kill in 1..=kills {
        wait_for_ticks(queue, ticks * kill / (kills + 1)).await;
        let successor = queue.start_process(&["scheduler"], &[]);
        eventually("the successor to run", || async {
            successor.program.output().contains("scheduler started").then_some(())
        })
        .await;
        running.push(successor);
        running.swap_remove(rand::random_range(0..schedulers)).program.kill();
    }
    wait_for_ticks(queue, ticks).await;
    drop(running);
    count_ticks(queue).await
}

/// Waits until every entry has at least `ticks` ticks.
pub(crate) async fn wait_for_ticks(queue: &TestQueue, ticks: i64) {
    eventually("every entry to have ticked", || async {
        let entries = queue.number("SELECT count(DISTINCT schedule) FROM schedule_ticks").await;
        let fewest =
            "SELECT COALESCE(min(count), 0) FROM (SELECT count(*) FROM schedule_ticks GROUP BY schedule) AS entry";
        (entries == ENTRIES && queue.number(fewest).await >= ticks).then_some(())
    })
    .await;
}

pub(crate) async fn count_ticks(queue: &TestQueue) -> TickTotals {
    let missing = "SELECT COALESCE(sum(EXTRACT(EPOCH FROM last - first)::bigint + 1 - count), 0)::bigint
                     FROM (SELECT min(tick_at) AS first, max(tick_at) AS last, count(*) FROM schedule_ticks
                            GROUP BY schedule) AS entry";
    let with_job = "SELECT count(DISTINCT job_id) FROM schedule_ticks
                      JOIN jobs ON jobs.id = job_id AND scheduled_for = tick_at";
    TickTotals {
        ticks: queue.number("SELECT count(*) FROM schedule_ticks").await,
        missing: queue.number(missing).await,
        with_job: queue.number(with_job).await,
        jobs: queue.number("SELECT count(*) FROM jobs").await,
    }
}
