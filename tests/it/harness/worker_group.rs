//! A group of workers that are killed at random or crash, and are replaced as a container platform would.

use std::time::Duration;

use chrono::{DateTime, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::domain::job::JobId;
use psp_test_jobs::kinds::COUNTING;
use serde_json::Value;

use super::test_queue::{Process, TestQueue};
use super::{TIMEOUT, eventually};

pub(crate) struct WorkerGroup<'a> {
    queue: &'a TestQueue,
    settings: &'a [(&'static str, &'a str)],
    workers: Vec<Worker>,
    /// How many jobs the killed workers were running, in total.
    pub(crate) in_flight: usize,
}

struct Worker {
    process: Process,
    name: String,
}

pub(crate) struct KilledWorker {
    /// Just before the signal.
    pub(crate) at: DateTime<Utc>,
    /// The jobs that it was running.
    pub(crate) jobs: Vec<JobId>,
}

impl<'a> WorkerGroup<'a> {
    /// Starts workers and waits until they run.
    pub(crate) async fn start(queue: &'a TestQueue, size: usize, settings: &'a [(&'static str, &'a str)]) -> Self {
        let starting = (0..size).map(|_| start_worker(queue, settings));
        Self { queue, settings, workers: futures_util::future::join_all(starting).await, in_flight: 0 }
    }

    /// Enqueues `counting` jobs with `args` and kills random workers that are running one. For each kill it enqueues an
    /// equal share of `jobs`, and more if all workers are idle.
    pub(crate) async fn kill_while_counting(&mut self, kills: usize, jobs: usize, args: Value) {
        let share = jobs / kills;
        for _ in 0..kills {
            let midway =
                self.queue.finished().await + rand::random_range(0..i64::try_from(share).expect("a small number"));
            self.queue.enqueue_many(share, &COUNTING, args.clone()).await;
            eventually("some of the jobs to be finished", || async {
                (self.queue.finished().await >= midway).then_some(())
            })
            .await;
            let victim = loop {
                match self.find_busy_worker().await {
                    Some(victim) => break victim,
                    None => self.queue.enqueue_many(share, &COUNTING, args.clone()).await,
                }
            };
            self.kill(victim).await;
        }
    }

    /// Waits until a worker is running a job, kills a random one of those, and replaces it.
    pub(crate) async fn kill_one(&mut self) -> KilledWorker {
        let victim = eventually("a worker to run a job", || self.find_busy_worker()).await;
        self.kill(victim).await
    }

    async fn find_busy_worker(&self) -> Option<usize> {
        let mut busy = vec![];
        for (index, worker) in self.workers.iter().enumerate() {
            if !self.queue.leased_to(&worker.name).await.is_empty() {
                busy.push(index);
            }
        }
        (!busy.is_empty()).then(|| busy[rand::random_range(0..busy.len())])
    }

    async fn kill(&mut self, victim: usize) -> KilledWorker {
        let mut worker = self.workers.swap_remove(victim);
        let at = SystemClock.now();
        worker.process.program.kill();
        // Until then the database still executes what the worker sent before.
        eventually("the database to close the connections of the worker", || async {
            self.queue.is_disconnected(&worker.process).await.then_some(())
        })
        .await;
        let jobs = self.queue.unfinished_by(&worker.name, at).await;
        self.in_flight += jobs.len();
        self.workers.push(start_worker(self.queue, self.settings).await);
        KilledWorker { at, jobs }
    }

    /// Replaces workers that crash until every job is finished. Returns how many crashed.
    pub(crate) async fn replace_until_idle(&mut self) -> u32 {
        let mut crashes = 0;
        let idle = async {
            while self.queue.number("SELECT count(*) FROM jobs WHERE finished_at IS NULL").await > 0 {
                for worker in &mut self.workers {
                    if worker.process.program.has_exited() {
                        crashes += 1;
                        *worker = start_worker(self.queue, self.settings).await;
                    }
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        };
        tokio::time::timeout(TIMEOUT * 3, idle).await.expect("every job finishes");
        crashes
    }
}

async fn start_worker(queue: &TestQueue, settings: &[(&'static str, &str)]) -> Worker {
    let process = queue.start_worker(settings);
    Worker { name: process.worker_name().await, process }
}
