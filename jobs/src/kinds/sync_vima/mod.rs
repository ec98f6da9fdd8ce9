//! `sync-vima`: reads Vima by its two cursors, and by days.
//!
//! What is new is followed: creations and updates, oldest first, from where each cursor stood a while before the last
//! complete run began, for ids can become visible late. The first run notes the newest ids and follows from there; the days
//! before are read by a job of their own (`operations::begin_history`), newest first. A cursor may include its own record or
//! not, and a page may be longer than asked for: reading ends at a page that brings no id beyond the last one.
//!
//! Days that are read again, as the nightly sweep does, are read with the changes that were made since they began, as far
//! as it is remembered where the cursor stood then: an update that became visible hours late is on no list of a day.

pub(crate) mod overlap_cursor;

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, Utc};
use psp_dashboard::db::sync::{history, streams};
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::sync::{DayCheckpoint, History, Stream, SyncArgs, day_start, days_back, first_of_last};
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::domain::version::SequenceId;
use psp_dashboard::operations::begin_history::begin_history;
use psp_dashboard::operations::ingest_page::{Checkpoint, Page};
use psp_dashboard::providers::ProviderError;
use psp_dashboard::providers::vima::{Cursor, OperationsPage, OperationsQuery};
use serde_json::Value;

use self::overlap_cursor::OverlapCursor;
use super::sync_run::{PageSender, SyncRun};
use crate::handler::{Handler, JobError};
use crate::job_context::JobContext;

/// The longest page that can be asked for.
const COUNT: u32 = 100;

/// Reads Vima.
pub struct SyncVima {
    context: Arc<JobContext>,
}

/// A list that is walked, from a place in it.
#[derive(Debug, Clone, Copy)]
struct Walk {
    stream: Stream,
    from: Option<SequenceId>,
    keeps: Keeps,
}

/// What is kept of how far a walk has come.
#[derive(Debug, Clone, Copy)]
enum Keeps {
    /// The cursor of the list, for the next run.
    Cursor,
    /// The place within a day, the only one whose creations are walked, for the next attempt.
    Day(NaiveDate),
    /// Nothing: the walk is short, and what it brings is read again gladly.
    Nothing,
}

impl Walk {
    fn query(&self, after: Option<SequenceId>) -> OperationsQuery {
        let cursor = if self.stream == Stream::VimaUpdates { Cursor::Updates } else { Cursor::Creations };
        let day = if let Keeps::Day(day) = self.keeps { Some(day) } else { None };
        OperationsQuery { day, after: after.map(cursor), count: COUNT, descending: false }
    }

    fn newest_of(&self, page: &OperationsPage) -> Option<SequenceId> {
        match self.stream {
            Stream::VimaUpdates => page.newest_update_id(),
            _ => page.newest_create_id(),
        }
    }

    fn advance(&self, reached: SequenceId) -> Checkpoint {
        match self.keeps {
            Keeps::Cursor => Checkpoint::Cursor(reached),
            Keeps::Day(day) => Checkpoint::DayCheckpoint(day, Some(reached)),
            Keeps::Nothing => Checkpoint::None,
        }
    }

    fn page(&self, page: OperationsPage, advance: Checkpoint) -> Page {
        let records = page.operations.into_iter().map(|operation| operation.record).collect();
        Page::new(self.stream, records, advance)
    }

    fn stuck_at(&self, place: Option<SequenceId>) -> String {
        let place = place.map_or_else(|| "its start".to_owned(), |place| place.to_string());
        let of_day = if let Keeps::Day(day) = self.keeps { format!(" of {day}") } else { String::new() };
        let list = self.stream.as_str();
        format!("vima's {list}{of_day} do not go on beyond {place}, although the page there is full")
    }
}

impl SyncVima {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(context: &Arc<JobContext>) -> Self {
        Self { context: Arc::clone(context) }
    }

    /// Reads a list to its end. Says what is odd about the end.
    async fn follow(&self, walk: &Walk, pages: &PageSender) -> Result<Option<String>, ProviderError> {
        self.follow_with(walk, pages, |_| {}).await
    }

    /// The same, and shows each page.
    async fn follow_with(
        &self,
        walk: &Walk,
        pages: &PageSender,
        mut show: impl FnMut(&OperationsPage) + Send,
    ) -> Result<Option<String>, ProviderError> {
        let mut place = walk.from;
        loop {
            let page = self.context.vima.operations(&walk.query(place)).await?;
            show(&page);
            let newest = walk.newest_of(&page);
            let Some(reached) = newest.filter(|newest| place.is_none_or(|place| *newest > place)) else {
                let stuck = page.operations.len() >= COUNT as usize;
                if !page.is_empty() {
                    pages.send(walk.page(page, Checkpoint::None)).await;
                }
                return Ok(stuck.then(|| walk.stuck_at(place)));
            };
            pages.send(walk.page(page, walk.advance(reached))).await;
            place = Some(reached);
        }
    }

    /// Follows what is new. Says which lists were read to their ends, and what is odd about the others.
    async fn incremental(&self, run: &mut SyncRun) -> Result<(Vec<Stream>, Vec<String>), JobError> {
        self.begin_if_first(run).await?;
        let mut completed = vec![];
        let mut oddities = vec![];
        for stream in Stream::all_of(Source::Vima) {
            let from = self.start_of(stream, run.started_at).await?;
            let walk = Walk { stream, from, keeps: Keeps::Cursor };
            match run.read(|pages| async move { self.follow(&walk, &pages).await }).await? {
                None => completed.push(stream),
                Some(odd) => oddities.push(odd),
            }
        }
        Ok((completed, oddities))
    }

