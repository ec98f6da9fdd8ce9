//! One run of a sync, from its record in the database to its end. Both providers' syncs use it.
//!
//! Fetching and storing run concurrently, connected by a short queue of pages. If storing is slower, pages wait, and those
//! that wait are stored in one transaction, which saves the cost of the others. If fetching is slower, each page is stored
//! when it arrives. While many payments are stored, the new entries of the search indexes are merged by a third connection
//! (`db/transactions/search_entries`). Nothing is spawned: dropping the run stops all of this between two pages.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use psp_dashboard::db::DbError;
use psp_dashboard::db::sync::runs::NewSyncRun;
use psp_dashboard::db::sync::unreadable_pages;
use psp_dashboard::db::sync::unreadable_pages::UnreadablePage;
use psp_dashboard::db::transactions::search_entries;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::secret::Secret;
use psp_dashboard::domain::sync::{Counts, DayCheckpoint, Stream, SyncArgs};
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::begin_history::enqueue_backlog;
use psp_dashboard::operations::begin_sync::begin_sync;
use psp_dashboard::operations::finish_sync::{FinishedSync, finish_sync};
use psp_dashboard::operations::ingest_page::{Checkpoint, Page, Progress, RunClaim, ingest_page};
use psp_dashboard::providers::ProviderError;
use serde_json::json;
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

use crate::handler::JobResult;
use crate::job_context::JobContext;
use crate::job_error::JobError;

/// The API contract allows 4 progress events a second.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// The API contract allows 1 metrics event a second.
const METRICS_INTERVAL: Duration = Duration::from_secs(1);
/// How often a page is stored again after a conflict with another transaction.
const MAX_CONFLICTS: usize = 3;
/// How many pages may wait to be stored, and how many are stored in one transaction.
const QUEUED_PAGES: usize = 10;

/// Sends fetched pages to be stored.
#[derive(Debug, Clone)]
pub struct PageSender(mpsc::Sender<Page>);

impl PageSender {
    /// A bounded queue of pages.
    #[must_use]
    pub fn queue() -> (Self, mpsc::Receiver<Page>) {
        let (sender, receiver) = mpsc::channel(QUEUED_PAGES);
        (Self(sender), receiver)
    }

    /// Sends a page, and waits while the queue is full.
    pub async fn send(&self, page: Page) {
        // The receiver is only gone if storing failed, and then the future that fetches is dropped too.
        let _ = self.0.send(page).await;
    }
}

/// A run in progress.
pub struct SyncRun<'a> {
    context: &'a JobContext,
    run_claim: RunClaim,
    source: Source,
    args: SyncArgs,
    /// What is visible at the provider at this time has been read when the run ends.
    pub started_at: DateTime<Utc>,
    /// The number of records to read, if the provider says so.
    pub total: Option<u64>,
    /// Where an earlier attempt at reading days was interrupted.
    pub resumed_at: Option<DayCheckpoint>,
    timer: Instant,
    counts: Counts,
    progress_published: Option<Instant>,
    metrics_published: Option<Instant>,
}

impl<'a> SyncRun<'a> {
    /// Records that a run begins.
    pub async fn begin(
        context: &'a JobContext,
        job: &ClaimedJob,
        source: Source,
        args: SyncArgs,
    ) -> Result<Self, DbError> {
        let started_at = context.clock.now();
        let read_by = context.rules.generation(&context.pool, source).await?;
        let run = NewSyncRun { id: Uuid::now_v7(), source, args, trigger: job.trigger, job_id: job.claim.job_id };
        begin_sync(&context.pool, &context.redis, &job.claim, &run, started_at).await?;
        // A checkpoint that cannot be deserialized is from another release: the days are read from the start.
        let resumed_at = job.checkpoint.clone().and_then(|place| serde_json::from_value(place).ok());
        Ok(Self {
            context,
            run_claim: RunClaim { claim: job.claim, run_id: run.id, read_by },
            source,
            args,
            started_at,
            total: None,
            resumed_at,
            timer: Instant::now(),
            counts: Counts::default(),
            progress_published: None,
            metrics_published: None,
        })
    }

    #[must_use]
    pub fn run_claim(&self) -> &RunClaim {
        &self.run_claim
    }

    /// The day (UTC) on which the run started.
    #[must_use]
    pub fn today(&self) -> NaiveDate {
        self.started_at.date_naive()
    }

    /// Runs `fetch`, stores the pages that it sends meanwhile, and returns its result. Pages that were sent are stored
    /// even if `fetch` fails later.
    pub async fn read<Read, Fetching: Future<Output = Result<Read, ProviderError>>>(
        &mut self,
        fetch: impl FnOnce(PageSender) -> Fetching,
    ) -> Result<Read, JobError> {
        let (sender, receiver) = PageSender::queue();
        let fetching = fetch(sender);
        let fetched = async { Ok::<_, DbError>(fetching.await) };
        let pool = &self.context.pool;
        let (merge_sender, merge_receiver) = mpsc::channel(1);
        let storing = self.store_received(receiver, merge_sender);
        let (fetched, (), ()) = tokio::try_join!(fetched, storing, merge_search_entries(pool, merge_receiver))?;
        if let Err(ProviderError::Unreadable { reason, page, .. }) = &fetched {
            self.keep_unreadable(reason, page).await?;
        }
        Ok(fetched?)
    }

