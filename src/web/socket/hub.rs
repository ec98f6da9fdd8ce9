//! The room in which events are handed to every socket of the process, and the memory of the last ones.
//!
//! Nothing here waits for a client: handing out is laying a pointer into each outbox under one short lock. The same lock
//! makes joining exact: what a newcomer missed is copied and it begins to hear in one step, so that no event falls
//! between the two.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use poem::web::websocket::WebSocketStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::coalesce::thin;
use super::feed::{Feed, FeedError};
use super::follower::Follower;
use super::message::{Notice, Outgoing};
use super::outbox::Outbox;
use super::session::Session;
use crate::clock::SharedClock;
use crate::domain::event::RecordedEvent;

/// How many events are remembered for clients that come back; older ones are in the table.
const REMEMBERED: usize = 1_000;
/// How far back a client may come from.
const REPLAYED_AT_MOST: i64 = 5_000;
/// How long the table may take for a client that comes back; it can do without what it missed.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the process waits for its sockets when it ends.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// All sockets of this process.
pub struct Hub {
    feed: Arc<dyn Feed>,
    clock: SharedClock,
    room: Mutex<Room>,
    closing: CancellationToken,
    sessions: TaskTracker,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Hub").field("sockets", &self.sockets()).finish_non_exhaustive()
    }
}

struct Room {
    memory: Memory,
    members: Vec<Weak<Outbox>>,
}

/// What has gone out last.
struct Memory {
    events: VecDeque<Arc<Outgoing>>,
    /// Everything after this id is remembered.
    since: i64,
}

/// A client's place in the room.
pub(in crate::web) struct Membership {
    /// What it will hear.
    pub(in crate::web) outbox: Arc<Outbox>,
    /// The newest event that has gone out.
    pub(in crate::web) last_event_id: i64,
    /// Whether something that it asked for is missing.
    pub(in crate::web) gap: bool,
}

/// What a client missed that is older than our memory.
struct Older {
    /// It is complete from here on.
    since: i64,
    events: Vec<RecordedEvent>,
}

impl Hub {
    /// Begins to follow the events that come after those in the table.
    ///
    /// # Errors
    /// [`FeedError`] where the table cannot be read: without it nobody can say what is new.
    pub async fn start(feed: Arc<dyn Feed>, clock: SharedClock) -> Result<Arc<Self>, FeedError> {
        let (_, newest) = feed.get_bounds().await?;
        let room = Room { memory: Memory { events: VecDeque::new(), since: newest }, members: vec![] };
        let hub = Arc::new(Self {
            feed: Arc::clone(&feed),
            clock,
            room: Mutex::new(room),
            closing: CancellationToken::new(),
            sessions: TaskTracker::new(),
        });
        let receiver = Arc::clone(&hub);
        let follower = Follower::new(feed, newest, move |events| receiver.deliver(events));
        let closing = hub.closing.clone();
        tokio::spawn(async move { closing.run_until_cancelled_owned(follower.run()).await });
        Ok(hub)
    }

    /// How many sockets are open.
    #[must_use]
    pub fn sockets(&self) -> usize {
        self.sessions.len()
    }

    /// Closes every socket (1001) and waits until they have said goodbye, though not for long.
    pub async fn close(&self) {
        self.closing.cancel();
        self.sessions.close();
        if timeout(LEAVE_WITHIN, self.sessions.wait()).await.is_err() {
            tracing::info!(sockets = self.sockets(), "some clients did not answer the close of their sockets");
        }
    }

    /// Serves one socket until it ends. `since` is what its address says of the last event that it knows.
    pub(in crate::web) async fn serve(&self, stream: WebSocketStream, since: Option<String>) {
        self.sessions.track_future(self.converse(stream, since)).await;
    }

