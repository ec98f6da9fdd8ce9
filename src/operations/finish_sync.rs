//! Ends a run: its record, the watermarks that it earned, and the news of how it went.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::publish_events::publish_events;
use crate::db::sync_runs::{self, NewRun};
use crate::db::{DbError, events, jobs, sync_streams};
use crate::domain::event::Event;
use crate::domain::job::Claim;
use crate::domain::sync::{Counts, RunStatus, Stream};
use crate::wire::Wire;

/// A stream that was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completed {
    /// Which.
    pub stream: Stream,
    /// When the reading began: everything that was visible then has been read.
    pub watermark: DateTime<Utc>,
    /// How far back the reading reached, where it reached further than before.
    pub covered_from: Option<DateTime<Utc>>,
}

/// How a run went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SyncEnd {
    /// Everything was read.
    Succeeded(Vec<Completed>),
    /// Some streams were read to their end, but not all; why not.
    Incomplete(Vec<Completed>, String),
    /// It stopped on an error.
    Failed {
        /// Why, without secrets.
        error: String,
        /// Whether the queue tries again by itself.
        will_retry: bool,
    },
    /// It was told to stop.
    Cancelled,
}

/// Records how `run` ended.
///
/// # Errors
/// [`DbError::ClaimLost`] where another worker has the job by now; [`DbError`] where the database refuses.
pub async fn finish_sync(
    pool: &PgPool,
    wire: &Wire,
    claim: &Claim,
    run: &NewRun,
    counts: &Counts,
    took: Duration,
    end: &SyncEnd,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut transaction = pool.begin().await?;
    let (status, error) = match end {
        SyncEnd::Succeeded(_) => (RunStatus::Succeeded, None),
        SyncEnd::Incomplete(_, why) => (RunStatus::Incomplete, Some(why.as_str())),
        SyncEnd::Failed { error, .. } => (RunStatus::Failed, Some(error.as_str())),
        SyncEnd::Cancelled => (RunStatus::Cancelled, None),
    };
    sync_runs::finish(&mut transaction, run.id, status, error, now).await?;
    if let SyncEnd::Succeeded(completed) | SyncEnd::Incomplete(completed, _) = end {
        for completed in completed {
            let Completed { stream, watermark, covered_from } = *completed;
            sync_streams::complete(&mut transaction, stream, watermark, covered_from).await?;
        }
    }
    jobs::hold_claim(&mut transaction, claim, &serde_json::json!({"progress": counts.seen()})).await?;
    let recorded = events::insert(&mut transaction, news(run, counts, took, end), now).await?;
    transaction.commit().await?;
    publish_events(wire, &recorded).await;
    Ok(())
}

fn news(run: &NewRun, counts: &Counts, took: Duration, end: &SyncEnd) -> Vec<Event> {
    let source = run.source;
    let mut news = vec![];
    if counts.inserted + counts.updated > 0 {
        news.push(Event::MetricsUpdated { sources: vec![source] });
    }
    match end {
        SyncEnd::Failed { error, will_retry } => {
            news.push(Event::SyncFailed { source, error: error.clone(), will_retry: *will_retry });
        }
        SyncEnd::Cancelled => {
            news.push(Event::SyncFailed { source, error: "the sync was cancelled".to_owned(), will_retry: false });
        }
        SyncEnd::Succeeded(_) | SyncEnd::Incomplete(..) => news.push(Event::SyncCompleted {
            source,
            records_synced: counts.seen(),
            inserted: counts.inserted,
            updated: counts.updated,
            duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }),
    }
    news
}
