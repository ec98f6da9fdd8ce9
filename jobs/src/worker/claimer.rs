//! Who claims for all hands of a worker: one task, so that many bells are one look, and many jobs one statement.
//!
//! It looks when it is woken, when a hand comes free while more was due, and once a second by itself: a bell that was lost,
//! a retry whose time has come, a Redis that is away all cost at most that second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::executor::{Claimed, Executor};

/// How often it looks when nobody wakes it: the longest that a due job waits for a free hand.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Claims for the hands of a worker.
#[derive(Clone)]
pub struct Claimer {
    executor: Arc<Executor>,
    woken: Arc<Notify>,
    /// Whether more was due than there were hands: the next that comes free is given something to do.
    more: Arc<AtomicBool>,
}

impl Claimer {
    /// Claims for `hands`.
    #[must_use]
    pub fn new(executor: Arc<Executor>) -> Self {
        Self { executor, woken: Arc::default(), more: Arc::default() }
    }

    /// Lets it look, now or as soon as it can.
    pub fn wake(&self) {
        self.woken.notify_one();
    }

    /// Claims until `stop`; not a job more after it.
    pub async fn run(self, stop: CancellationToken) {
        let mut beat = tokio::time::interval(LOOK_EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.woken.notified() => {}
                _ = beat.tick() => {}
            }
            // What is awaited here is never dropped half-way: jobs that were claimed must be run.
            while !stop.is_cancelled() && self.look().await {}
        }
    }

    /// Claims what it can, and says whether to look again at once.
    async fn look(&self) -> bool {
        let claimer = self.clone();
        let come_free = move || {
            if claimer.more.load(Ordering::Acquire) {
                claimer.wake();
            }
        };
        // Until it is known better: a hand that comes free in the middle of the look must not go unnoticed.
        self.more.store(true, Ordering::Release);
        match self.executor.claim(come_free).await {
            Ok(Claimed::Some(count)) => count > 0,
            Ok(Claimed::All(_)) => {
                self.more.store(false, Ordering::Release);
                false
            }
            Err(error) => {
                tracing::warn!(%error, "no job could be claimed; it is tried again within a second");
                false
            }
        }
    }
}
