//! Kills of workers of a peer, while they run jobs that have one effect each.
//!
//! A job records its start, has its effect, and pauses: half of the jobs before the effect, half after it. Whether a job
//! that runs again repeats its effect is up to the queue: no handler checks.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use psp_dashboard::clock::{Clock, SystemClock};
use sqlx::{Executor, PgPool};

use super::Kills;
use super::peer::{Peer, PeerQueue, fetch_one};
use super::process::PeerProcess;
use crate::report::Durations;

/// Jobs that do not start for so long are no longer waited for.
const PATIENCE: Duration = Duration::from_mins(1);
const BETWEEN_COUNTS: Duration = Duration::from_millis(100);

const CREATE_TABLES: &str = "
    CREATE TABLE starts (job bigint NOT NULL, worker int NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp());
    CREATE TABLE effects (job bigint NOT NULL);
    CREATE TABLE kills (worker int NOT NULL, at timestamptz NOT NULL);";

/// For each job that a killed worker had started, and that started again: the seconds from the kill until then.
const RESCUES: &str = "
    SELECT EXTRACT(EPOCH FROM min(again.at) - kills.at)::float8
      FROM kills
      JOIN starts ON starts.worker = kills.worker
      JOIN starts AS again ON again.job = starts.job AND again.at > kills.at
     GROUP BY kills.worker, kills.at, starts.job";

struct Worker {
    number: usize,
    process: PeerProcess,
}

pub(super) async fn measure(peer: &'static Peer, jobs: usize, kills: usize) -> Kills {
    let queue = PeerQueue::start(peer).await;
    queue.pool.execute(CREATE_TABLES).await.expect("the database is empty");
    queue.enqueue("effect", jobs);
    let mut workers: Vec<_> = (0..2).map(|number| Worker::start(&queue, number)).collect();
    for kill in 1..=kills {
        wait_for_effects(&queue.pool, jobs * kill / (kills + 1)).await;
        let victim = rand::random_range(0..workers.len());
        wait_for_a_start(&queue.pool, workers[victim].number).await;
        let killed_at = SystemClock.now();
        workers[victim].process.kill();
        record_kill(&queue.pool, workers[victim].number, killed_at).await;
        workers[victim] = Worker::start(&queue, kill + 1);
    }
    wait_until_idle(&queue).await;
    outcome(&queue, jobs).await
}

impl Worker {
    fn start(queue: &PeerQueue, number: usize) -> Self {
        Self { number, process: queue.start_worker(number) }
    }
}

async fn outcome(queue: &PeerQueue, jobs: usize) -> Kills {
    let jobs = i64::try_from(jobs).expect("a small number");
    let with_effect: i64 = fetch_one(&queue.pool, "SELECT count(DISTINCT job) FROM effects").await;
    let effects: i64 = fetch_one(&queue.pool, "SELECT count(*) FROM effects").await;
    let waiting = queue.unfinished().await;
    Kills {
        lost: (jobs - with_effect - waiting).max(0),
        waiting,
        duplicates: effects - with_effect,
        rescues: rescues(&queue.pool).await,
    }
}

/// Waits until so many jobs had their effect, or none has started for [`PATIENCE`].
async fn wait_for_effects(pool: &PgPool, jobs: usize) {
    let jobs = i64::try_from(jobs).expect("a small number");
    wait_while_jobs_start(pool, async || fetch_one::<i64>(pool, "SELECT count(*) FROM effects").await >= jobs).await;
}

/// Waits until every job is recorded as done, or none has started for [`PATIENCE`].
async fn wait_until_idle(queue: &PeerQueue) {
    let mut idle_counts = 0;
    while idle_counts < 2 {
        if !wait_while_jobs_start(&queue.pool, async || queue.unfinished().await == 0).await {
            return;
        }
        // A job of a dead worker that moves back is missed by one count, but not by two.
        idle_counts += 1;
        tokio::time::sleep(BETWEEN_COUNTS).await;
    }
}

/// Whether the condition was met.
async fn wait_while_jobs_start(pool: &PgPool, is_met: impl AsyncFn() -> bool) -> bool {
    let (mut starts, mut since) = (0, Instant::now());
    while !is_met().await {
        let now: i64 = fetch_one(pool, "SELECT count(*) FROM starts").await;
        if now > starts {
            (starts, since) = (now, Instant::now());
        }
        if since.elapsed() >= PATIENCE {
            return false;
        }
        tokio::time::sleep(BETWEEN_COUNTS).await;
    }
    true
}

#[expect(clippy::disallowed_methods, reason = "no migration creates this table, so the query cannot be checked")]
async fn wait_for_a_start(pool: &PgPool, worker: usize) {
    let worker = i32::try_from(worker).expect("a small number");
    let has_started = async || {
        let starts = sqlx::query_scalar("SELECT EXISTS (SELECT FROM starts WHERE worker = $1)").bind(worker);
        starts.fetch_one(pool).await.expect("the database responds")
    };
    wait_while_jobs_start(pool, has_started).await;
}

#[expect(clippy::disallowed_methods, reason = "no migration creates this table, so the query cannot be checked")]
async fn record_kill(pool: &PgPool, worker: usize, at: DateTime<Utc>) {
    let kill = sqlx::query("INSERT INTO kills VALUES ($1, $2)").bind(i32::try_from(worker).expect("a small number"));
    kill.bind(at).execute(pool).await.expect("the database responds");
}

#[expect(clippy::disallowed_methods, reason = "no migration creates these tables, so the query cannot be checked")]
async fn rescues(pool: &PgPool) -> Option<Durations> {
    let seconds: Vec<f64> = sqlx::query_scalar(RESCUES).fetch_all(pool).await.expect("the database responds");
    (!seconds.is_empty()).then(|| Durations::new(seconds.into_iter().map(Duration::from_secs_f64).collect()))
}
