//! One run of a sync: its record, its pages, its end.
//!
//! Both syncs keep the same books: what they read differs, what they must say of it does not.
//!
//! Fetching and storing go on at the same time, over a short queue of pages. Where storing is the slower of the two, pages
//! wait, and those that wait are stored together: what a transaction costs is paid once for them all. Where fetching is the
//! slower, each page is stored as it comes. Nothing is spawned: dropping the run drops both, at the border of a page.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use psp_dashboard::db::DbError;
use psp_dashboard::db::sync::runs::NewSyncRun;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::sync::{Counts, DayCheckpoint, Stream, SyncArgs};
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::begin_history::enqueue_backlog;
use psp_dashboard::operations::begin_sync::begin_sync;
use psp_dashboard::operations::finish_sync::{FinishedSync, finish_sync};
use psp_dashboard::operations::ingest_page::{Page, Progress, RunClaim, ingest_page};
use psp_dashboard::providers::ProviderError;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use uuid::Uuid;

use crate::handler::JobError;
use crate::job_context::JobContext;

/// At most 4 a second (the contract's).
const BETWEEN_PROGRESS: Duration = Duration::from_millis(250);
/// At most 1 a second (the contract's).
const BETWEEN_METRICS: Duration = Duration::from_secs(1);
/// How often a page is stored again that somebody else's writing got in the way of.
const CONFLICTS: usize = 3;
/// How many pages may wait to be stored, and how many are stored at once.
const PAGES_AT_ONCE: usize = 10;

/// Where pages are handed over that were fetched and are to be stored.
#[derive(Debug, Clone)]
pub struct PageSender(mpsc::Sender<Page>);

impl PageSender {
    /// A short queue of pages, and its other end, for whoever stores them.
    #[must_use]
    pub fn queue() -> (Self, mpsc::Receiver<Page>) {
        let (pages, waiting) = mpsc::channel(PAGES_AT_ONCE);
        (Self(pages), waiting)
    }

    /// Executor a page over, and waits where too many wait already.
    pub async fn send(&self, page: Page) {
        // Nobody takes it only where storing has failed, and then whoever fetches is dropped as well.
        let _taken = self.0.send(page).await;
    }
}

/// A run that goes on.
pub struct SyncRun {
    context: Arc<JobContext>,
    run_claim: RunClaim,
    source: Source,
    args: SyncArgs,
    /// When it began, by the clock: what was visible then will have been read.
    pub started_at: DateTime<Utc>,
    /// Records in all, where the provider says.
    pub total: Option<u64>,
    /// Where an earlier attempt at reading days was interrupted.
    pub resumed_at: Option<DayCheckpoint>,
    began: Instant,
    counts: Counts,
    progress_told: Option<Instant>,
    metrics_told: Option<Instant>,
}

impl SyncRun {
    /// Records that a run of `job` begins.
    ///
    /// # Errors
    /// [`DbError::ClaimLost`] where another worker has the job by now; [`DbError`] where the database refuses.
    pub async fn begin(
        context: &Arc<JobContext>,
        job: &ClaimedJob,
        source: Source,
        args: SyncArgs,
    ) -> Result<Self, DbError> {
        let started_at = context.clock.now();
        let run = NewSyncRun { id: Uuid::now_v7(), source, args, trigger: job.trigger, job_id: job.claim.job_id };
        begin_sync(&context.pool, &context.redis, &job.claim, &run, started_at).await?;
        // What cannot be read was written by another release: the days are read anew.
        let resumed_at = job.checkpoint.clone().and_then(|place| serde_json::from_value(place).ok());
        Ok(Self {
            context: Arc::clone(context),
            run_claim: RunClaim { claim: job.claim, run_id: run.id },
            source,
            args,
            started_at,
            total: None,
            resumed_at,
            began: Instant::now(),
            counts: Counts::default(),
            progress_told: None,
            metrics_told: None,
        })
    }

    /// In whose name pages are stored.
    #[must_use]
    pub fn run_claim(&self) -> &RunClaim {
        &self.run_claim
    }

    /// The day it began on (UTC).
    #[must_use]
    pub fn today(&self) -> NaiveDate {
        self.started_at.date_naive()
    }

