//! When an apalis worker fetches messages: when it is notified, and periodically.
//!
//! apalis's own strategies lose their timer in a race, and a worker without it fetches only at its heartbeat
//! (docs/decisions/0001). This one always leaves a waker registered: the interval is polled until it is pending, and the
//! subscriber notifies for every message.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use apalis::prelude::PollStrategy;
use apalis_core::backend::ext::poll_strategy::PollSnapshot;
use futures_util::task::AtomicWaker;
use tokio::time::{Interval, MissedTickBehavior};

/// Makes one apalis worker fetch.
#[derive(Debug, Clone, Default)]
pub struct Notifier(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    notified: AtomicBool,
    waker: AtomicWaker,
}

impl Notifier {
    /// Makes the worker fetch now, or as soon as it polls.
    pub fn notify(&self) {
        self.0.notified.store(true, Ordering::Release);
        self.0.waker.wake();
    }
}

#[derive(Debug)]
pub struct NotifiedPollStrategy {
    interval: Interval,
    notifier: Notifier,
}

impl NotifiedPollStrategy {
    #[must_use]
    pub fn new(notifier: Notifier, period: Duration) -> Self {
        let mut interval = tokio::time::interval(period);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { interval, notifier }
    }
}

impl PollStrategy for NotifiedPollStrategy {
    fn poll_drive(&mut self, cx: &mut Context<'_>, _: &PollSnapshot) -> Poll<Option<()>> {
        self.notifier.0.waker.register(cx.waker());
        let mut due = self.notifier.0.notified.swap(false, Ordering::AcqRel);
        while self.interval.poll_tick(cx).is_ready() {
            due = true;
        }
        if due { Poll::Ready(Some(())) } else { Poll::Pending }
    }
}
