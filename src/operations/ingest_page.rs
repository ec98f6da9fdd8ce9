//! Stores a page of a provider, or several consecutive pages, in one database transaction.
//!
//! Records, status history, metrics, quarantine, the counts of the run, the cursor and the outgoing events commit together.
//! Storing a page again changes nothing. A quarantined record is released by a page that contains a readable version of it.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::publish_events::publish_events;
use super::rate_cache::RateCache;
use super::store_transactions::{change_events, count, store_transactions};
use crate::db::jobs::claims;
use crate::db::sync::{history, quarantine, runs, streams};
use crate::db::transactions::search_entries;
use crate::db::{DbError, events, transactions};
use crate::domain::event::Event;
use crate::domain::job::{Claim, JobId};
use crate::domain::record::{Malformed, Record};
use crate::domain::sync::{Counts, DayCheckpoint, History, Stream, day_start};
use crate::domain::transaction::{Source, Transaction};
use crate::domain::upsert::{RulesGeneration, UpsertDecision};
use crate::domain::version::SequenceId;
use crate::observability::record;
use crate::redis::Redis;

/// Where the next page, the next attempt or the next run continues after this page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoint {
    /// Unchanged.
    None,
    /// The stream has been read up to this cursor.
    Cursor(SequenceId),
    /// The cursor that the stream had at this time. Progress is unchanged, but a run that starts with an overlap may start
    /// here.
    CursorMark(DateTime<Utc>, SequenceId),
    /// All days of the stream up to and including this one have been read completely: the next run starts after it.
    Watermark(NaiveDate),
    /// The stream has been read to its end: all that was visible at this time.
    End(DateTime<Utc>),
    /// The source has been read without gaps since `covered_from`, and is followed from now on.
    Followed(History),
    /// Days are read newest first: a later attempt continues with this day, at this cursor within it.
    DayCheckpoint(NaiveDate, Option<SequenceId>),
    /// Like `DayCheckpoint`, after the day has been read completely in all lists of the source: the day before is next.
    DayDone(NaiveDate),
}

impl Checkpoint {
    /// Where a later attempt of the job continues, after `seen` records.
    fn for_attempt(self, seen: u64) -> Option<DayCheckpoint> {
        match self {
            Self::None
            | Self::Cursor(_)
            | Self::CursorMark(..)
            | Self::Watermark(_)
            | Self::End(_)
            | Self::Followed(_) => None,
            Self::DayCheckpoint(day, cursor) => Some(DayCheckpoint { day, cursor, seen }),
            Self::DayDone(day) => Some(DayCheckpoint { day: day.pred_opt()?, cursor: None, seen }),
        }
    }
}

/// What is stored in one database transaction.
#[derive(Debug)]
pub struct Page {
    pub stream: Stream,
    pub records: Vec<Record>,
    pub checkpoint: Checkpoint,
    /// The number of pages of the provider that it consists of.
    pub pages: u64,
}

impl Page {
    #[must_use]
    pub fn new(stream: Stream, records: Vec<Record>, checkpoint: Checkpoint) -> Self {
        Self { stream, records, checkpoint, pages: 1 }
    }

    /// Without records: only stores the checkpoint.
    #[must_use]
    pub fn checkpoint_only(stream: Stream, checkpoint: Checkpoint) -> Self {
        Self { stream, records: vec![], checkpoint, pages: 0 }
    }

    /// Whether the page can be merged with the following one: both are of the same stream, and the checkpoint of the later
    /// one includes this checkpoint.
    #[must_use]
    pub fn can_merge(&self, later: &Self) -> bool {
        self.stream == later.stream && !matches!(self.checkpoint, Checkpoint::DayDone(_) | Checkpoint::CursorMark(..))
    }

    #[must_use]
    pub fn merge(mut self, later: Self) -> Self {
        self.records.extend(later.records);
        // A later page without a checkpoint must not discard this one.
        let checkpoint = if later.checkpoint == Checkpoint::None { self.checkpoint } else { later.checkpoint };
        Self { checkpoint, pages: self.pages + later.pages, ..self }
    }
}

/// A run of a sync, and the claim of the worker that executes it.
#[derive(Debug, Clone, Copy)]
pub struct RunClaim {
    pub claim: Claim,
    pub run_id: Uuid,
    /// The rules by which the run reads records.
    pub read_by: RulesGeneration,
}

/// The progress of a run, and which events to publish with a page, because their rate is limited.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    /// The number of records read before this page.
    pub before: u64,
    /// The total number of records, if the provider reports it.
    pub total: Option<u64>,
    /// Whether to publish the progress.
    pub publish_progress: bool,
    /// Whether to publish that the metrics have changed, if they have.
    pub publish_metrics: bool,
}

impl Progress {
    fn after(&self, counts: &Counts) -> u64 {
        self.before + counts.seen()
    }
}

