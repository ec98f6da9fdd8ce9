//! Ends a run that has read what it could: its record, the watermarks that it earned, and the news.
//!
//! A run that stopped on an error is ended by `finish_job`, which knows whether the queue tries again.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::ingest_page::RunClaim;
use super::publish_events::publish_events;
use crate::db::jobs::claims;
use crate::db::sync::{runs, streams};
use crate::db::{DbError, events};
use crate::domain::event::Event;
use crate::domain::sync::{Counts, RunStatus, Stream};
use crate::domain::transaction::Source;
use crate::redis::Redis;

/// What a run has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Of which source.
    pub source: Source,
    /// What became of the records.
    pub counts: Counts,
    /// Records that earlier attempts had read, from which this one went on.
    pub before: u64,
    /// How long it took.
    pub took: Duration,
    /// The streams that were read to their end.
    pub completed: Vec<Stream>,
    /// When the reading began: everything that was visible then has been read.
    pub began_at: DateTime<Utc>,
    /// Why it could not be sure to have read everything, if so.
    pub incomplete: Option<String>,
}

/// Records that a run has ended well.
///
/// # Errors
/// [`DbError::ClaimLost`] where another worker has the job by now; [`DbError`] where the database refuses.
pub async fn finish_sync(
    pool: &PgPool,
    redis: &Redis,
    run_claim: &RunClaim,
    done: &Done,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let status = if done.incomplete.is_some() { RunStatus::Incomplete } else { RunStatus::Succeeded };
    let mut transaction = pool.begin().await?;
    runs::finish(&mut transaction, run_claim.run_id, status, done.incomplete.as_deref(), now).await?;
    for stream in &done.completed {
        streams::set_watermark(&mut transaction, *stream, done.began_at).await?;
    }
    claims::verify_claim(
        &mut transaction,
        &run_claim.claim,
        &serde_json::json!({"progress": done.before + done.counts.seen()}),
    )
    .await?;
    let recorded = events::insert(&mut transaction, news(run_claim, done), now).await?;
    transaction.commit().await?;
    publish_events(redis, &recorded).await;
    Ok(())
}

fn news(run_claim: &RunClaim, done: &Done) -> Vec<Event> {
    let Done { source, counts, .. } = done;
    let moved = (counts.inserted + counts.updated > 0).then(|| Event::MetricsUpdated { sources: vec![*source] });
    let completed = Event::SyncCompleted {
        source: *source,
        job_id: Some(run_claim.claim.job_id.0),
        records_synced: counts.seen(),
        inserted: counts.inserted,
        updated: counts.updated,
        duration_ms: u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX),
    };
    moved.into_iter().chain([completed]).collect()
}
