//! Workers that are killed at random, or die by themselves, and are replaced as a platform would.

use std::time::Duration;

use chrono::{DateTime, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::domain::job::JobId;

use super::trial::{Process, Trial};
use super::{PATIENCE, eventually};

/// Workers that are replaced when they die.
pub(crate) struct Crew<'a> {
    trial: &'a Trial,
    settings: &'a [(&'static str, &'a str)],
    workers: Vec<Worker>,
    /// How many jobs those were at that were killed.
    pub(crate) in_flight: usize,
}

struct Worker {
    process: Process,
    name: String,
}

/// A worker that was killed.
pub(crate) struct Killed {
    /// When, just before.
    pub(crate) at: DateTime<Utc>,
    /// What it was at.
    pub(crate) jobs: Vec<JobId>,
}

impl<'a> Crew<'a> {
    /// Starts workers, and waits until they are at work.
    pub(crate) async fn start(trial: &'a Trial, size: usize, settings: &'a [(&'static str, &'a str)]) -> Self {
        let hired = (0..size).map(|_| hire(trial, settings));
        Self { trial, settings, workers: futures_util::future::join_all(hired).await, in_flight: 0 }
    }

    /// Kills so many workers while jobs are done, each after another share of them.
    pub(crate) async fn kill_while_working(&mut self, kills: i64) {
        let jobs = self.trial.number("SELECT count(*) FROM jobs").await;
        for kill in 1..=kills {
            let share = jobs * kill / (kills + 1);
            eventually("a share of the jobs to be finished", || async {
                (self.trial.finished().await >= share).then_some(())
            })
            .await;
            self.kill_one().await;
        }
    }

    /// Kills one of those that are at a job, whichever, and starts another in its place.
    pub(crate) async fn kill_one(&mut self) -> Killed {
        let victim = eventually("a worker to be at a job", || self.choose()).await;
        let mut dead = self.workers.swap_remove(victim);
        let at = SystemClock.now();
        dead.process.running.kill();
        // What it had sent before it died is still carried out.
        eventually("the database to notice the death", || async {
            (self.trial.connections_of(&dead.process).await.open == 0).then_some(())
        })
        .await;
        let jobs = self.trial.held_by(&dead.name).await;
        self.in_flight += jobs.len();
        self.workers.push(hire(self.trial, self.settings).await);
        Killed { at, jobs }
    }

    async fn choose(&self) -> Option<usize> {
        let victim = rand::random_range(0..self.workers.len());
        (!self.trial.held_by(&self.workers[victim].name).await.is_empty()).then_some(victim)
    }

    /// Starts workers in the place of those that die by themselves, until no job is left; says how many died.
    pub(crate) async fn replace_until_settled(&mut self) -> u32 {
        let mut deaths = 0;
        let settled = async {
            while self.trial.number("SELECT count(*) FROM jobs WHERE finished_at IS NULL").await > 0 {
                for worker in &mut self.workers {
                    if worker.process.running.has_ended() {
                        deaths += 1;
                        *worker = hire(self.trial, self.settings).await;
                    }
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        };
        tokio::time::timeout(PATIENCE * 3, settled).await.expect("jobs are left that nobody finishes");
        deaths
    }
}

async fn hire(trial: &Trial, settings: &[(&'static str, &str)]) -> Worker {
    let process = trial.worker(settings);
    Worker { name: process.worker().await, process }
}