/// Stores `page` and returns what became of its records. Transactions are valued at the rate of their record, or else at a
/// cached rate.
///
/// # Errors
/// [`DbError::ClaimLost`] if another worker has claimed the job: nothing was written. [`DbError::Conflict`] and
/// [`DbError::Unavailable`] can be retried.
pub async fn ingest_page(
    pool: &PgPool,
    redis: &Redis,
    rates: &RateCache,
    run_claim: &RunClaim,
    page: &Page,
    progress: &Progress,
    now: DateTime<Utc>,
) -> Result<Counts, DbError> {
    let mut transaction = pool.begin().await?;
    let counts = store(&mut transaction, rates, run_claim, page, now).await?;
    let recorded = if counts.seen() > 0 || page.checkpoint != Checkpoint::None {
        runs::add_pages(&mut transaction, run_claim.run_id, page.pages, &counts).await?;
        set_checkpoint(&mut transaction, page, now).await?;
        verify_claim(&mut transaction, run_claim, page.checkpoint, progress, &counts).await?;
        let events = page_events(page.stream.source(), run_claim.claim.job_id, &counts, progress);
        events::insert(&mut transaction, events, now).await?
    } else {
        vec![]
    };
    transaction.commit().await?;
    record::sync_records(page.stream.source(), &counts);
    publish_events(redis, &recorded).await;
    Ok(counts)
}

async fn set_checkpoint(connection: &mut PgConnection, page: &Page, now: DateTime<Utc>) -> Result<(), DbError> {
    match page.checkpoint {
        Checkpoint::None | Checkpoint::DayCheckpoint(..) => Ok(()),
        Checkpoint::Cursor(cursor) => streams::advance_cursor(connection, page.stream, cursor, now).await,
        Checkpoint::CursorMark(time, cursor) => streams::insert_mark(connection, page.stream, cursor, time).await,
        Checkpoint::Watermark(day) => {
            let end = day.succ_opt().unwrap_or(day);
            streams::set_watermark(connection, page.stream, day_start(end)).await
        }
        Checkpoint::End(read_at) => streams::set_watermark(connection, page.stream, read_at).await,
        Checkpoint::Followed(history) => history::upsert(connection, page.stream.source(), history).await,
        Checkpoint::DayDone(day) => history::extend(connection, page.stream.source(), day).await,
    }
}

async fn verify_claim(
    connection: &mut PgConnection,
    run_claim: &RunClaim,
    checkpoint: Checkpoint,
    progress: &Progress,
    counts: &Counts,
) -> Result<(), DbError> {
    let seen = progress.after(counts);
    let shown = serde_json::json!({"progress": seen, "total": progress.total});
    let checkpoint = checkpoint.for_attempt(seen).map(|checkpoint| serde_json::json!(checkpoint));
    claims::verify_claim_and_checkpoint(connection, &run_claim.claim, &shown, checkpoint.as_ref()).await
}

async fn store(
    connection: &mut PgConnection,
    rates: &RateCache,
    run_claim: &RunClaim,
    page: &Page,
    now: DateTime<Utc>,
) -> Result<Counts, DbError> {
    let mut readable: Vec<&Transaction> = vec![];
    let mut malformed: Vec<&Malformed> = vec![];
    for record in &page.records {
        match record {
            Record::Payment(record) => readable.push(record),
            Record::Malformed(record) => malformed.push(record),
        }
    }
    let (source, kind) = (page.stream.source(), page.stream.kind());
    let RunClaim { run_id, read_by, .. } = *run_claim;
    transactions::lock_source(connection, source).await?;
    if readable.len() >= search_entries::DEFERRED_FROM {
        search_entries::defer_merging(connection).await?;
    }
    quarantine::upsert(connection, &malformed, run_id, now).await?;
    let decisions =
        store_transactions(connection, rates, (source, kind), &readable, read_by, Some(run_id), now).await?;
    quarantine::release(connection, source, kind, &readable_ids(&page.records, &decisions)).await?;
    Ok(Counts { quarantined: malformed.len() as u64, ..count(&decisions) })
}

/// The ids whose last record in the page is readable, which replaces a quarantined record of the same id. A record that is
/// older than the stored one does not.
fn readable_ids<'page>(records: &'page [Record], decisions: &[UpsertDecision]) -> Vec<&'page str> {
    let mut decisions = decisions.iter();
    let mut readable = BTreeSet::new();
    for record in records {
        match record {
            Record::Payment(record) => {
                if decisions.next() != Some(&UpsertDecision::Stale) {
                    readable.insert(record.key.source_id.as_str());
                }
            }
            Record::Malformed(Malformed { source_id: Some(source_id), .. }) => {
                readable.remove(source_id.as_str());
            }
            Record::Malformed(Malformed { source_id: None, .. }) => {}
        }
    }
    readable.into_iter().collect()
}

fn page_events(source: Source, job_id: JobId, counts: &Counts, progress: &Progress) -> Vec<Event> {
    let mut events = change_events(source, counts);
    if progress.publish_progress {
        let seen = progress.after(counts);
        let percent = progress.total.filter(|total| *total > 0).map(|total| percent(seen, total));
        let job_id = Some(job_id.0);
        events.push(Event::SyncProgress { source, job_id, progress: seen, total: progress.total, percent });
    }
    if progress.publish_metrics && counts.inserted + counts.updated > 0 {
        events.push(Event::MetricsUpdated { sources: vec![source] });
    }
    events
}

/// With at most two decimals, and never above 100: a list may grow while it is read.
#[expect(clippy::cast_precision_loss, reason = "at most 10,000, which any float holds")]
fn percent(part: u64, whole: u64) -> f64 {
    let hundredths = u128::from(part) * 10_000 / u128::from(whole);
    hundredths.min(10_000) as f64 / 100.0
}
