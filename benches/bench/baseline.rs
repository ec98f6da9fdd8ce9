//! apalis-redis alone: what jobs that do nothing cost without a ledger, in the settings that are its fastest (no lock, no
//! events, large batches, and no wait between two looks).
//!
//! A few thousand are pushed and then worked off, again and again: of 8,000 that are due at once its script dies.

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
use redis::aio::ConnectionManager;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::figure;
use crate::harness::servers::Servers;

const BATCH: usize = 200;
const PUSHED_AT_ONCE: usize = 4_000;

/// How many a second, of those that were pushed before a worker started.
pub(crate) async fn jobs_a_second() -> f64 {
    let servers = Servers::start().await;
    let redis = servers.redis().await;
    let config = Config::default().queue(redis.key("baseline")).batch_size(BATCH).lock_tasks(false).emit_events(false);
    let mut storage = RedisStorage::<Value, ConnectionManager>::new(redis.connection()).with_config(config);
    let mut took = Duration::ZERO;
    let rounds = 5;
    for round in 0..rounds {
        let jobs = stream::iter((0..PUSHED_AT_ONCE).map(|number| json!(number)));
        storage.push_stream(jobs).await.expect("Redis takes them");
        took += work_off(storage.clone(), &format!("baseline-{round}")).await;
    }
    figure::rate(i64::try_from(PUSHED_AT_ONCE * rounds).unwrap_or(i64::MAX), took)
}

/// How long a worker takes for what was pushed at once.
async fn work_off(storage: RedisStorage<Value, ConnectionManager>, name: &str) -> Duration {
    let (left, all_done) = (Arc::new(AtomicUsize::new(PUSHED_AT_ONCE)), Arc::new(Notify::new()));
    let (counted, last) = (Arc::clone(&left), Arc::clone(&all_done));
    let worker = WorkerBuilder::new(name).backend(storage.poll_with_strategy(AtOnce)).parallelize(tokio::spawn).build(
        move |_payload: Value| {
            if counted.fetch_sub(1, Ordering::Relaxed) == 1 {
                last.notify_one();
            }
            async {}
        },
    );
    let began = Instant::now();
    tokio::select! {
        ended = worker.run() => panic!("apalis stopped with {} jobs left: {ended:?}", left.load(Ordering::Relaxed)),
        () = all_done.notified() => began.elapsed(),
    }
}

/// Looks again as soon as it has looked.
struct AtOnce;

impl PollStrategy for AtOnce {
    fn poll_drive(&mut self, _: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        Poll::Ready(Some(()))
    }
}