    /// Where the cursor stood an overlap before the last complete run began. Not before now: after an outage an id may have
    /// become visible that was late then.
    async fn start_of(&self, stream: Stream, now: DateTime<Utc>) -> Result<Option<SequenceId>, JobError> {
        let JobContext { pool, sync, .. } = &*self.context;
        let last = streams::find_position(pool, stream).await?.watermark.unwrap_or(now).min(now);
        match streams::find_cursor_at(pool, stream, last - sync.vima_overlap).await? {
            Some(cursor) => Ok(Some(cursor)),
            None => Ok(streams::find_first_cursor(pool, stream).await?),
        }
    }

    /// Before the first run: notes the newest ids, which are followed from there on, and what is owed of the days before.
    async fn begin_if_first(&self, run: &SyncRun) -> Result<(), JobError> {
        let JobContext { pool, clock, sync, .. } = &*self.context;
        let followed = streams::find_position(pool, Stream::VimaCreations).await?.watermark.is_some();
        if followed && history::find(pool, Source::Vima).await?.is_some() {
            return Ok(());
        }
        let backlog_from = first_of_last(sync.initial_days, run.today());
        let history = History { backlog_from, covered_from: run.started_at, followed_from: run.started_at };
        let newest = self.note_newest().await?;
        Ok(begin_history(pool, run.run_claim(), Source::Vima, history, &newest, clock.now()).await?)
    }

    /// The newest ids that are visible now; zero where there are none yet. A page of them, for a record may be malformed and
    /// have none.
    async fn note_newest(&self) -> Result<[(Stream, SequenceId); 2], ProviderError> {
        let newest_first = |after| OperationsQuery { day: None, after, count: COUNT, descending: true };
        let vima = &self.context.vima;
        let creations = vima.operations(&newest_first(None)).await?.newest_create_id();
        let updates = vima.operations(&newest_first(Some(Cursor::Updates(SequenceId(0))))).await?.newest_update_id();
        Ok([
            (Stream::VimaCreations, creations.unwrap_or(SequenceId(0))),
            (Stream::VimaUpdates, updates.unwrap_or(SequenceId(0))),
        ])
    }

    /// Reads what was created on days, from where an earlier attempt was interrupted, and what has been changed since they
    /// began.
    async fn read_days(&self, run: &mut SyncRun, from: NaiveDate, to: NaiveDate) -> Result<Vec<String>, JobError> {
        let JobContext { pool, sync, .. } = &*self.context;
        let history = history::find(pool, Source::Vima).await?;
        let horizon = OverlapCursor::find(pool, history, sync.vima_overlap).await?;
        let resumed = run.resumed_at;
        let since = streams::find_cursor_at(pool, Stream::VimaUpdates, day_start(from)).await?;
        run.read(|pages| async move {
            let mut oddities = self.fetch_days(from, to, resumed, horizon, &pages).await?;
            if since.is_some() {
                let walk = Walk { stream: Stream::VimaUpdates, from: since, keeps: Keeps::Nothing };
                oddities.extend(self.follow(&walk, &pages).await?);
            }
            Ok(oddities)
        })
        .await
    }

    /// Fetches what was created on days, newest first. Says what is odd about the end of any.
    async fn fetch_days(
        &self,
        from: NaiveDate,
        to: NaiveDate,
        resumed: Option<DayCheckpoint>,
        mut horizon: OverlapCursor,
        pages: &PageSender,
    ) -> Result<Vec<String>, ProviderError> {
        let newest = resumed.map_or(to, |place| place.day.min(to));
        let mut oddities = vec![];
        for day in days_back(from, newest) {
            let place = resumed.filter(|place| place.day == day && !horizon.asks(day));
            let walk = Walk {
                stream: Stream::VimaCreations,
                from: place.and_then(|place| place.cursor),
                keeps: Keeps::Day(day),
            };
            let odd = self.follow_with(&walk, pages, |page| horizon.meet(page)).await?;
            horizon.send(pages).await;
            match odd {
                None => pages.send(Page::checkpoint_only(walk.stream, Checkpoint::DayDone(day))).await,
                Some(odd) => oddities.push(odd),
            }
        }
        Ok(oddities)
    }

    /// Fetches days and hands their pages over, as a sync of them does, without being one.
    ///
    /// # Errors
    /// [`ProviderError`] where a page cannot be had.
    pub async fn fetch_only(
        &self,
        from: NaiveDate,
        to: NaiveDate,
        pages: &PageSender,
    ) -> Result<Vec<String>, ProviderError> {
        self.fetch_days(from, to, None, OverlapCursor::known(), pages).await
    }
}

#[async_trait]
impl Handler for SyncVima {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        let args: SyncArgs = serde_json::from_value(job.args.clone())?;
        let mut run = SyncRun::begin(&self.context, job, Source::Vima, args).await?;
        let (completed, oddities) = match args.days_of(run.today(), self.context.sync.initial_days) {
            None => self.incremental(&mut run).await?,
            Some((from, to)) => (vec![], self.read_days(&mut run, from, to).await?),
        };
        run.finish(completed, oddities).await
    }
}
