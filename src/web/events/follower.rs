//! Follows the events in the order of their ids, each exactly once.
//!
//! Every event comes from the table. A message of pub/sub only says that there may be a new one: it may be lost while the
//! connection is down, and anyone who can write to Redis can send any. So the table is read when an id is announced that was not
//! followed yet, when no announcement arrived for a while, and after a reconnect; one read returns all events of a burst. Ids
//! are assigned under a lock just before the commit: a table with event 7 has all events below 7 that will ever exist, so that
//! a gap (a rolled back transaction) is not an event. Unavailable servers are retried forever; the table has everything that
//! happened meanwhile.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::coalesce::Coalescer;
use super::feed::{Feed, FeedError};
use crate::db::events::EventPage;
use crate::domain::backoff::Backoff;
use crate::domain::event::RecordedEvent;

/// The table is read at least this often: the maximum delay after a lost publish.
const SILENCE: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_secs(5);
/// How many events are read at once, and the pause before the next batch, in which sockets send them, so that catching up
/// does not look like slow clients.
const BATCH: i64 = 100;
const BREATH: Duration = Duration::from_millis(10);
/// After an announcement that the table did not confirm, further ones wait for this long: false ones cause few reads.
const UNCONFIRMED: Duration = Duration::from_millis(100);
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(5) };

enum Received {
    /// An event with this id was recorded, or so it is said.
    Announcement(i64),
    /// A new connection, or an unreadable message: events may have been missed.
    Doubt,
}

/// Delivers events, and returns how long that keeps the process busy.
type Deliver = Box<dyn Fn(Vec<RecordedEvent>) -> Duration + Send + Sync>;

/// The only reader of events in this process.
pub(in crate::web) struct Follower {
    feed: Arc<dyn Feed>,
    deliver: Deliver,
    coalescer: Coalescer,
    /// The last event that was followed, whether it was sent or is delayed.
    last: i64,
    /// When the table is read next.
    next_read_at: Instant,
    /// Before this, no announcement causes a read.
    announcements_count_from: Instant,
    /// Consecutive failures to read the table.
    failures: u32,
}

impl Follower {
    /// Passes the events after the id `last` to `deliver`.
    pub(in crate::web) fn new(
        feed: Arc<dyn Feed>,
        last: i64,
        deliver: impl Fn(Vec<RecordedEvent>) -> Duration + Send + Sync + 'static,
    ) -> Self {
        let now = Instant::now();
        Self {
            feed,
            deliver: Box::new(deliver),
            coalescer: Coalescer::default(),
            last,
            next_read_at: now + SILENCE,
            announcements_count_from: now,
            failures: 0,
        }
    }

    pub(in crate::web) async fn run(mut self) {
        let mut listener = pin!(listen(Arc::clone(&self.feed)));
        loop {
            let release_at = self.coalescer.next_release();
            tokio::select! {
                Some(received) = listener.next() => self.handle(received).await,
                () = sleep_until(self.next_read_at) => self.catch_up().await,
                () = sleep_until(release_at.unwrap_or(self.next_read_at)), if release_at.is_some() => self.release(),
            }
        }
    }

    async fn handle(&mut self, received: Received) {
        // If the table cannot be read, everything is read from it at the next timer.
        if self.failures > 0 || matches!(received, Received::Announcement(id) if id <= self.last) {
            return;
        }
        if Instant::now() < self.announcements_count_from {
            self.next_read_at = self.next_read_at.min(self.announcements_count_from);
            return;
        }
        let last = self.last;
        self.catch_up().await;
        if self.last == last {
            self.announcements_count_from = Instant::now() + UNCONFIRMED;
        }
    }

    /// Delivers events. Those that are announced while the process is busy with them come next, together.
    fn deliver(&mut self, events: Vec<RecordedEvent>) {
        let busy = (self.deliver)(events);
        self.announcements_count_from = self.announcements_count_from.max(Instant::now() + busy);
    }

    /// Reads the table after the last event.
    async fn catch_up(&mut self) {
        loop {
            match self.read().await {
                Ok(page) => {
                    let more = page.is_full;
                    self.follow(page);
                    self.failures = 0;
                    self.next_read_at = Instant::now() + SILENCE;
                    if !more {
                        return;
                    }
                }
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    let retry = BACKOFF.longest_delay(self.failures);
                    tracing::warn!(%error, retry_ms = retry.as_millis(), "events table unavailable, retrying");
                    self.next_read_at = Instant::now() + retry;
                    return;
                }
            }
            sleep(BREATH).await;
        }
    }

    async fn read(&self) -> Result<EventPage, FeedError> {
        timeout(TIMEOUT, self.feed.list_after(self.last, BATCH)).await.map_err(|_| FeedError::Silent(TIMEOUT))?
    }

    fn follow(&mut self, page: EventPage) {
        let mut out = vec![];
        for event in page.events {
            out.extend(self.coalescer.admit(event, Instant::now()));
        }
        self.last = page.last.unwrap_or(self.last);
        self.deliver(out);
    }

    fn release(&mut self) {
        let out = self.coalescer.release(Instant::now());
        self.deliver(out);
    }
}

/// Yields messages forever and reconnects as needed. It is a stream, so that cancelling one wait does not restart the
/// connection attempt.
fn listen(feed: Arc<dyn Feed>) -> impl Stream<Item = Received> {
    stream::unfold(Listener { feed, connection: None, failures: 0 }, |mut listener| async move {
        let received = listener.receive().await;
        Some((received, listener))
    })
}

struct Listener {
    feed: Arc<dyn Feed>,
    connection: Option<BoxStream<'static, Result<i64, FeedError>>>,
    failures: u32,
}

impl Listener {
    async fn receive(&mut self) -> Received {
        loop {
            let Some(connection) = &mut self.connection else {
                match self.connect().await {
                    Ok(()) => return Received::Doubt,
                    Err(error) => tracing::warn!(%error, "event subscription failed, reading events from the table"),
                }
                self.failures = self.failures.saturating_add(1);
                continue;
            };
            match connection.next().await {
                Some(Ok(id)) => {
                    self.failures = 0;
                    return Received::Announcement(id);
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "unreadable announcement of an event");
                    return Received::Doubt;
                }
                None => {
                    tracing::warn!("event subscription ended, reconnecting");
                    self.connection = None;
                    self.failures = self.failures.saturating_add(1);
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<(), FeedError> {
        sleep(BACKOFF.longest_delay(self.failures)).await;
        let connection = timeout(TIMEOUT, self.feed.listen()).await.map_err(|_| FeedError::Silent(TIMEOUT))??;
        self.connection = Some(connection);
        Ok(())
    }
}
