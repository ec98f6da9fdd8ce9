//! One run of a sync: its record, its pages, its end.
//!
//! Both syncs keep the same books: what they read differs, what they must say of it does not.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use psp_dashboard::db::DbError;
use psp_dashboard::db::sync_runs::NewRun;
use psp_dashboard::domain::attempt::ClaimedJob;
use psp_dashboard::domain::sync::{Counts, SyncArgs};
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::begin_sync::begin_sync;
use psp_dashboard::operations::finish_sync::{Completed, Done, finish_sync};
use psp_dashboard::operations::ingest_page::{Page, Progress, Ticket, ingest_page};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use crate::environment::Environment;
use crate::handler::JobError;

/// At most 4 a second (the contract's).
const BETWEEN_PROGRESS: Duration = Duration::from_millis(250);
/// At most 1 a second (the contract's).
const BETWEEN_METRICS: Duration = Duration::from_secs(1);
/// How often a page is stored again that somebody else's writing got in the way of.
const CONFLICTS: usize = 3;

/// A run that goes on.
pub struct SyncRun {
    environment: Arc<Environment>,
    ticket: Ticket,
    source: Source,
    /// When it began, by the clock: what was visible then will have been read.
    pub started_at: DateTime<Utc>,
    /// Records in all, where the provider says.
    pub total: Option<u64>,
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
        environment: &Arc<Environment>,
        job: &ClaimedJob,
        source: Source,
        args: SyncArgs,
    ) -> Result<Self, DbError> {
        let started_at = environment.clock.now();
        let run = NewRun { id: Uuid::now_v7(), source, args, trigger: job.trigger, job_id: job.claim.job_id };
        begin_sync(&environment.pool, &environment.wire, &job.claim, &run, started_at).await?;
        Ok(Self {
            environment: Arc::clone(environment),
            ticket: Ticket { claim: job.claim, run_id: run.id },
            source,
            started_at,
            total: None,
            began: Instant::now(),
            counts: Counts::default(),
            progress_told: None,
            metrics_told: None,
        })
    }

    /// In whose name pages are stored.
    #[must_use]
    pub fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// The day it began on (UTC).
    #[must_use]
    pub fn today(&self) -> NaiveDate {
        self.started_at.date_naive()
    }

    /// Stores a page, again where somebody else's writing got in the way.
    ///
    /// # Errors
    /// [`DbError`] where it cannot be stored: nothing of it was.
    pub async fn store(&mut self, page: Page) -> Result<(), DbError> {
        let progress = self.next_progress();
        let Environment { pool, wire, rates, clock, .. } = &*self.environment;
        let mut conflicts = 0;
        let counts = loop {
            match ingest_page(pool, wire, rates, &self.ticket, &page, &progress, clock.now()).await {
                Err(DbError::Conflict(_)) if conflicts < CONFLICTS => conflicts += 1,
                stored => break stored?,
            }
        };
        self.counts += counts;
        Ok(())
    }

    fn next_progress(&mut self) -> Progress {
        let tell_progress = due(&mut self.progress_told, BETWEEN_PROGRESS);
        let tell_metrics = due(&mut self.metrics_told, BETWEEN_METRICS);
        Progress { before: self.counts.seen(), total: self.total, tell_progress, tell_metrics }
    }

    /// Records that everything was read that could be, and says what came of it.
    ///
    /// # Errors
    /// [`JobError`] where it cannot be recorded.
    pub async fn finish(self, completed: Vec<Completed>, incomplete: Option<String>) -> Result<Value, JobError> {
        let Environment { pool, wire, clock, .. } = &*self.environment;
        let Self { source, counts, .. } = self;
        let done = Done { source, counts, took: self.began.elapsed(), completed, incomplete };
        finish_sync(pool, wire, &self.ticket, &done, clock.now()).await?;
        tracing::info!(%source, seen = counts.seen(), ?counts, incomplete = done.incomplete, "the sync has read what it could");
        Ok(json!({"run_id": self.ticket.run_id, "records_seen": counts.seen(), "counts": counts}))
    }
}

fn due(told: &mut Option<Instant>, between: Duration) -> bool {
    let due = told.is_none_or(|told| told.elapsed() >= between);
    if due {
        *told = Some(Instant::now());
    }
    due
}

/// The days from `from` to `to`, both included.
pub fn days(from: NaiveDate, to: NaiveDate) -> impl Iterator<Item = NaiveDate> {
    from.iter_days().take_while(move |day| *day <= to)
}

/// The first of the last `days` days, of which `today` is the last.
#[must_use]
pub fn first_of_last(days: u32, today: NaiveDate) -> NaiveDate {
    today.checked_sub_days(chrono::Days::new(u64::from(days.saturating_sub(1)))).unwrap_or(today)
}
