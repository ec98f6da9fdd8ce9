//! The queue of events for one client.
//!
//! The hub adds events without waiting; the session removes them at the client's speed. The queue is bounded: if it is
//! full, superseded progress is dropped, and a client that still cannot keep up is disconnected.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::coalesce::Lane;
use super::message::Outgoing;
use crate::domain::access::Principal;
use crate::domain::masking::PiiAccess;
use crate::domain::subscription::Subscription;
use crate::observability::record;

/// The capacity. Events are shared, so that each costs a pointer.
pub(in crate::web) const CAPACITY: usize = 1_024;

#[derive(Debug)]
pub(in crate::web) struct Outbox {
    waiting: Mutex<Waiting>,
    added: Notify,
    overflow: CancellationToken,
}

#[derive(Debug)]
struct Waiting {
    /// Only events that it may see are added.
    principal: Principal,
    events: VecDeque<Arc<Outgoing>>,
    subscription: Subscription,
    /// Replayed events do not count against the capacity until they are sent.
    room: usize,
    /// The newest event offered, subscribed or not.
    newest: i64,
    /// Everything up to this event was taken, or was not subscribed.
    done: i64,
}

impl Outbox {
    /// For a client that knows everything up to `since`; `missed` is sent first.
    pub(in crate::web) fn new(principal: Principal, since: i64, mut missed: Vec<Arc<Outgoing>>) -> Self {
        let newest = missed.last().map_or(since, |event| event.recorded.id);
        missed.retain(|event| event.recorded.event.is_visible_to(&principal));
        let waiting = Waiting {
            room: CAPACITY.max(missed.len()),
            newest,
            done: if missed.is_empty() { newest } else { since },
            principal,
            events: missed.into(),
            subscription: Subscription::default(),
        };
        Self { waiting: Mutex::new(waiting), added: Notify::new(), overflow: CancellationToken::new() }
    }

    /// Adds those of the events to which the client is subscribed and which it does not have yet. Returns whether there was room;
    /// without, the client loses everything that waits, and is disconnected.
    pub(in crate::web) fn offer(&self, events: &[Arc<Outgoing>]) -> bool {
        let mut waiting = self.waiting();
        let has_room = events.iter().all(|event| waiting.offer(event));
        if !has_room {
            waiting.events = VecDeque::new();
            self.overflow.cancel();
            record::live_client_dropped();
        }
        let is_empty = waiting.events.is_empty();
        drop(waiting);
        if !is_empty {
            self.added.notify_one();
        }
        has_room
    }

    /// Removes the next event if there is one.
    pub(in crate::web) fn try_next(&self) -> Option<Arc<Outgoing>> {
        self.waiting().take()
    }

    /// Waits for the next event and removes it.
    pub(in crate::web) async fn next(&self) -> Arc<Outgoing> {
        loop {
            if let Some(event) = self.try_next() {
                return event;
            }
            self.added.notified().await;
        }
    }

    /// Replaces the subscription, also for waiting events.
    pub(in crate::web) fn subscribe(&self, subscription: Subscription) {
        let mut waiting = self.waiting();
        waiting.events.retain(|event| subscription.wants(&event.recorded.event));
        waiting.subscription = subscription;
        waiting.settle();
    }

    /// The newest event that the client received, or was not subscribed to.
    pub(in crate::web) fn position(&self) -> i64 {
        self.waiting().done
    }

    /// Whether the client sees personal data.
    pub(in crate::web) fn pii_access(&self) -> PiiAccess {
        PiiAccess::for_role(self.waiting().principal.role)
    }

