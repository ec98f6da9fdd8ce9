//! The whole way, from a feed of our own through a real server to real clients.

use crate::domain::event::{Event, Recorded};
use crate::domain::transaction::Source;
use uuid::Uuid;

fn recorded(id: i64, event: Event) -> Recorded {
    Recorded { id, timestamp: "2026-01-15T10:00:00Z".parse().expect("a time"), event }
}

pub(super) fn progress(id: i64, source: Source, progress: u64) -> Recorded {
    recorded(id, Event::SyncProgress { source, progress, total: None, percent: None })
}

pub(super) fn completed(id: i64, source: Source) -> Recorded {
    let event = Event::SyncCompleted { source, records_synced: 1, inserted: 1, updated: 0, duration_ms: 1 };
    recorded(id, event)
}

pub(super) fn metrics(id: i64, sources: &[Source]) -> Recorded {
    recorded(id, Event::MetricsUpdated { sources: sources.to_vec() })
}

pub(super) fn new_transactions(id: i64, source: Source) -> Recorded {
    recorded(id, Event::NewTransactions { source, count: 1 })
}

pub(super) fn job_failed(id: i64) -> Recorded {
    let event = Event::JobFailed { kind: "export".to_owned(), job_id: Uuid::nil(), error: "no disk".to_owned() };
    recorded(id, event)
}
