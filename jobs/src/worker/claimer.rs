//! Claims jobs for all slots of a worker: one task, so that many wake-ups become one query, and many jobs one statement.
//!
//! It claims on a wake-up, when a slot becomes free while more jobs are due, and once a second. So a lost wake-up, a retry
//! that becomes due, and an outage of Redis all cost at most that second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::executor::{ClaimResult, Executor};

/// The longest time that a due job waits for a free slot.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub struct Claimer {
    executor: Arc<Executor>,
    wakeup: Arc<Notify>,
    /// Whether more jobs were due than slots were free: then the next free slot is filled at once.
    more_due: Arc<AtomicBool>,
}

impl Claimer {
    #[must_use]
    pub fn new(executor: Arc<Executor>) -> Self {
        Self { executor, wakeup: Arc::default(), more_due: Arc::default() }
    }

    /// Makes it claim now, or again after the claim in progress.
    pub fn wake(&self) {
        self.wakeup.notify_one();
    }

    /// Claims until `stop`, and nothing after it.
    pub async fn run(self, stop: CancellationToken) {
        let mut interval = tokio::time::interval(POLL_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.wakeup.notified() => {}
                _ = interval.tick() => {}
            }
            // Outside of the select, so that a claim is never dropped half-way: claimed jobs must run.
            while !stop.is_cancelled() && self.claim().await {}
        }
    }

    /// Claims what it can, and returns whether to claim again at once.
    async fn claim(&self) -> bool {
        let claimer = self.clone();
        let on_slot_free = move || {
            if claimer.more_due.load(Ordering::Acquire) {
                claimer.wake();
            }
        };
        // Set before the result is known, so that a slot that becomes free during the claim is not missed.
        self.more_due.store(true, Ordering::Release);
        match self.executor.claim(on_slot_free).await {
            Ok(ClaimResult { started, more_due }) => {
                self.more_due.store(more_due, Ordering::Release);
                more_due && started > 0
            }
            Err(error) => {
                tracing::warn!(%error, "failed to claim jobs, retrying within a second");
                false
            }
        }
    }
}
