//! Our queue next to job queues of other projects, driven by scripts of the same shape (`benches/peers`).
//!
//! Every figure is taken of one queue right after the other, so that a machine that becomes slower meanwhile does so for
//! all. No queue is tuned for the benchmark: ours has production settings, a peer the reliable settings that its
//! documentation recommends, and the same 15 seconds as ours until a worker counts as dead, if that is a setting of it.
//!
//! `PSP_BENCH_PEERS=bullmq,graphile-worker` selects some peers, `PSP_BENCH_PEERS_JOBS=2000` takes fewer jobs.

mod kills;
mod ours;
mod pace;
mod peer;
mod process;
mod table;

use std::time::Duration;

use peer::Peer;

use crate::harness::private_servers::PrivateRedis;
use crate::harness::servers::Servers;
use crate::report::Durations;

/// The numbers of workers whose throughput is measured.
const WORKERS: [usize; 3] = [1, 2, 4];

/// How many jobs each measurement takes.
struct Sizes {
    throughput: usize,
    latency: usize,
    kill_jobs: usize,
    kills: usize,
}

/// A queue and what was measured of it.
struct Measured {
    queue: Queue,
    version: String,
    settings: String,
    /// Jobs per second with each number of [`WORKERS`].
    throughput: Vec<f64>,
    idle: Option<Durations>,
    loaded: Option<Durations>,
    kills: Option<Kills>,
}

/// What the kills of workers left behind.
struct Kills {
    /// Jobs without an effect that will not run again.
    lost: i64,
    /// Jobs that did not run again while the measurement waited.
    waiting: i64,
    /// Effects beyond the first of each job.
    duplicates: i64,
    /// From each kill until each job in flight ran again; `None` if none did.
    rescues: Option<Durations>,
}

enum Queue {
    Ours,
    Peer(&'static Peer),
}

impl Queue {
    fn name(&self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Peer(peer) => peer.name,
        }
    }

    /// Jobs per second until they are recorded as done, enqueued before the workers start.
    async fn throughput(&self, workers: usize, jobs: usize) -> f64 {
        match self {
            Self::Ours => ours::throughput(workers, jobs).await,
            Self::Peer(peer) => peer.throughput(workers, jobs).await,
        }
    }

    /// From the enqueue call to the first line of the handler, one job after another. `None` if no job starts.
    async fn idle_latency(&self, jobs: usize) -> Option<Durations> {
        match self {
            Self::Ours => Some(ours::idle_latency(jobs).await),
            Self::Peer(peer) => peer.idle_latency(jobs).await,
        }
    }

    /// The same while so many jobs per second are enqueued.
    async fn loaded_latency(&self, jobs: usize, rate: f64) -> Option<Durations> {
        match self {
            Self::Ours => Some(ours::loaded_latency(jobs, rate).await),
            Self::Peer(peer) => peer.loaded_latency(jobs, rate).await,
        }
    }

    async fn kills(&self, jobs: usize, kills: usize) -> Kills {
        match self {
            Self::Ours => ours::kills(jobs, kills).await,
            Self::Peer(peer) => kills::measure(peer, jobs, kills).await,
        }
    }
}

pub(crate) async fn measure() {
    let sizes = Sizes::requested();
    println!("job queues, concurrency 8:");
    print_durability().await;
    let mut queues = installed();
    for workers in WORKERS {
        for measured in &mut queues {
            measured.throughput.push(measured.queue.throughput(workers, sizes.throughput).await);
        }
    }
    for measured in &mut queues {
        measured.idle = measured.queue.idle_latency(sizes.latency).await;
    }
    for measured in &mut queues {
        let rate = measured.throughput[0] / 2.0;
        let jobs = pace::count_in(Duration::from_secs(5), rate).clamp(1, sizes.throughput);
        measured.loaded = measured.queue.loaded_latency(jobs, rate).await;
    }
    for measured in &mut queues {
        measured.kills = Some(measured.queue.kills(sizes.kill_jobs, sizes.kills).await);
    }
    table::print(&queues, &sizes);
}

/// Ours and the selected peers that this machine can run. Says which it cannot.
fn installed() -> Vec<Measured> {
    let selected = setting("PSP_BENCH_PEERS");
    let is_selected =
        |peer: &&Peer| selected.as_ref().is_none_or(|names| names.split(',').any(|name| name.trim() == peer.name));
    let ours = Measured::new(Queue::Ours, env!("CARGO_PKG_VERSION").to_owned(), "production defaults".to_owned());
    let mut queues = vec![ours];
    for peer in peer::PEERS.iter().filter(is_selected) {
        match peer.install() {
            Ok(about) => queues.push(Measured::new(Queue::Peer(peer), about.version, about.settings)),
            Err(reason) => println!("  {}: SKIPPED: {reason}", peer.name),
        }
    }
    for measured in &queues {
        println!("  {} {}: {}", measured.queue.name(), measured.version, measured.settings);
    }
    queues
}

/// What a power failure loses, by the settings that the servers report.
async fn print_durability() {
    let servers = Servers::start_empty().await;
    let pool = servers.pool().await;
    let mut settings = vec![];
    for statement in ["SHOW fsync", "SHOW synchronous_commit", "SHOW full_page_writes"] {
        let value: String = peer::fetch_one(&pool, statement).await;
        settings.push(format!("{} {value}", statement.trim_start_matches("SHOW ")));
    }
    println!("  queues in PostgreSQL ({}): a power failure loses no recorded job if all are on", settings.join(", "));
    let redis = PrivateRedis::start().await;
    let mut settings = vec![];
    for name in ["appendonly", "save"] {
        let reply: Vec<String> = redis.command(&format!("CONFIG GET {name}")).await;
        settings.push(format!("{name} {:?}", reply.last().map_or("", String::as_str)));
    }
    println!("  queues in Redis ({}): a power failure loses every job if nothing is saved", settings.join(", "));
}

impl Measured {
    fn new(queue: Queue, version: String, settings: String) -> Self {
        Self { queue, version, settings, throughput: vec![], idle: None, loaded: None, kills: None }
    }
}

impl Sizes {
    fn requested() -> Self {
        let throughput = setting("PSP_BENCH_PEERS_JOBS").map_or(50_000, |jobs| {
            jobs.parse().unwrap_or_else(|_| panic!("PSP_BENCH_PEERS_JOBS is not a number: {jobs}"))
        });
        let kill_jobs = throughput / 10;
        Self { throughput, latency: (throughput / 20).clamp(20, 300), kill_jobs, kills: (kill_jobs / 250).max(1) }
    }
}

#[expect(clippy::disallowed_methods, reason = "the caller of the benchmarks chooses what is measured")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
