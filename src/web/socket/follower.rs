//! Follows the events, in the order of their ids, each once.
//!
//! Pub/sub loses whatever is published while nobody listens, so hearing is only the quick way. Whenever an id is not the
//! next one, nothing was heard for a while, or the connection is new, the table is read from the last event on. Ids are
//! given under a lock just before the commit: a table that holds event 7 holds all it will ever hold below 7, so that a
//! hole that a read does not fill (a rolled back transaction) is none. Servers that are away are tried again for ever;
//! what happens meanwhile is in the table when it comes back.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::coalesce::Coalescer;
use super::feed::{Feed, FeedError};
use crate::domain::backoff::Backoff;
use crate::domain::event::RecordedEvent;

/// After so much silence the table is asked: the most that a lost publish can cost.
const SILENCE: Duration = Duration::from_secs(2);
/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many events are read at once, and the pause before the next ones: long enough for sockets to carry them away,
/// so that catching up does not look like slow clients.
const BATCH: usize = 100;
const BREATH: Duration = Duration::from_millis(10);
/// The waits between attempts.
const BACKOFF: Backoff = Backoff { base: Duration::from_millis(100), cap: Duration::from_secs(5) };

/// What comes over Redis.
enum Heard {
    Event(RecordedEvent),
    /// A new connection, or a message that cannot be read: something may have been missed.
    Doubt,
}

/// The one reader of events in this process.
pub(in crate::web) struct Follower {
    feed: Arc<dyn Feed>,
    deliver: Box<dyn Fn(Vec<RecordedEvent>) + Send + Sync>,
    coalescer: Coalescer,
    /// The last event that was followed, whether it has gone out or is held back.
    last: i64,
    /// When the table is asked next.
    look_at: Instant,
    /// Attempts to read the table that failed, since one that did not.
    failures: u32,
}

impl Follower {
    /// Passes the events after the id `last` to `deliver`.
    pub(in crate::web) fn new(
        feed: Arc<dyn Feed>,
        last: i64,
        deliver: impl Fn(Vec<RecordedEvent>) + Send + Sync + 'static,
    ) -> Self {
        let coalescer = Coalescer::default();
        Self { feed, deliver: Box::new(deliver), coalescer, last, look_at: Instant::now() + SILENCE, failures: 0 }
    }

    /// Follows until the process ends.
    pub(in crate::web) async fn run(mut self) {
        let mut ears = pin!(listen(Arc::clone(&self.feed)));
        loop {
            let release_at = self.coalescer.next_release();
            tokio::select! {
                Some(heard) = ears.next() => self.hear(heard).await,
                () = sleep_until(self.look_at) => { self.catch_up().await; }
                () = sleep_until(release_at.unwrap_or(self.look_at)), if release_at.is_some() => self.release(),
            }
        }
    }

    async fn hear(&mut self, heard: Heard) {
        // Where the table cannot be read, what is heard now is read from it later; the timer sees to it.
        if self.failures > 0 {
            return;
        }
        let Heard::Event(event) = heard else {
            self.catch_up().await;
            return;
        };
        if event.id > self.last + 1 && !self.catch_up().await {
            return;
        }
        self.look_at = Instant::now() + SILENCE;
        if event.id > self.last {
            self.follow(event);
            // Sockets on this thread get their turn in a burst.
            tokio::task::yield_now().await;
        }
    }

    /// Reads whatever the table holds after the last event; says whether it could.
    async fn catch_up(&mut self) -> bool {
        loop {
            match self.read().await {
                Ok(events) => {
                    let more = events.len() == BATCH;
                    for event in events {
                        self.follow(event);
                    }
                    self.failures = 0;
                    self.look_at = Instant::now() + SILENCE;
                    if !more {
                        return true;
                    }
                }
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    let retry = BACKOFF.longest_delay(self.failures);
                    tracing::warn!(%error, retry_ms = retry.as_millis(), "events cannot be read from their table");
                    self.look_at = Instant::now() + retry;
                    return false;
                }
            }
            sleep(BREATH).await;
        }
    }

    async fn read(&self) -> Result<Vec<RecordedEvent>, FeedError> {
        let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
        timeout(PATIENCE, self.feed.list_after(self.last, limit)).await.map_err(|_| FeedError::Silent(PATIENCE))?
    }

    fn follow(&mut self, event: RecordedEvent) {
        self.last = event.id;
        let out = self.coalescer.admit(event, Instant::now());
        (self.deliver)(out);
    }

    fn release(&mut self) {
        let out = self.coalescer.release(Instant::now());
        (self.deliver)(out);
    }
}

/// Hears events for ever, over as many connections as it takes. A stream, so that waiting for something else meanwhile
/// does not begin the connecting anew.
fn listen(feed: Arc<dyn Feed>) -> impl Stream<Item = Heard> {
    stream::unfold(Ears { feed, connection: None, failures: 0 }, |mut ears| async move {
        let heard = ears.hear().await;
        Some((heard, ears))
    })
}

struct Ears {
    feed: Arc<dyn Feed>,
    connection: Option<BoxStream<'static, Result<RecordedEvent, FeedError>>>,
    failures: u32,
}

impl Ears {
    async fn hear(&mut self) -> Heard {
        loop {
            let Some(connection) = &mut self.connection else {
                match self.connect().await {
                    Ok(()) => return Heard::Doubt,
                    Err(error) => tracing::warn!(%error, "events cannot be heard; they are read from their table"),
                }
                self.failures = self.failures.saturating_add(1);
                continue;
            };
            match connection.next().await {
                Some(Ok(event)) => {
                    self.failures = 0;
                    return Heard::Event(event);
                }
                Some(Err(error)) => {
                    tracing::warn!(%error, "an event was heard that cannot be read");
                    return Heard::Doubt;
                }
                None => {
                    tracing::warn!("the connection that events are heard over has ended");
                    self.connection = None;
                    self.failures = self.failures.saturating_add(1);
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<(), FeedError> {
        sleep(BACKOFF.longest_delay(self.failures)).await;
        let connection = timeout(PATIENCE, self.feed.listen()).await.map_err(|_| FeedError::Silent(PATIENCE))??;
        self.connection = Some(connection);
        Ok(())
    }
}
