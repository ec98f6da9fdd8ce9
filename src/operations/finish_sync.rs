//! Ends a sync run that has read all it could: its record, its watermarks and its events.
//!
//! A run that failed is ended by `finish_job`, which knows whether the job is retried.

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
use crate::observability::record;
use crate::redis::Redis;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedSync {
    pub source: Source,
    pub counts: Counts,
    /// The number of records that earlier attempts had read.
    pub before: u64,
    pub duration: Duration,
    /// The streams that were read completely.
    pub completed: Vec<Stream>,
    /// When reading started: everything that was visible then has been read.
    pub started_at: DateTime<Utc>,
    /// Why the run cannot be sure that it has read everything; `None` if it is.
    pub incomplete: Option<String>,
}

pub async fn finish_sync(
    pool: &PgPool,
    redis: &Redis,
    run_claim: &RunClaim,
    finished: &FinishedSync,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let status = if finished.incomplete.is_some() { RunStatus::Incomplete } else { RunStatus::Succeeded };
    let mut transaction = pool.begin().await?;
    runs::finish(&mut transaction, run_claim.run_id, status, finished.incomplete.as_deref(), now).await?;
    for stream in &finished.completed {
        streams::set_watermark(&mut transaction, *stream, finished.started_at).await?;
    }
    claims::verify_claim(
        &mut transaction,
        &run_claim.claim,
        &serde_json::json!({"progress": finished.before + finished.counts.seen()}),
    )
    .await?;
    let recorded = events::insert(&mut transaction, run_events(run_claim, finished), now).await?;
    transaction.commit().await?;
    record::sync_run(finished.source, status);
    publish_events(redis, &recorded).await;
    Ok(())
}

fn run_events(run_claim: &RunClaim, finished: &FinishedSync) -> Vec<Event> {
    let FinishedSync { source, counts, .. } = finished;
    let metrics = (counts.inserted + counts.updated > 0).then(|| Event::MetricsUpdated { sources: vec![*source] });
    let completed = Event::SyncCompleted {
        source: *source,
        job_id: Some(run_claim.claim.job_id.0),
        records_synced: counts.seen(),
        inserted: counts.inserted,
        updated: counts.updated,
        duration_ms: u64::try_from(finished.duration.as_millis()).unwrap_or(u64::MAX),
    };
    metrics.into_iter().chain([completed]).collect()
}
