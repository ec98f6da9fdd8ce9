//! Delivers events to every client of the process, and keeps a history of the last ones.
//!
//! The hub never waits for a client: delivery puts a pointer into each outbox under one short lock. The same lock makes
//! joining exact: the missed events are copied and the outbox is registered in one step, so that no event is lost between
//! the two.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::coalesce::coalesce_past;
use super::feed::{Feed, FeedError};
use super::follower::Follower;
use super::message::{Notice, Outgoing};
use super::outbox::Outbox;
use crate::clock::SharedClock;
use crate::domain::access::Principal;
use crate::domain::event::RecordedEvent;
use crate::domain::event_names::EventNames;
use crate::observability::record;

/// How many events are in memory for reconnecting clients; older ones are in the table.
const REMEMBERED: usize = 1_000;
/// How many missed events are replayed at most.
const REPLAYED_AT_MOST: i64 = 5_000;
/// How long a reconnecting client waits for the table; without it, it gets a gap.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long a shutdown waits for the clients.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);
/// About the time it takes to send to one client. Events that come within the time it takes to send to all are sent together:
/// many clients then cost a message of several events, instead of one message after another.
const SENDING_TIME: Duration = Duration::from_micros(20);
const LONGEST_SENDING_TIME: Duration = Duration::from_millis(100);

pub struct Hub {
    feed: Arc<dyn Feed>,
    clock: SharedClock,
    names: EventNames,
    state: Mutex<HubState>,
    closing: CancellationToken,
    sessions: TaskTracker,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Hub").field("clients", &self.clients()).finish_non_exhaustive()
    }
}

struct HubState {
    names: EventNames,
    history: History,
    members: Vec<Weak<Outbox>>,
}

/// The last events that were sent.
struct History {
    events: VecDeque<Arc<Outgoing>>,
    /// Every event after this id is in memory.
    since: i64,
}

/// What a client gets when it joins.
pub(in crate::web) struct Membership {
    pub(in crate::web) outbox: Arc<Outbox>,
    /// The newest event that was sent.
    pub(in crate::web) last_event_id: i64,
    /// Whether some of the missed events are unavailable.
    pub(in crate::web) gap: bool,
}

impl Membership {
    /// The first message to the client; `known` is the last event that it knows.
    pub(in crate::web) fn welcome(&self, known: Option<i64>) -> Vec<Notice> {
        let gap = known.filter(|_| self.gap).map(Notice::gap);
        [Notice::connected(self.last_event_id)].into_iter().chain(gap).collect()
    }
}

/// Missed events that are older than the history in memory.
struct Older {
    /// It is complete after this id.
    since: i64,
    events: Vec<RecordedEvent>,
}

impl Hub {
    /// Starts following the events after the newest one of the table. Fails if the table cannot be read.
    pub async fn start(feed: Arc<dyn Feed>, clock: SharedClock, names: EventNames) -> Result<Arc<Self>, FeedError> {
        let (_, newest) = feed.get_bounds().await?;
        let room = HubState { names, history: History { events: VecDeque::new(), since: newest }, members: vec![] };
        let hub = Arc::new(Self {
            feed: Arc::clone(&feed),
            clock,
            names,
            state: Mutex::new(room),
            closing: CancellationToken::new(),
            sessions: TaskTracker::new(),
        });
        let receiver = Arc::clone(&hub);
        let follower = Follower::new(feed, newest, move |events| receiver.deliver(events));
        let closing = hub.closing.clone();
        tokio::spawn(async move { closing.run_until_cancelled_owned(follower.run()).await });
        Ok(hub)
    }

    /// The number of connected clients: sockets and streams.
    #[must_use]
    pub fn clients(&self) -> usize {
        self.sessions.len()
    }

    /// Ends every stream, closes every socket (1001), and waits a short time for the clients to confirm it.
    pub async fn close(&self) {
        self.closing.cancel();
        self.sessions.close();
        if timeout(LEAVE_WITHIN, self.sessions.wait()).await.is_err() {
            tracing::info!(clients = self.clients(), "some clients of live events did not confirm the end");
        }
    }

