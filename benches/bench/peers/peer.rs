//! The peers, and how each is measured. `benches/peers/README.md` describes the commands of their scripts.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::Deserialize;
use sqlx::PgPool;

use super::pace;
use super::process::PeerProcess;
use crate::harness::private_servers::PrivateRedis;
use crate::harness::servers::Servers;
use crate::report::Durations;

/// How long a measurement waits for a job that does not start.
const PATIENCE: Duration = Duration::from_secs(30);
/// Jobs that run before delays are measured.
const WARM_UP: usize = 5;

pub(super) const PEERS: [Peer; 6] = [
    Peer { name: "graphile-worker", folder: "graphile-worker", variant: "", store: GRAPHILE_WORKER },
    Peer { name: "graphile-worker-batched", folder: "graphile-worker", variant: "batched", store: GRAPHILE_WORKER },
    Peer {
        name: "procrastinate",
        folder: "procrastinate",
        variant: "",
        store: Store::Postgres {
            unfinished: "SELECT count(*) FROM procrastinate_jobs
                          WHERE status IN ('todo', 'doing') AND task_name <> 'retry-stalled-jobs'",
        },
    },
    Peer {
        name: "bullmq",
        folder: "bullmq",
        variant: "",
        store: Store::Redis { unfinished: &["LLEN bull:bench:wait", "LLEN bull:bench:active"] },
    },
    Peer {
        name: "celery",
        folder: "celery",
        variant: "",
        store: Store::Redis { unfinished: &["LLEN celery", "HLEN unacked"] },
    },
    Peer { name: "arq", folder: "arq", variant: "", store: Store::Redis { unfinished: &["ZCARD arq:queue"] } },
];

/// It deletes a job when it is done.
const GRAPHILE_WORKER: Store = Store::Postgres { unfinished: "SELECT count(*) FROM graphile_worker._private_jobs" };

/// A job queue of another project.
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// Within `benches/peers`.
    folder: &'static str,
    /// Which settings its script takes, if there is a choice.
    variant: &'static str,
    pub(super) store: Store,
}

/// Where a peer keeps its jobs, and what counts those that it has not recorded as done.
pub(super) enum Store {
    Postgres { unfinished: &'static str },
    Redis { unfinished: &'static [&'static str] },
}

#[derive(Deserialize)]
pub(super) struct About {
    pub(super) version: String,
    pub(super) settings: String,
}

/// A peer with empty servers.
pub(super) struct PeerQueue {
    peer: &'static Peer,
    pub(super) pool: PgPool,
    servers: Servers,
    redis: PrivateRedis,
}

impl Peer {
    /// Installs the pinned version. The error says why that is not possible.
    pub(super) fn install(&self) -> Result<About, String> {
        let installed = peers_script(&["install", self.folder]).output().expect("scripts/peers starts");
        if !installed.status.success() {
            let output = String::from_utf8_lossy(&installed.stderr);
            return Err(output.lines().last().unwrap_or("scripts/peers says nothing").to_owned());
        }
        let about = self.script(&["about"]).output().expect("scripts/peers starts");
        serde_json::from_slice(&about.stdout).map_err(|error| format!("`about` prints something else: {error}"))
    }

    pub(super) async fn throughput(&'static self, workers: usize, jobs: usize) -> f64 {
        let queue = PeerQueue::start(self).await;
        queue.enqueue("no-op", jobs);
        let _workers: Vec<_> = (0..workers).map(|number| queue.start_worker(number)).collect();
        pace::finishing_rate(jobs, async || queue.unfinished().await).await
    }

    /// `None` if no job starts.
    pub(super) async fn idle_latency(&'static self, jobs: usize) -> Option<Durations> {
        let queue = PeerQueue::start(self).await;
        let (mut enqueuer, worker) = (queue.spawn(&["enqueuer"], 0), queue.start_worker(0));
        self.run_one_after_another(&mut enqueuer, &worker, WARM_UP + jobs).await;
        delays_after_warm_up(&worker)
    }

