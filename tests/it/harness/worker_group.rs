//! Workers that are killed at random, or die by themselves, and are replaced as a platform would.

use std::time::Duration;

use chrono::{DateTime, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::domain::job::JobId;
use psp_test_jobs::kinds::COUNTING;
use serde_json::Value;

use super::test_jobs::{Process, Trial};
use super::{PATIENCE, eventually};

/// Workers that are replaced when they die.
pub(crate) struct WorkerGroup<'a> {
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

impl<'a> WorkerGroup<'a> {
    /// Starts workers, and waits until they are at work.
    pub(crate) async fn start(trial: &'a Trial, size: usize, settings: &'a [(&'static str, &'a str)]) -> Self {
        let hired = (0..size).map(|_| hire(trial, settings));
        Self { trial, settings, workers: futures_util::future::join_all(hired).await, in_flight: 0 }
    }

    /// Kills so many workers, each in the midst of jobs that are told `args`: each kill has its share of `jobs`, and more
    /// of them where they are done too soon.
    pub(crate) async fn kill_while_counting(&mut self, kills: usize, jobs: usize, args: Value) {
        let share = jobs / kills;
        for _ in 0..kills {
            let midway = self.trial.finished().await + rand::random_range(0..i64::try_from(share).expect("a few"));
            self.trial.enqueue_many(share, &COUNTING, args.clone()).await;
            eventually("some of the jobs to be finished", || async {
                (self.trial.finished().await >= midway).then_some(())
            })
            .await;
            let victim = loop {
                match self.find_victim().await {
                    Some(victim) => break victim,
                    None => self.trial.enqueue_many(share, &COUNTING, args.clone()).await,
                }
            };
            self.kill(victim).await;
        }
    }

    /// Kills one of those that are at a job, whichever, once there is one, and starts another in its place.
    pub(crate) async fn kill_one(&mut self) -> Killed {
        let victim = eventually("a worker to be at a job", || self.find_victim()).await;
        self.kill(victim).await
    }

    async fn find_victim(&self) -> Option<usize> {
        let mut at_work = vec![];
        for (place, worker) in self.workers.iter().enumerate() {
            if !self.trial.held_by(&worker.name).await.is_empty() {
                at_work.push(place);
            }
        }
        (!at_work.is_empty()).then(|| at_work[rand::random_range(0..at_work.len())])
    }

    async fn kill(&mut self, victim: usize) -> Killed {
        let mut dead = self.workers.swap_remove(victim);
        let at = SystemClock.now();
        dead.process.running.kill();
        // What it had sent before it died is still carried out.
        eventually("the database to notice the death", || async {
            self.trial.is_gone(&dead.process).await.then_some(())
        })
        .await;
        let jobs = self.trial.left_by(&dead.name, at).await;
        self.in_flight += jobs.len();
        self.workers.push(hire(self.trial, self.settings).await);
        Killed { at, jobs }
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
