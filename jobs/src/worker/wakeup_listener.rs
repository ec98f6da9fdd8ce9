//! Hears bells: the only consumer of apalis.
//!
//! apalis wakes, nothing more: a handler takes any payload, always acknowledges, and wakes the claimer, who asks the jobs table
//! what is due. An apalis worker that dies (a slow answer, a restart or a FLUSHALL of Redis) is built anew under a new name
//! after a pause; the jobs at work do not notice, and the claimer goes on looking by itself. apalis's `Monitor` was
//! rejected: it restarts without a pause, and may end well although every worker is dead.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use apalis::prelude::{BackendExt, WorkerBuilder, WorkerError};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use psp_dashboard::redis::Redis;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::claimer::Claimer;
use super::poll_strategy::{NotifiedPollStrategy, Notifier};

/// How often bells are looked for when no call is heard.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long to wait before Redis is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A queue and the bell that wakes its apalis worker.
#[derive(Clone)]
struct QueueNotifier {
    queue: String,
    notifier: Notifier,
}

/// Wakes `claimer` at every bell of `queues`, until `stop`; what it starts is tracked by `tasks`.
pub fn listen(redis: &Redis, queues: &[String], claimer: &Claimer, stop: &CancellationToken, tasks: &TaskTracker) {
    let notifiers: Vec<QueueNotifier> =
        queues.iter().map(|queue| QueueNotifier { queue: queue.clone(), notifier: Notifier::default() }).collect();
    tasks.spawn(hear(redis.clone(), notifiers.clone(), stop.clone()));
    for QueueNotifier { queue, notifier } in notifiers {
        let answering = QueueListener { redis: redis.clone(), queue, notifier, claimer: claimer.clone() };
        tasks.spawn(answering.run(stop.clone()));
    }
}

/// Rings the bells of all queues as they are called, over one connection, and whenever hearing begins anew.
async fn hear(redis: Redis, notifiers: Vec<QueueNotifier>, stop: CancellationToken) {
    let by_channel: HashMap<String, Notifier> = notifiers
        .into_iter()
        .map(|QueueNotifier { queue, notifier }| (redis.wakeup_channel(&queue), notifier))
        .collect();
    let channels: Vec<String> = by_channel.keys().cloned().collect();
    while !stop.is_cancelled() {
        match redis.subscribe(&channels).await {
            Ok(subscriber) => {
                by_channel.values().for_each(Notifier::notify);
                let mut calls = pin!(subscriber.into_on_message().take_until(stop.cancelled()));
                while let Some(call) = calls.next().await {
                    by_channel.get(call.get_channel_name()).inspect(|notifier| notifier.notify());
                }
            }
            Err(error) => tracing::warn!(%error, "calls cannot be heard; due jobs are looked for every second"),
        }
        pause(&stop).await;
    }
}

/// Answers the bells of one queue.
struct QueueListener {
    redis: Redis,
    queue: String,
    notifier: Notifier,
    claimer: Claimer,
}

impl QueueListener {
    /// Answers until `stop`, through one apalis worker after another.
    async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let ended = self.run_apalis(stop.clone()).await;
            if !stop.is_cancelled() {
                tracing::warn!(queue = %self.queue, ?ended, "the bells of the queue fell silent; they are hung up again");
                pause(&stop).await;
            }
        }
    }

    fn run_apalis(&self, stop: CancellationToken) -> BoxFuture<'static, Result<(), WorkerError>> {
        let notifiers = self.redis.wakeups(&self.queue);
        let name = format!("{}-{}", self.queue, Uuid::now_v7());
        let claimer = self.claimer.clone();
        WorkerBuilder::new(name)
            .backend(notifiers.poll_with_strategy(NotifiedPollStrategy::new(self.notifier.clone(), LOOK_EVERY)))
            .build(move |_payload: Value| {
                claimer.wake();
                async {}
            })
            .run_until(async move {
                stop.cancelled().await;
                Ok::<(), WorkerError>(())
            })
            .boxed()
    }
}

async fn pause(stop: &CancellationToken) {
    stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
}
