//! The throughput of apalis-redis alone with no-op jobs, without a jobs table and with its fastest settings (no lock, no
//! events, large batches, no pause between polls).
//!
//! Jobs are pushed and run in portions of a few thousand, since 8,000 due jobs are fatal to its script.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use apalis_core::backend::TaskSink;
use apalis_core::backend::ext::BackendExt;
use apalis_core::backend::ext::poll_strategy::{PollSnapshot, PollStrategy};
use apalis_core::worker::builder::WorkerBuilder;
use apalis_core::worker::ext::parallelize::ParallelizeExt;
use apalis_redis::{Config, RedisStorage};
use futures_util::stream;
use psp_dashboard::redis::reconnecting::RedisConnection;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::harness::servers::Servers;
use crate::report;

const BATCH: usize = 200;
const PORTION: usize = 4_000;

/// Jobs per second. Each portion is pushed before its worker starts.
pub(crate) async fn jobs_per_second() -> f64 {
    let servers = Servers::start().await;
    let redis = servers.redis().await;
    let config = Config::default().queue(redis.key("baseline")).batch_size(BATCH).lock_tasks(false).emit_events(false);
    let mut storage = RedisStorage::<Value, RedisConnection>::new(redis.connection()).with_config(config);
    let mut elapsed = Duration::ZERO;
    let rounds = 5;
    for round in 0..rounds {
        let jobs = stream::iter((0..PORTION).map(|number| json!(number)));
        storage.push_stream(jobs).await.expect("Redis accepts them");
        elapsed += run_portion(storage.clone(), &format!("baseline-{round}")).await;
    }
    report::per_second(i64::try_from(PORTION * rounds).unwrap_or(i64::MAX), elapsed)
}

/// How long a worker takes for one portion.
async fn run_portion(storage: RedisStorage<Value, RedisConnection>, name: &str) -> Duration {
    let (left, finished) = (Arc::new(AtomicUsize::new(PORTION)), Arc::new(Notify::new()));
    let (counter, last) = (Arc::clone(&left), Arc::clone(&finished));
    let worker = WorkerBuilder::new(name).backend(storage.poll_with_strategy(NoPause)).parallelize(tokio::spawn).build(
        move |_payload: Value| {
            if counter.fetch_sub(1, Ordering::Relaxed) == 1 {
                last.notify_one();
            }
            async {}
        },
    );
    let started = Instant::now();
    tokio::select! {
        ended = worker.run() => panic!("apalis stopped with {} jobs left: {ended:?}", left.load(Ordering::Relaxed)),
        () = finished.notified() => started.elapsed(),
    }
}

/// Polls without a pause.
struct NoPause;

impl PollStrategy for NoPause {
    fn poll_drive(&mut self, _: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        Poll::Ready(Some(()))
    }
}