    /// Stores what `fetch` hands over, while it goes on fetching, and returns what it returns. What it has handed over is
    /// stored also where it fails in the end.
    ///
    /// # Errors
    /// [`JobError`] where something could not be fetched or stored.
    pub async fn read<Read, Fetching: Future<Output = Result<Read, ProviderError>>>(
        &mut self,
        fetch: impl FnOnce(PageSender) -> Fetching,
    ) -> Result<Read, JobError> {
        let (pages, waiting) = PageSender::queue();
        let fetching = fetch(pages);
        let fetched = async { Ok::<_, DbError>(fetching.await) };
        let (fetched, ()) = tokio::try_join!(fetched, self.store_as_they_come(waiting))?;
        Ok(fetched?)
    }

    async fn store_as_they_come(&mut self, mut waiting: mpsc::Receiver<Page>) -> Result<(), DbError> {
        let mut pages = vec![];
        while waiting.recv_many(&mut pages, PAGES_AT_ONCE).await > 0 {
            for page in joined(pages.drain(..)) {
                self.store(page).await?;
            }
        }
        Ok(())
    }

    /// Stores a page, again where somebody else's writing got in the way.
    ///
    /// # Errors
    /// [`DbError`] where it cannot be stored: nothing of it was.
    pub async fn store(&mut self, page: Page) -> Result<(), DbError> {
        let progress = self.next_progress();
        let JobContext { pool, redis, rates, clock, .. } = &*self.context;
        let mut conflicts = 0;
        let counts = loop {
            match ingest_page(pool, redis, rates, &self.run_claim, &page, &progress, clock.now()).await {
                Err(DbError::Conflict(_)) if conflicts < CONFLICTS => conflicts += 1,
                stored => break stored?,
            }
        };
        self.counts += counts;
        Ok(())
    }

    /// Records that earlier attempts had read.
    fn before(&self) -> u64 {
        self.resumed_at.map_or(0, |place| place.seen)
    }

    fn next_progress(&mut self) -> Progress {
        let publish_progress = due(&mut self.progress_told, BETWEEN_PROGRESS);
        let publish_metrics = due(&mut self.metrics_told, BETWEEN_METRICS);
        Progress { before: self.before() + self.counts.seen(), total: self.total, publish_progress, publish_metrics }
    }

    /// Records that everything was read that could be, save for the `oddities`, and says what came of it. A run that
    /// follows what is new asks for the days that are owed yet.
    ///
    /// # Errors
    /// [`JobError`] where it cannot be recorded.
    pub async fn finish(self, completed: Vec<Stream>, oddities: Vec<String>) -> Result<Value, JobError> {
        let JobContext { pool, redis, clock, .. } = &*self.context;
        let Self { source, args, counts, started_at, .. } = self;
        let before = self.before();
        let incomplete = (!oddities.is_empty()).then(|| oddities.join("; "));
        let done =
            FinishedSync { source, counts, before, duration: self.began.elapsed(), completed, started_at, incomplete };
        finish_sync(pool, redis, &self.run_claim, &done, clock.now()).await?;
        tracing::info!(%source, seen = counts.seen(), ?counts, incomplete = done.incomplete, "the sync has read what it could");
        let owed = if args == SyncArgs::Incremental { enqueue_backlog(pool, redis, source).await? } else { None };
        Ok(
            json!({"run_id": self.run_claim.run_id, "records_seen": counts.seen(), "counts": counts, "history_job_id": owed}),
        )
    }
}

/// PageSender that may be stored together, as one each.
fn joined(pages: impl Iterator<Item = Page>) -> Vec<Page> {
    let mut joined: Vec<Page> = vec![];
    for page in pages {
        match joined.pop() {
            Some(before) if before.can_merge(&page) => joined.push(before.merge(page)),
            before => joined.extend(before.into_iter().chain([page])),
        }
    }
    joined
}

fn due(told: &mut Option<Instant>, between: Duration) -> bool {
    let due = told.is_none_or(|told| told.elapsed() >= between);
    if due {
        *told = Some(Instant::now());
    }
    due
}