    /// Is cancelled when the process stops.
    pub(in crate::web) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    pub(in crate::web) fn clock(&self) -> &SharedClock {
        &self.clock
    }

    /// Under which names it sends events.
    pub(in crate::web) fn names(&self) -> EventNames {
        self.names
    }

    /// Counts a client until it is dropped.
    pub(in crate::web) fn count_client(&self) -> TaskTrackerToken {
        self.sessions.token()
    }

    /// Puts events into the outbox of every client, in order. Returns how long sending them takes, more or less.
    fn deliver(&self, events: Vec<RecordedEvent>) -> Duration {
        if events.is_empty() {
            return Duration::ZERO;
        }
        record::live_events(events.len());
        let outgoing = |event| Arc::new(Outgoing::new(event, self.names));
        let events: Vec<Arc<Outgoing>> = events.into_iter().map(outgoing).collect();
        let mut state = self.state();
        for event in &events {
            state.history.keep(Arc::clone(event));
        }
        state.members.retain(|member| member.upgrade().is_some_and(|outbox| outbox.offer(&events)));
        let clients = u32::try_from(state.members.len()).unwrap_or(u32::MAX);
        SENDING_TIME.saturating_mul(clients).min(LONGEST_SENDING_TIME)
    }

    /// Registers a client that knows all events up to `since`, or wants only future ones.
    pub(in crate::web) async fn join(&self, principal: Principal, since: Option<i64>) -> Membership {
        let Some(since) = since else {
            let mut room = self.state();
            let newest = room.history.newest();
            return room.register(principal, newest, vec![], false);
        };
        let (remembered, newest) = {
            let mut room = self.state();
            if room.history.covers(since) {
                return room.register(principal, since, vec![], false);
            }
            (room.history.since, room.history.newest())
        };
        let older = timeout(TIMEOUT, self.read_older(since, newest)).await.unwrap_or(Err(FeedError::Silent(TIMEOUT)));
        let older = older.unwrap_or_else(|error| {
            tracing::warn!(%error, since, "missed events of a client cannot be read");
            Older { since: remembered, events: vec![] }
        });
        let mut room = self.state();
        // While the table was read, more events may have been sent than the history holds.
        let overtaken = room.history.since > newest.max(older.since);
        room.register(principal, older.since, older.events, overtaken || older.since != since)
    }

    /// Reads missed events from the table.
    async fn read_older(&self, since: i64, newest: i64) -> Result<Older, FeedError> {
        let (oldest, kept) = self.feed.get_bounds().await?;
        if since > newest {
            // The client comes from a process that is ahead of this one, or from a restored database.
            return Ok(Older { since: if since <= kept { since } else { newest }, events: vec![] });
        }
        let since = since.max(oldest - 1).max(newest - REPLAYED_AT_MOST);
        Ok(Older { since, events: self.feed.list_after(since, REPLAYED_AT_MOST).await?.events })
    }

    fn state(&self) -> MutexGuard<'_, HubState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HubState {
    /// Registers an outbox with `older`, then the history after `since`, then future events.
    fn register(&mut self, principal: Principal, since: i64, older: Vec<RecordedEvent>, gap: bool) -> Membership {
        let older = older.into_iter().filter(|event| event.id <= self.history.since);
        let remembered = self.history.events.iter().map(|event| &event.recorded).filter(|event| event.id > since);
        let missed = coalesce_past(older.chain(remembered.cloned()));
        let missed = missed.into_iter().map(|event| Arc::new(Outgoing::new(event, self.names))).collect();
        let outbox = Arc::new(Outbox::new(principal, since, missed));
        self.members.push(Arc::downgrade(&outbox));
        Membership { outbox, last_event_id: self.history.newest().max(since), gap }
    }
}

impl History {
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
