//! From a feed that can fail, through a real server, to real clients.

mod following;
mod sessions;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use tokio::sync::broadcast;
use uuid::Uuid;

use super::{Feed, FeedError, Hub};
use crate::clock::SystemClock;
use crate::db::DbError;
use crate::db::events::EventPage;
use crate::domain::event::{Event, RecordedEvent};
use crate::domain::event_names::EventNames;
use crate::domain::transaction::Source;

fn recorded(id: i64, event: Event) -> RecordedEvent {
    RecordedEvent { id, timestamp: "2026-01-15T10:00:00Z".parse().expect("a time"), trace_id: None, event }
}

pub(in crate::web) fn progress(id: i64, source: Source, progress: u64) -> RecordedEvent {
    recorded(id, Event::SyncProgress { source, job_id: None, progress, total: None, percent: None })
}

pub(in crate::web) fn completed(id: i64, source: Source) -> RecordedEvent {
    let event =
        Event::SyncCompleted { source, job_id: None, records_synced: 1, inserted: 1, updated: 0, duration_ms: 1 };
    recorded(id, event)
}

pub(in crate::web) fn metrics(id: i64, sources: &[Source]) -> RecordedEvent {
    recorded(id, Event::MetricsUpdated { sources: sources.to_vec() })
}

pub(in crate::web) fn new_transactions(id: i64, source: Source) -> RecordedEvent {
    recorded(id, Event::NewTransactions { source, count: 1 })
}

pub(in crate::web) fn job_failed(id: i64) -> RecordedEvent {
    let event = Event::JobFailed { kind: "export".to_owned(), job_id: Uuid::nil(), error: "no disk".to_owned() };
    recorded(id, event)
}

/// The kind of a failed job that stands for an event of a newer release.
const UNKNOWN: &str = "unknown";

/// A table and a Redis, either of which can be unavailable.
pub(in crate::web) struct FakeFeed {
    table: Mutex<Vec<RecordedEvent>>,
    table_away: AtomicBool,
    redis: Mutex<broadcast::Sender<i64>>,
    /// How often the table was read.
    reads: AtomicUsize,
    redis_unavailable: AtomicBool,
}

impl FakeFeed {
    fn new(table: Vec<RecordedEvent>) -> Arc<Self> {
        Arc::new(Self {
            table: Mutex::new(table),
            table_away: AtomicBool::new(false),
            redis: Mutex::new(broadcast::channel(10_000).0),
            redis_unavailable: AtomicBool::new(false),
            reads: AtomicUsize::new(0),
        })
    }

    async fn start(self: &Arc<Self>) -> Arc<Hub> {
        self.start_with(EventNames::Current).await
    }

    async fn start_with(self: &Arc<Self>, names: EventNames) -> Arc<Hub> {
        let hub = Hub::start(Arc::clone(self) as Arc<dyn Feed>, Arc::new(SystemClock), names).await.expect("a table");
        while !self.redis_unavailable.load(Ordering::Relaxed) && self.redis.lock().expect("sound").receiver_count() == 0
        {
            tokio::task::yield_now().await;
        }
        hub
    }

    /// Commits an event whose publish is lost.
    fn commit(&self, event: RecordedEvent) {
        self.table.lock().expect("sound").push(event);
    }

    /// Commits an event and announces it.
    fn commit_and_publish(&self, event: RecordedEvent) {
        let id = event.id;
        self.commit(event);
        self.announce(id);
    }

    fn announce(&self, id: i64) {
        let _ = self.redis.lock().expect("sound").send(id);
    }

    fn disconnect_redis(&self) {
        self.redis_unavailable.store(true, Ordering::Relaxed);
        *self.redis.lock().expect("sound") = broadcast::channel(10_000).0;
    }
}

#[async_trait]
impl Feed for FakeFeed {
    async fn listen(&self) -> Result<BoxStream<'static, Result<i64, FeedError>>, FeedError> {
        if self.redis_unavailable.load(Ordering::Relaxed) {
            return Err(FeedError::Redis(redis::RedisError::from((redis::ErrorKind::Io, "away")).into()));
        }
        let receiver = self.redis.lock().expect("sound").subscribe();
        Ok(stream::unfold(receiver, |mut receiver| async move { Some((Ok(receiver.recv().await.ok()?), receiver)) })
            .boxed())
    }

    async fn list_after(&self, id: i64, limit: i64) -> Result<EventPage, FeedError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.check_table()?;
        let count = usize::try_from(limit).expect("positive");
        let table = self.table.lock().expect("sound");
        let read: Vec<RecordedEvent> = table.iter().filter(|event| event.id > id).take(count).cloned().collect();
        let (last, is_full) = (read.last().map(|event| event.id), read.len() == count);
        let unknown = |event: &RecordedEvent| matches!(&event.event, Event::JobFailed { kind, .. } if kind == UNKNOWN);
        Ok(EventPage { events: read.into_iter().filter(|event| !unknown(event)).collect(), last, is_full })
    }

    async fn get_bounds(&self) -> Result<(i64, i64), FeedError> {
        self.check_table()?;
        let table = self.table.lock().expect("sound");
        Ok((table.first().map_or(0, |event| event.id), table.last().map_or(0, |event| event.id)))
    }
}

impl FakeFeed {
    fn check_table(&self) -> Result<(), FeedError> {
        if self.table_away.load(Ordering::Relaxed) {
            return Err(DbError::impossible("events", "away").into());
        }
        Ok(())
    }
}