    /// Completes when the client could not keep up.
    pub(in crate::web) async fn overflowed(&self) {
        self.overflow.cancelled().await;
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// Returns whether there was room.
    fn offer(&mut self, event: &Arc<Outgoing>) -> bool {
        let id = event.recorded.id;
        // A client from a process that is ahead of this one has received it there.
        if id <= self.newest {
            return true;
        }
        self.newest = id;
        let recorded = &event.recorded.event;
        if self.subscription.wants(recorded) && recorded.is_visible_to(&self.principal) {
            if self.events.len() >= self.room {
                self.forget_superseded(event);
            }
            if self.events.len() >= self.room {
                return false;
            }
            self.events.push_back(Arc::clone(event));
        }
        self.settle();
        true
    }

    fn take(&mut self) -> Option<Arc<Outgoing>> {
        let event = self.events.pop_front()?;
        self.room = CAPACITY.max(self.room - 1);
        self.done = event.recorded.id;
        self.settle();
        Some(event)
    }

    fn settle(&mut self) {
        if self.events.is_empty() {
            self.done = self.newest;
        }
    }

    /// Drops superseded progress: only the last per source remains, including `next`.
    fn forget_superseded(&mut self, next: &Outgoing) {
        let mut seen: Vec<Lane> = progress(next).into_iter().collect();
        let offered = self.events.len();
        let mut kept = VecDeque::with_capacity(offered);
        for event in self.events.drain(..).rev() {
            match progress(&event) {
                Some(lane) if seen.contains(&lane) => continue,
                Some(lane) => seen.push(lane),
                None => {}
            }
            kept.push_front(event);
        }
        record::live_events_dropped(offered - kept.len());
        self.events = kept;
    }
}

fn progress(event: &Outgoing) -> Option<Lane> {
    Lane::from_event(&event.recorded.event).filter(|lane| matches!(lane, Lane::Progress(_)))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{new_transactions, progress as progressed};
    use super::*;
    use crate::domain::event::RecordedEvent;
    use crate::domain::transaction::Source;

    fn outgoing(event: RecordedEvent) -> Arc<Outgoing> {
        Arc::new(event.into())
    }

    fn taken(outbox: &Outbox) -> Vec<i64> {
        std::iter::from_fn(|| outbox.waiting().take()).map(|event| event.recorded.id).collect()
    }

    fn fill(outbox: &Outbox, ids: std::ops::RangeInclusive<usize>) {
        for id in ids {
            outbox.offer(&[outgoing(new_transactions(i64::try_from(id).expect("small"), Source::Vima))]);
        }
    }

    #[test]
    fn superseded_progress_is_dropped_for_room() {
        let outbox = Outbox::new(Principal::anyone(), 0, vec![]);
        outbox.offer(&[outgoing(progressed(1, Source::Vima, 1))]);
        outbox.offer(&[outgoing(progressed(2, Source::Payshack, 1))]);
        outbox.offer(&[outgoing(progressed(3, Source::Vima, 2))]);
        fill(&outbox, 4..=CAPACITY + 1);
        assert!(!outbox.overflow.is_cancelled());
        let ids = taken(&outbox);
        assert_eq!((ids.len(), &ids[..3]), (CAPACITY, &[2, 3, 4][..]));
    }

    #[test]
    fn slow_client_overflows() {
        let outbox = Outbox::new(Principal::anyone(), 0, vec![]);
        fill(&outbox, 1..=CAPACITY);
        assert!(!outbox.overflow.is_cancelled());
        fill(&outbox, CAPACITY + 1..=CAPACITY + 1);
        assert!(outbox.overflow.is_cancelled());
        assert_eq!(taken(&outbox), [0; 0], "a client that is lost costs no memory");
    }

    #[test]
    fn replayed_events_do_not_count_against_the_capacity() {
        let missed = (1..=3 * CAPACITY)
            .map(|id| outgoing(new_transactions(i64::try_from(id).expect("small"), Source::Vima)))
            .collect();
        let outbox = Outbox::new(Principal::anyone(), 0, missed);
        for _ in 0..CAPACITY {
            outbox.waiting().take();
        }
        assert_eq!(outbox.waiting().room, 2 * CAPACITY);
        taken(&outbox);
        assert_eq!(outbox.waiting().room, CAPACITY);
    }

    #[test]
    fn position_passes_unsubscribed_events() {
        let outbox = Outbox::new(Principal::anyone(), 5, vec![]);
        assert_eq!(outbox.position(), 5);
        fill(&outbox, 6..=7);
        assert_eq!(outbox.position(), 5);
        outbox.subscribe(Subscription { events: vec!["alert".to_owned()], sources: vec![] });
        assert_eq!(outbox.position(), 7);
        fill(&outbox, 8..=8);
        assert_eq!((outbox.position(), taken(&outbox)), (8, vec![]));
    }
}
