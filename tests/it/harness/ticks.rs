//! Schedulers that are killed at random, and what their ticks came to.

use psp_test_jobs::schedule::ENTRIES;

use super::eventually;
use super::test_jobs::{Process, Trial};

/// What the ticks came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TickBooks {
    /// How many were recorded.
    pub(crate) ticks: i64,
    /// How many are missing between the first and the last of their entry.
    pub(crate) missing: i64,
    /// How many have a job of their own.
    pub(crate) with_job: i64,
    /// How many jobs there are.
    pub(crate) jobs: i64,
}

impl TickBooks {
    /// Each tick is one job, and none is missing.
    pub(crate) fn assert_each_ticked_once(self) {
        assert_eq!(self, Self { missing: 0, with_job: self.ticks, jobs: self.ticks, ..self });
    }
}

/// Kills so many schedulers at random, each only once its successor is there, until every entry has ticked so often.
pub(crate) async fn kill_schedulers(trial: &Trial, schedulers: usize, kills: i64, ticks: i64) -> TickBooks {
    let mut alive: Vec<Process> = (0..schedulers).map(|_| trial.start(&["scheduler"], &[])).collect();
    for kill in 1..=kills {
        wait_for_ticks(trial, ticks * kill / (kills + 1)).await;
        let successor = trial.start(&["scheduler"], &[]);
        eventually("the successor to be at work", || async {
            successor.running.said().contains("the scheduler is at work").then_some(())
        })
        .await;
        alive.push(successor);
        alive.swap_remove(rand::random_range(0..schedulers)).running.kill();
    }
    wait_for_ticks(trial, ticks).await;
    drop(alive);
    count_ticks(trial).await
}

/// Waits until every entry has ticked so often.
pub(crate) async fn wait_for_ticks(trial: &Trial, ticks: i64) {
    eventually("every entry to have ticked", || async {
        let entries = trial.number("SELECT count(DISTINCT schedule) FROM schedule_ticks").await;
        let fewest =
            "SELECT COALESCE(min(count), 0) FROM (SELECT count(*) FROM schedule_ticks GROUP BY schedule) AS entry";
        (entries == ENTRIES && trial.number(fewest).await >= ticks).then_some(())
    })
    .await;
}

/// What the ticks came to so far.
pub(crate) async fn count_ticks(trial: &Trial) -> TickBooks {
    let missing = "SELECT COALESCE(sum(EXTRACT(EPOCH FROM last - first)::bigint + 1 - count), 0)::bigint
                     FROM (SELECT min(tick_at) AS first, max(tick_at) AS last, count(*) FROM schedule_ticks
                            GROUP BY schedule) AS entry";
    let with_job = "SELECT count(DISTINCT job_id) FROM schedule_ticks
                      JOIN jobs ON jobs.id = job_id AND scheduled_for = tick_at";
    TickBooks {
        ticks: trial.number("SELECT count(*) FROM schedule_ticks").await,
        missing: trial.number(missing).await,
        with_job: trial.number(with_job).await,
        jobs: trial.number("SELECT count(*) FROM jobs").await,
    }
}
