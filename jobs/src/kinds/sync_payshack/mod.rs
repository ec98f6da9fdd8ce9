//! `sync-payshack`: reads `PayShack`'s pay-ins and pay-outs, each a list of its own, by days.
//!
//! A run that follows what is new reads a window of days that begins before the watermark, oldest day first, so that a
//! record that wanders to a later day is met there; the watermark moves only when every day of it stood still at last
//! (`moving_day`). Which date the filter means is unknown, so the last day is left open at its end. Then it asks again for
//! what is still open and older (`ask_again`).
//!
//! Days before the window are owed after the first run, and read again by the rolling pass: by jobs of their own, newest day
//! first, which a later attempt goes on with where the last one was interrupted.

pub mod day_reader;
pub mod recheck_open;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{Days, NaiveDate};
use futures_util::future::try_join_all;
use psp_dashboard::db::sync::{history, streams};
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::sync::{History, Stream, SyncArgs, day_start, days, days_back, first_of_last};
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::begin_history::begin_history;
use psp_dashboard::operations::ingest_page::{Checkpoint, Page};
use psp_dashboard::providers::ProviderError;
use psp_dashboard::providers::payshack::PageQuery;
use serde_json::Value;

use self::day_reader::{DayReader, ROUNDS, page_of};
use self::recheck_open::Recheck;
use super::sync_run::{PageSender, SyncRun};
use crate::handler::{Handler, JobError};
use crate::job_context::JobContext;

/// How many pages, or payments, a run that follows what is new asks for at a time.
const IN_FLIGHT: usize = 4;
/// The same of a run that reads old days: less, so that turns at the provider go to the other first.
const IN_FLIGHT_OF_OLD_DAYS: usize = 2;

/// Reads `PayShack`.
pub struct SyncPayshack {
    context: Arc<JobContext>,
}

/// Days of one list that are to be read; the last is open at its end.
#[derive(Debug, Clone, Copy)]
struct Window {
    stream: Stream,
    from: NaiveDate,
    to: NaiveDate,
}

impl SyncPayshack {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(context: &Arc<JobContext>) -> Self {
        Self { context: Arc::clone(context) }
    }

    /// Follows what is new. Says which lists were read to their ends, and which days never stood still.
    async fn incremental(&self, run: &mut SyncRun) -> Result<(Vec<Stream>, Vec<String>), JobError> {
        let windows = self.windows(run).await?;
        self.begin_if_first(run, &windows).await?;
        for window in &windows {
            let query = PageQuery { page: 1, limit: 1, date_from: Some(window.from), date_to: None };
            let count = page_of(&self.context.payshack, window.stream, &query).await?.total_records;
            run.total = count.map(|count| run.total.unwrap_or(0) + count);
        }
        let (mut completed, mut moving) = (vec![], vec![]);
        for window in &windows {
            let odd = run.read(|pages| async move { self.read_window(window, &pages).await }).await?;
            if odd.is_empty() {
                completed.push(window.stream);
            }
            moving.extend(odd.iter().map(|day| kept_moving(window.stream, *day)));
        }
        let oldest = windows.iter().map(|window| window.from).min().unwrap_or(run.today());
        self.ask_again(run, oldest).await?;
        Ok((completed, moving))
    }

    /// The days that a run reads of each list: from an overlap before its watermark, or before today in the first run.
    async fn windows(&self, run: &SyncRun) -> Result<Vec<Window>, JobError> {
        let JobContext { pool, sync, .. } = &*self.context;
        let today = run.today();
        let overlap = Days::new(u64::from(sync.payshack_overlap_days));
        let before = |day: NaiveDate| day.checked_sub_days(overlap).unwrap_or(day);
        let mut windows = vec![];
        for stream in Stream::all_of(Source::Payshack) {
            let from = match streams::find_position(pool, stream).await?.watermark {
                Some(watermark) => before(watermark.date_naive().min(today)),
                None => before(today).max(first_of_last(sync.initial_days, today)),
            };
            windows.push(Window { stream, from, to: today });
        }
        Ok(windows)
    }