    /// Of those that start, if it cannot keep up. `None` if no job starts.
    pub(super) async fn loaded_latency(&'static self, jobs: usize, rate: f64) -> Option<Durations> {
        let queue = PeerQueue::start(self).await;
        let (mut enqueuer, worker) = (queue.spawn(&["enqueuer"], 0), queue.start_worker(0));
        self.run_one_after_another(&mut enqueuer, &worker, WARM_UP).await;
        pace::spread(jobs, rate, || enqueuer.enqueue()).await;
        self.wait_for_starts(&worker, WARM_UP + jobs, Duration::from_millis(200)).await;
        delays_after_warm_up(&worker)
    }

    async fn run_one_after_another(&self, enqueuer: &mut PeerProcess, worker: &PeerProcess, jobs: usize) {
        for started in 1..=jobs {
            enqueuer.enqueue();
            if !self.wait_for_starts(worker, started, Duration::from_millis(1)).await {
                return;
            }
            // Until the queue has recorded it and is idle.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Whether so many jobs have started, as far as any started within [`PATIENCE`].
    async fn wait_for_starts(&self, worker: &PeerProcess, jobs: usize, between_counts: Duration) -> bool {
        let (mut started, mut since) = (0, Instant::now());
        while started < jobs {
            tokio::time::sleep(between_counts).await;
            let now = worker.delays().len();
            if now > started {
                (started, since) = (now, Instant::now());
            }
            if since.elapsed() >= PATIENCE {
                println!("  {}: only {started} of {jobs} jobs started", self.name);
                return false;
            }
        }
        true
    }

    fn script(&self, arguments: &[&str]) -> Command {
        let mut command = peers_script(&["run", self.folder]);
        command.args(arguments).env("PSP_BENCH_VARIANT", self.variant);
        command
    }
}

impl PeerQueue {
    pub(super) async fn start(peer: &'static Peer) -> Self {
        let servers = Servers::start_empty().await;
        let queue = Self { peer, pool: servers.pool().await, servers, redis: PrivateRedis::start().await };
        queue.run(&["prepare"]);
        queue
    }

    pub(super) fn enqueue(&self, kind: &str, jobs: usize) {
        self.run(&["enqueue", kind, &jobs.to_string()]);
    }

    /// `number` tells the workers of this queue apart.
    pub(super) fn start_worker(&self, number: usize) -> PeerProcess {
        self.spawn(&["worker"], number)
    }

    /// How many jobs are not recorded as done.
    pub(super) async fn unfinished(&self) -> i64 {
        match self.peer.store {
            Store::Postgres { unfinished } => fetch_one(&self.pool, unfinished).await,
            Store::Redis { unfinished } => {
                let mut sum = 0;
                // In the order in which jobs move on: one that moves meanwhile is counted twice rather than not at all.
                for command in unfinished {
                    sum += self.redis.command::<i64>(command).await;
                }
                sum
            }
        }
    }

    fn spawn(&self, arguments: &[&str], worker: usize) -> PeerProcess {
        PeerProcess::start(self.command(arguments, worker))
    }

    fn run(&self, arguments: &[&str]) {
        let output = self.command(arguments, 0).output().expect("scripts/peers starts");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {arguments:?}: {errors}", self.peer.name);
    }

    fn command(&self, arguments: &[&str], worker: usize) -> Command {
        let mut command = self.peer.script(arguments);
        command.env("DATABASE_URL", &self.servers.database_url).env("REDIS_URL", self.redis.url());
        command.env("PSP_BENCH_WORKER", worker.to_string());
        command
    }
}

fn delays_after_warm_up(worker: &PeerProcess) -> Option<Durations> {
    let delays: Vec<Duration> = worker.delays().into_iter().skip(WARM_UP).collect();
    (!delays.is_empty()).then(|| Durations::new(delays))
}

fn peers_script(arguments: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/peers"));
    command.args(arguments);
    command
}

/// The result of a query that returns one value.
#[expect(
    clippy::disallowed_methods,
    reason = "no migration creates the tables of peers, so the query cannot be checked"
)]
pub(super) async fn fetch_one<T>(pool: &PgPool, query: &'static str) -> T
where
    T: Send + Unpin + sqlx::Type<sqlx::Postgres> + for<'row> sqlx::Decode<'row, sqlx::Postgres>,
{
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap_or_else(|error| panic!("{query}: {error}"))
}
