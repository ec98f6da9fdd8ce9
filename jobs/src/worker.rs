//! A worker process: hears bells, runs jobs, and stops when it is told to.
//!
//! The only consumer of apalis. apalis wakes, nothing more: a handler takes any payload, always acknowledges, and what to
//! run is asked of the ledger. An apalis worker that dies (a slow answer, a restart or a FLUSHALL of Redis) is built anew
//! under a new name after a pause; the jobs at work do not notice. apalis's `Monitor` was rejected: it restarts without a
//! pause, and may end well although every worker is dead.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use apalis::prelude::{BackendExt, ParallelizeExt, WorkerBuilder, WorkerBuilderExt, WorkerError};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use psp_dashboard::db::processes;
use psp_dashboard::wire::Wire;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use crate::environment::Environment;
use crate::handler::Registry;
use crate::hands::{Hands, HandsSettings, SharedHands};
use crate::sweeper::Sweeper;
use crate::wake::{Bell, Wake};

/// How often bells are looked for when none is heard.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long to wait before Redis is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// What is kept of the grace for handing back and going.
const LAST_SECONDS: Duration = Duration::from_secs(5);

/// How a worker is run.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// The queues it serves; all that have handlers, where none is named.
    pub queues: Vec<String>,
    /// How many jobs run at a time.
    pub concurrency: u32,
    /// How long after a worker's death its jobs are taken over.
    pub rescue: Duration,
    /// How long a stop may take.
    pub shutdown_grace: Duration,
}

/// Runs jobs until `stop`, then lets them end or hands them back.
pub async fn run_worker(
    environment: Arc<Environment>,
    registry: Registry,
    settings: WorkerSettings,
    stop: CancellationToken,
) {
    let worker = format!("worker-{}", Uuid::now_v7());
    let queues = if settings.queues.is_empty() { registry.queues() } else { settings.queues };
    // A worker that misses two renewals in a row is dead; what remains of the time is for the sweep to notice.
    let lease = settings.rescue * 2 / 3;
    let hands = Arc::new(Hands::new(
        environment.pool.clone(),
        environment.wire.clone(),
        Arc::clone(&environment.clock),
        HandsSettings { registry, queues: queues.clone(), worker: worker.clone(), hands: settings.concurrency, lease },
    ));
    tracing::info!(%worker, ?queues, concurrency = settings.concurrency, "the worker is at work");
    let sweeper = Sweeper {
        pool: environment.pool.clone(),
        wire: environment.wire.clone(),
        clock: Arc::clone(&environment.clock),
        hands: Arc::clone(&hands),
        queues: queues.clone(),
        worker: worker.clone(),
        lease,
    };
    // Sweeping, and so renewing leases, goes on until the last job has ended.
    let done = CancellationToken::new();
    let tasks = TaskTracker::new();
    let sweeping = done.clone();
    tasks.spawn(sweeper.run(sweeping));
    let bells: Vec<QueueBell> = queues.into_iter().map(|queue| QueueBell { queue, bell: Bell::default() }).collect();
    tasks.spawn(hear(environment.wire.clone(), bells.clone(), stop.clone()));
    for QueueBell { queue, bell } in bells {
        let concurrency = settings.concurrency as usize;
        let answering = Answering { wire: environment.wire.clone(), queue, bell, concurrency };
        tasks.spawn(answering.run(Arc::clone(&hands), stop.clone()));
    }
    stop.cancelled().await;
    tracing::info!(%worker, "the worker claims nothing more and lets its jobs end");
    hands.close(settings.shutdown_grace.saturating_sub(LAST_SECONDS)).await;
    done.cancel();
    tasks.close();
    if tokio::time::timeout(LAST_SECONDS / 2, tasks.wait()).await.is_err() {
        tracing::warn!("the wire did not let go in time; what it holds is delivered again to another worker");
    }
    if let Err(error) = processes::delete(&environment.pool, &worker).await {
        tracing::warn!(%error, "this worker could not say goodbye");
    }
}

/// A queue and the bell that wakes its apalis worker.
#[derive(Clone)]
struct QueueBell {
    queue: String,
    bell: Bell,
}

/// Rings the bells of all queues as they are called, over one connection, and whenever hearing begins anew.
async fn hear(wire: Wire, bells: Vec<QueueBell>, stop: CancellationToken) {
    let by_channel: HashMap<String, Bell> =
        bells.into_iter().map(|QueueBell { queue, bell }| (wire.bell_channel(&queue), bell)).collect();
    let channels: Vec<String> = by_channel.keys().cloned().collect();
    while !stop.is_cancelled() {
        match wire.subscribe(&channels).await {
            Ok(subscriber) => {
                by_channel.values().for_each(Bell::ring);
                let mut calls = pin!(subscriber.into_on_message().take_until(stop.cancelled()));
                while let Some(call) = calls.next().await {
                    by_channel.get(call.get_channel_name()).inspect(|bell| bell.ring());
                }
            }
            Err(error) => tracing::warn!(%error, "calls cannot be heard; bells are looked for every second"),
        }
        pause(&stop).await;
    }
}

/// Answers the bells of one queue.
struct Answering {
    wire: Wire,
    queue: String,
    bell: Bell,
    concurrency: usize,
}

impl Answering {
    /// Answers until `stop`, through one apalis worker after another.
    async fn run(self, hands: SharedHands, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let ended = self.run_apalis(&hands, stop.clone()).await;
            if !stop.is_cancelled() {
                tracing::warn!(queue = %self.queue, ?ended, "the bells of the queue fell silent; they are hung up again");
                pause(&stop).await;
            }
        }
    }

    fn run_apalis(&self, hands: &SharedHands, stop: CancellationToken) -> BoxFuture<'static, Result<(), WorkerError>> {
        let bells = self.wire.bells(&self.queue);
        let name = format!("{}-{}", self.queue, Uuid::now_v7());
        let hands = Arc::clone(hands);
        WorkerBuilder::new(name)
            .backend(bells.poll_with_strategy(Wake::new(self.bell.clone(), LOOK_EVERY)))
            .concurrency(self.concurrency)
            .parallelize(tokio::spawn)
            .build(move |_payload: Value| {
                let hands = Arc::clone(&hands);
                async move { hands.answer_bell().await }
            })
            .run_until(async move {
                stop.cancelled().await;
                Ok::<(), WorkerError>(())
            })
            .boxed()
    }
}

async fn pause(stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(PAUSE) => {}
        () = stop.cancelled() => {}
    }
}
