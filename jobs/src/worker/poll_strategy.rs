//! When an apalis worker looks for bells: when one is rung, and every so often.
//!
//! apalis's own strategies lose their timer in a race, and without one a worker looks only at its heartbeat
//! (docs/decisions/0001). This one always leaves a waker behind: the interval is polled until it is pending, and a
//! subscriber rings at every call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use apalis::prelude::PollStrategy;
use apalis_core::backend::ext::poll_strategy::PollSnapshot;
use futures_util::task::AtomicWaker;
use tokio::time::{Interval, MissedTickBehavior};

/// Something that can be rung, and wakes one worker.
#[derive(Debug, Clone, Default)]
pub struct Notifier(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    notified: AtomicBool,
    waker: AtomicWaker,
}

impl Notifier {
    /// Wakes the worker, now or as soon as it listens.
    pub fn notify(&self) {
        self.0.notified.store(true, Ordering::Release);
        self.0.waker.wake();
    }
}

/// Looks at every ring, and every so often without one.
#[derive(Debug)]
pub struct NotifiedPollStrategy {
    every: Interval,
    notifier: Notifier,
}

impl NotifiedPollStrategy {
    /// Looks whenever `bell` is rung, and every `period`.
    #[must_use]
    pub fn new(notifier: Notifier, period: Duration) -> Self {
        let mut every = tokio::time::interval(period);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { every, notifier }
    }
}

impl PollStrategy for NotifiedPollStrategy {
    fn poll_drive(&mut self, cx: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        self.notifier.0.waker.register(cx.waker());
        let mut due = self.notifier.0.notified.swap(false, Ordering::AcqRel);
        while self.every.poll_tick(cx).is_ready() {
            due = true;
        }
        if due { Poll::Ready(Some(())) } else { Poll::Pending }
    }
}