    async fn converse(&self, stream: WebSocketStream, since: Option<String>) {
        let known = since.as_deref().and_then(|text| text.parse().ok());
        let Membership { outbox, last_event_id, gap } = self.join(known).await;
        let mut welcome = vec![Notice::connected(last_event_id)];
        welcome.extend(known.filter(|_| gap).map(Notice::gap));
        if since.is_some() && known.is_none() {
            welcome.push(Notice::invalid("since must be the id of an event: nothing is replayed."));
        }
        Session::new(outbox, Arc::clone(&self.clock)).run(stream, welcome, &self.closing).await;
    }

    /// Puts events into the outbox of every socket, in order.
    fn deliver(&self, events: Vec<RecordedEvent>) {
        if events.is_empty() {
            return;
        }
        let mut room = self.room();
        for event in events {
            let event = Arc::new(Outgoing::from(event));
            room.memory.keep(Arc::clone(&event));
            room.members.retain(|member| {
                let member = member.upgrade();
                member.as_ref().inspect(|outbox| outbox.offer(&event)).is_some()
            });
        }
    }

    /// Lets a client in that knows everything up to `since`, or wants only what comes.
    pub(in crate::web) async fn join(&self, since: Option<i64>) -> Membership {
        let Some(since) = since else {
            let mut room = self.room();
            let newest = room.memory.newest();
            return room.admit(newest, vec![], false);
        };
        let (remembered, newest) = {
            let mut room = self.room();
            if room.memory.covers(since) {
                return room.admit(since, vec![], false);
            }
            (room.memory.since, room.memory.newest())
        };
        let older = timeout(PATIENCE, self.read_older(since, newest)).await.unwrap_or(Err(FeedError::Silent(PATIENCE)));
        let older = older.unwrap_or_else(|error| {
            tracing::warn!(%error, since, "what a client missed cannot be read");
            Older { since: remembered, events: vec![] }
        });
        let mut room = self.room();
        // More may have gone out while the table was read than is remembered.
        let overtaken = room.memory.since > newest.max(older.since);
        room.admit(older.since, older.events, overtaken || older.since != since)
    }

    /// Reads what a client missed from the table, as far back as it goes.
    async fn read_older(&self, since: i64, newest: i64) -> Result<Older, FeedError> {
        let (oldest, kept) = self.feed.get_bounds().await?;
        if since > newest {
            // It comes from a process that is ahead of this one, or from a history that is no more.
            return Ok(Older { since: if since <= kept { since } else { newest }, events: vec![] });
        }
        let since = since.max(oldest - 1).max(newest - REPLAYED_AT_MOST);
        Ok(Older { since, events: self.feed.list_after(since, REPLAYED_AT_MOST).await? })
    }

    fn room(&self) -> MutexGuard<'_, Room> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// A place for a client that is to hear what came after `since`: `older`, then what is remembered, then the rest.
    fn admit(&mut self, since: i64, older: Vec<RecordedEvent>, gap: bool) -> Membership {
        let older = older.into_iter().filter(|event| event.id <= self.memory.since);
        let remembered = self.memory.events.iter().map(|event| &event.recorded).filter(|event| event.id > since);
        let missed = thin(older.chain(remembered.cloned()));
        let missed = missed.into_iter().map(|event| Arc::new(Outgoing::from(event))).collect();
        let outbox = Arc::new(Outbox::new(since, missed));
        self.members.push(Arc::downgrade(&outbox));
        Membership { outbox, last_event_id: self.memory.newest().max(since), gap }
    }
}

impl Memory {
    fn keep(&mut self, event: Arc<Outgoing>) {
        if self.events.len() == REMEMBERED {
            self.since = self.events.pop_front().map_or(self.since, |oldest| oldest.recorded.id);
        }
        self.events.push_back(event);
    }

    fn newest(&self) -> i64 {
        self.events.back().map_or(self.since, |event| event.recorded.id)
    }

    fn covers(&self, since: i64) -> bool {
        self.since <= since && since <= self.newest()
    }
}