    /// Before the first run: notes what is owed of the days before its window.
    async fn begin_if_first(&self, run: &SyncRun, windows: &[Window]) -> Result<(), JobError> {
        let JobContext { pool, clock, sync, .. } = &*self.context;
        let known = history::find(pool, Source::Payshack).await?.is_some();
        let Some(newest) = windows.iter().map(|window| window.from).max().filter(|_| !known) else { return Ok(()) };
        let history = History {
            backlog_from: first_of_last(sync.initial_days, run.today()),
            covered_from: day_start(newest),
            followed_from: run.started_at,
        };
        Ok(begin_history(pool, run.run_claim(), Source::Payshack, history, &[], clock.now()).await?)
    }

    /// Reads every day of a window, and says which of them never stood still. The watermark follows day by day, so that after
    /// an outage a run that fails on the last day does not begin at the first again.
    async fn read_window(&self, window: &Window, pages: &PageSender) -> Result<Vec<NaiveDate>, ProviderError> {
        let mut moving = vec![];
        for day in days(window.from, window.to) {
            let open = day == window.to;
            let day = DayReader { stream: window.stream, day, open, in_flight: IN_FLIGHT };
            if !day.read(&self.context.payshack, pages).await? {
                moving.push(day.day);
            } else if moving.is_empty() && !open {
                pages.send(Page::checkpoint_only(window.stream, Checkpoint::Watermark(day.day))).await;
            }
        }
        Ok(moving)
    }

    /// Fetches days of both lists, newest first, of which `today` is open at its end. Says which never stood still.
    ///
    /// # Errors
    /// [`ProviderError`] where a page cannot be had.
    pub async fn fetch_days(
        &self,
        from: NaiveDate,
        to: NaiveDate,
        today: NaiveDate,
        pages: &PageSender,
    ) -> Result<Vec<String>, ProviderError> {
        let mut moving = vec![];
        for day in days_back(from, to) {
            let mut still = true;
            for stream in Stream::all_of(Source::Payshack) {
                let moving_day = DayReader { stream, day, open: day == today, in_flight: IN_FLIGHT_OF_OLD_DAYS };
                if !moving_day.read(&self.context.payshack, pages).await? {
                    still = false;
                    moving.push(kept_moving(stream, day));
                }
            }
            if still {
                pages.send(Page::checkpoint_only(Stream::PayshackPayouts, Checkpoint::DayDone(day))).await;
            }
        }
        Ok(moving)
    }

    /// Asks again for what is still open here and older than the windows.
    async fn ask_again(&self, run: &mut SyncRun, window: NaiveDate) -> Result<(), JobError> {
        let JobContext { pool, sync, .. } = &*self.context;
        let again = recheck_open::choose(pool, window, run.started_at, sync.payshack_interval).await?;
        run.read(|pages| async move { self.fetch_again(again, &pages).await }).await
    }

    async fn fetch_again(&self, again: Recheck, pages: &PageSender) -> Result<(), ProviderError> {
        for ids in again.payins.chunks(IN_FLIGHT) {
            try_join_all(ids.iter().map(|id| self.fetch_payin(id, pages))).await?;
        }
        for day in again.payout_days {
            let day = DayReader { stream: Stream::PayshackPayouts, day, open: false, in_flight: IN_FLIGHT };
            day.read(&self.context.payshack, pages).await?;
        }
        Ok(())
    }

    async fn fetch_payin(&self, id: &str, pages: &PageSender) -> Result<(), ProviderError> {
        match self.context.payshack.payin_by_transaction_id(id).await {
            Ok(page) => pages.send(Page::new(Stream::PayshackPayins, page.records, Checkpoint::None)).await,
            Err(ProviderError::Refused { status: 404, .. }) => {
                tracing::warn!(id, "payshack knows the payment no more");
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn kept_moving(stream: Stream, day: NaiveDate) -> String {
    format!("payshack's {} of {day} kept moving while they were read {ROUNDS} times", stream.as_str())
}

#[async_trait]
impl Handler for SyncPayshack {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        let args: SyncArgs = serde_json::from_value(job.args.clone())?;
        let mut run = SyncRun::begin(&self.context, job, Source::Payshack, args).await?;
        let (completed, moving) = match args.days_of(run.today(), self.context.sync.initial_days) {
            None => self.incremental(&mut run).await?,
            Some((from, to)) => {
                let newest = run.resumed_at.map_or(to, |place| place.day.min(to));
                let today = run.today();
                (vec![], run.read(|pages| async move { self.fetch_days(from, newest, today, &pages).await }).await?)
            }
        };
        run.finish(completed, moving).await
    }
}