    async fn keep_unreadable(&self, reason: &str, page: &Secret) -> Result<(), DbError> {
        let JobContext { pool, clock, .. } = self.context;
        let page = UnreadablePage {
            reason: reason.to_owned(),
            raw: page.expose().as_bytes().to_vec(),
            run_id: self.run_claim.run_id,
            received_at: clock.now(),
        };
        unreadable_pages::upsert(pool, self.source, &page).await
    }

    /// Requests a merge of search entries each time that enough payments are new.
    async fn store_received(
        &mut self,
        mut receiver: mpsc::Receiver<Page>,
        requests: mpsc::Sender<()>,
    ) -> Result<(), DbError> {
        let (mut pages, mut merged) = (vec![], self.written());
        while receiver.recv_many(&mut pages, QUEUED_PAGES).await > 0 {
            for page in merge_pages(pages.drain(..)) {
                self.store(page).await?;
                // If one is waiting, it covers these payments too.
                if self.written() - merged >= search_entries::MERGED_AT_ONCE && requests.try_send(()).is_ok() {
                    merged = self.written();
                }
            }
        }
        Ok(())
    }

    fn written(&self) -> u64 {
        self.counts.inserted + self.counts.updated
    }

    /// Stores what has been read so far of a stream, without records.
    pub async fn store_checkpoint(&mut self, stream: Stream, checkpoint: Checkpoint) -> Result<(), DbError> {
        self.store(Page::checkpoint_only(stream, checkpoint)).await
    }

    /// Stores a page as a whole, or nothing of it.
    async fn store(&mut self, page: Page) -> Result<(), DbError> {
        let progress = self.next_progress();
        let JobContext { pool, redis, rates, clock, .. } = self.context;
        let mut conflicts = 0;
        let counts = loop {
            let ingesting = ingest_page(pool, redis, rates, &self.run_claim, &page, &progress, clock.now());
            match ingesting.instrument(tracing::info_span!("page")).await {
                Err(DbError::Conflict(_)) if conflicts < MAX_CONFLICTS => conflicts += 1,
                stored => break stored?,
            }
        };
        self.counts += counts;
        Ok(())
    }

    /// The number of records read by earlier attempts.
    fn seen_before(&self) -> u64 {
        self.resumed_at.map_or(0, |place| place.seen)
    }

    /// The number of records read so far, by all attempts.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen_before() + self.counts.seen()
    }

    fn next_progress(&mut self) -> Progress {
        let publish_progress = is_due(&mut self.progress_published, PROGRESS_INTERVAL);
        let publish_metrics = is_due(&mut self.metrics_published, METRICS_INTERVAL);
        Progress { before: self.seen(), total: self.total, publish_progress, publish_metrics }
    }

    /// Records the end of the run, and returns the job's result. `completed` lists the streams that were read to their
    /// end, `incomplete` says why others, or days, were not. An incremental run also enqueues a job for the days that
    /// have not been read yet, if any.
    pub async fn finish(self, completed: Vec<Stream>, incomplete: Vec<String>) -> JobResult {
        let JobContext { pool, redis, clock, .. } = self.context;
        let Self { source, args, counts, started_at, .. } = self;
        let before = self.seen_before();
        let incomplete = (!incomplete.is_empty()).then(|| incomplete.join("; "));
        let finished =
            FinishedSync { source, counts, before, duration: self.timer.elapsed(), completed, started_at, incomplete };
        finish_sync(pool, redis, &self.run_claim, &finished, clock.now()).await?;
        tracing::info!(%source, seen = counts.seen(), ?counts, incomplete = finished.incomplete, "sync finished");
        let history_job_id =
            if args == SyncArgs::Incremental { enqueue_backlog(pool, redis, source).await? } else { None };
        Ok(json!({
            "run_id": self.run_claim.run_id,
            "records_seen": counts.seen(),
            "counts": counts,
            "history_job_id": history_job_id,
        }))
    }
}

/// Merges search entries at each request, until no more can come. If that fails, PostgreSQL does it later.
async fn merge_search_entries(pool: &PgPool, mut requests: mpsc::Receiver<()>) -> Result<(), DbError> {
    while requests.recv().await.is_some() {
        if let Err(error) = search_entries::merge(pool).await {
            tracing::warn!(%error, "the new entries of the search indexes were not merged");
        }
    }
    Ok(())
}

/// Merges consecutive pages that may be stored in one transaction.
fn merge_pages(pages: impl Iterator<Item = Page>) -> Vec<Page> {
    let mut merged: Vec<Page> = vec![];
    for page in pages {
        match merged.pop() {
            Some(before) if before.can_merge(&page) => merged.push(before.merge(page)),
            before => merged.extend(before.into_iter().chain([page])),
        }
    }
    merged
}

/// Whether an event may be published again; if so, `published` becomes now.
fn is_due(published: &mut Option<Instant>, interval: Duration) -> bool {
    let due = published.is_none_or(|published| published.elapsed() >= interval);
    if due {
        *published = Some(Instant::now());
    }
    due
}
