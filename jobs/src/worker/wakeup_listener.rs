//! Receives wake-ups: the only consumer of apalis.
//!
//! apalis only wakes: its handler accepts any payload, always acknowledges, and wakes the claimer, which queries the jobs
//! table. The pub/sub notification that goes ahead of a wake-up wakes the claimer too, some round trips earlier; it is lost
//! when no one listens, the wake-up is not. An apalis worker that stops (after a slow answer, a restart or a FLUSHALL of Redis) is replaced by a new one under
//! a new name after a pause, and so is one whose connection leads to another server after a failover: what it had fetched from
//! the former one would otherwise stay fetched for ever. Running jobs are not affected, and the claimer continues to poll. apalis's `Monitor` was
//! rejected: it restarts without a pause, and may return success although every worker has stopped.

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

/// How often wake-ups are fetched without a notification.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// How long to wait before Redis is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Wakes `claimer` on every wake-up of `queues` until `stop`, in tasks of `tasks`.
pub fn listen(redis: &Redis, queues: &[String], claimer: &Claimer, stop: &CancellationToken, tasks: &TaskTracker) {
    let mut notifiers = HashMap::new();
    for queue in queues {
        let notifier = Notifier::default();
        notifiers.insert(redis.wakeup_channel(queue), notifier.clone());
        let listener = QueueListener { redis: redis.clone(), queue: queue.clone(), notifier, claimer: claimer.clone() };
        tasks.spawn(listener.run(stop.clone()));
    }
    tasks.spawn(hear_notifications(redis.clone(), notifiers, claimer.clone(), stop.clone()));
}

/// Subscribes to the channels of all queues over one connection. A notification wakes the claimer at once and makes the
/// listener of its queue fetch; so does a new subscription, for all queues.
async fn hear_notifications(
    redis: Redis,
    notifiers: HashMap<String, Notifier>,
    claimer: Claimer,
    stop: CancellationToken,
) {
    let channels: Vec<String> = notifiers.keys().cloned().collect();
    while !stop.is_cancelled() {
        match redis.subscribe(&channels).await {
            Ok(subscriber) => {
                claimer.wake();
                notifiers.values().for_each(Notifier::notify);
                let mut messages = pin!(subscriber.take_until(stop.cancelled()));
                while let Some(message) = messages.next().await {
                    claimer.wake();
                    notifiers.get(message.get_channel_name()).inspect(|notifier| notifier.notify());
                }
            }
            Err(error) => tracing::warn!(%error, "failed to subscribe to wake-ups; polling for due jobs every second"),
        }
        pause(&stop).await;
    }
}

/// Receives the wake-ups of one queue.
struct QueueListener {
    redis: Redis,
    queue: String,
    notifier: Notifier,
    claimer: Claimer,
}

impl QueueListener {
    /// Runs one apalis worker after another until `stop`.
    async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let ended = self.run_apalis(stop.clone()).await;
            if !stop.is_cancelled() {
                tracing::warn!(queue = %self.queue, ?ended, "queue listener stopped, restarting");
                pause(&stop).await;
            }
        }
    }

    fn run_apalis(&self, stop: CancellationToken) -> BoxFuture<'static, Result<(), WorkerError>> {
        let wakeups = self.redis.wakeups(&self.queue);
        let name = format!("{}-{}", self.queue, Uuid::now_v7());
        let claimer = self.claimer.clone();
        let replaced = self.redis.replaced();
        WorkerBuilder::new(name)
            .backend(wakeups.poll_with_strategy(NotifiedPollStrategy::new(self.notifier.clone(), POLL_INTERVAL)))
            .build(move |_payload: Value| {
                claimer.wake();
                async {}
            })
            .run_until(async move {
                stop.run_until_cancelled(replaced).await;
                Ok::<(), WorkerError>(())
            })
            .boxed()
    }
}

async fn pause(stop: &CancellationToken) {
    stop.run_until_cancelled(tokio::time::sleep(RETRY_PAUSE)).await;
}
