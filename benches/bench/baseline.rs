//! apalis-redis alone: what jobs that do nothing cost without a ledger, in the settings that are its fastest (no lock, no
//! events, large batches, and no wait between two looks).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
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

use crate::figure;
use crate::harness::eventually;
use crate::harness::servers::Servers;

const BATCH: usize = 200;

/// How many a second, of so many that were pushed before the worker started.
pub(crate) async fn jobs_a_second(jobs: usize) -> f64 {
    let servers = Servers::start().await;
    let wire = servers.wire().await;
    let config = Config::default().queue(wire.key("baseline")).batch_size(BATCH).lock_tasks(false).emit_events(false);
    let mut storage = RedisStorage::<Value, ConnectionManager>::new(wire.connection()).with_config(config);
    storage.push_stream(stream::iter((0..jobs).map(|number| json!(number)))).await.expect("Redis takes them");

    let done = Arc::new(AtomicI64::new(0));
    let counted = Arc::clone(&done);
    let worker = WorkerBuilder::new("baseline")
        .backend(storage.poll_with_strategy(AtOnce))
        .parallelize(tokio::spawn)
        .build(move |_payload: Value| {
            counted.fetch_add(1, Ordering::Relaxed);
            async {}
        });
    let began = Instant::now();
    let running = tokio::spawn(worker.run());
    let jobs = i64::try_from(jobs).expect("a number of jobs");
    let took =
        eventually("apalis to be done", || async { (done.load(Ordering::Relaxed) >= jobs).then(|| began.elapsed()) })
            .await;
    running.abort();
    figure::rate(jobs, took.max(Duration::from_millis(1)))
}

/// Looks again as soon as it has looked.
struct AtOnce;

impl PollStrategy for AtOnce {
    fn poll_drive(&mut self, _: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        Poll::Ready(Some(()))
    }
}
