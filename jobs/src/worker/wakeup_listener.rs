//! Hears bells: the only consumer of apalis.
//!
//! apalis wakes, nothing more: a handler takes any payload, always acknowledges, and wakes the claimer, who asks the ledger
//! what is due. An apalis worker that dies (a slow answer, a restart or a FLUSHALL of Redis) is built anew under a new name
//! after a pause; the jobs at work do not notice, and the claimer goes on looking by itself. apalis's `Monitor` was
//! rejected: it restarts without a pause, and may end well although every worker is dead.

use std::collections::HashMap;
use std::pin::pin;
use std::time::Duration;

use apalis::prelude::{BackendExt, WorkerBuilder, WorkerError};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use psp_dashboard::redis::Wire;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

use super::claimer::Claimer;
use super::poll_strategy::{Bell, Wake};

/// How often bells are looked for when no call is heard.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long to wait before Redis is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A queue and the bell that wakes its apalis worker.
#[derive(Clone)]
struct QueueBell {
    queue: String,
    bell: Bell,
}

/// Wakes `claimer` at every bell of `queues`, until `stop`; what it starts is tracked by `tasks`.
pub fn hang_up(wire: &Wire, queues: &[String], claimer: &Claimer, stop: &CancellationToken, tasks: &TaskTracker) {
    let bells: Vec<QueueBell> =
        queues.iter().map(|queue| QueueBell { queue: queue.clone(), bell: Bell::default() }).collect();
    tasks.spawn(hear(wire.clone(), bells.clone(), stop.clone()));
    for QueueBell { queue, bell } in bells {
        let answering = Answering { wire: wire.clone(), queue, bell, claimer: claimer.clone() };
        tasks.spawn(answering.run(stop.clone()));
    }
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
            Err(error) => tracing::warn!(%error, "calls cannot be heard; due jobs are looked for every second"),
        }
        pause(&stop).await;
    }
}

/// Answers the bells of one queue.
struct Answering {
    wire: Wire,
    queue: String,
    bell: Bell,
    claimer: Claimer,
}

impl Answering {
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
        let bells = self.wire.bells(&self.queue);
        let name = format!("{}-{}", self.queue, Uuid::now_v7());
        let claimer = self.claimer.clone();
        WorkerBuilder::new(name)
            .backend(bells.poll_with_strategy(Wake::new(self.bell.clone(), LOOK_EVERY)))
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
