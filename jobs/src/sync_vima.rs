//! `sync-vima`: reads Vima by its two cursors.
//!
//! The first run notes the newest ids, walks the first days by date, and then follows both cursors from the noted ids:
//! what changes while history is walked is found there. Every later run follows creations and updates, oldest first, from
//! where each cursor stood a while ago, for ids can become visible late. A cursor may include its own record or not, and a
//! page may be longer than asked for: reading ends at a page that brings no id beyond the last one.

use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use psp_dashboard::db::sync_streams::{self, Place};
use psp_dashboard::domain::attempt::ClaimedJob;
use psp_dashboard::domain::sync::{Stream, SyncArgs};
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::domain::version::SequenceId;
use psp_dashboard::operations::begin_history::{Newest, begin_history};
use psp_dashboard::operations::finish_sync::Completed;
use psp_dashboard::operations::ingest_page::{Advance, Page};
use psp_dashboard::providers::ProviderError;
use psp_dashboard::providers::vima::{Cursor, OperationsPage, OperationsQuery};
use serde_json::Value;

use crate::environment::Environment;
use crate::handler::{Handler, JobError};
use crate::sync_run::{SyncRun, days, first_of_last};

/// The longest page that can be asked for.
const COUNT: u32 = 100;

/// Reads Vima.
pub struct SyncVima {
    environment: Arc<Environment>,
}

/// A list that is walked, from a place in it.
#[derive(Debug, Clone, Copy)]
struct Walk {
    stream: Stream,
    /// Only the creations of this day.
    day: Option<NaiveDate>,
    from: Option<SequenceId>,
    /// Whether the place reached is kept for the next run.
    keeps_place: bool,
}

impl Walk {
    fn query(&self, after: Option<SequenceId>) -> OperationsQuery {
        let cursor = if self.stream == Stream::VimaUpdates { Cursor::Updates } else { Cursor::Creations };
        OperationsQuery { day: self.day, after: after.map(cursor), count: COUNT, descending: false }
    }

    fn newest_of(&self, page: &OperationsPage) -> Option<SequenceId> {
        match self.stream {
            Stream::VimaUpdates => page.newest_update_id(),
            _ => page.newest_create_id(),
        }
    }

    fn advance(&self, reached: SequenceId) -> Advance {
        match self.day {
            _ if !self.keeps_place => Advance::Stay,
            Some(day) => Advance::Day(day, Some(reached)),
            None => Advance::Cursor(reached),
        }
    }

    fn page(&self, page: OperationsPage, advance: Advance) -> Page {
        let records = page.operations.into_iter().map(|operation| operation.record).collect();
        Page { stream: self.stream, records, advance }
    }
}

impl SyncVima {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(environment: &Arc<Environment>) -> Self {
        Self { environment: Arc::clone(environment) }
    }

    async fn fetch(&self, walk: &Walk, after: Option<SequenceId>) -> Result<OperationsPage, ProviderError> {
        self.environment.vima.operations(&walk.query(after)).await
    }

    /// Reads a list to its end, asking for a page while the last one is being stored. Says what is odd about the end.
    async fn follow(&self, run: &mut SyncRun, walk: Walk) -> Result<Option<String>, JobError> {
        let mut place = walk.from;
        let mut page = self.fetch(&walk, place).await?;
        loop {
            let newest = walk.newest_of(&page);
            let Some(reached) = newest.filter(|newest| place.is_none_or(|place| *newest > place)) else {
                let stuck = page.operations.len() >= COUNT as usize;
                if !page.is_empty() {
                    run.store(walk.page(page, Advance::Stay)).await?;
                }
                return Ok(stuck.then(|| stuck_at(&walk, place)));
            };
            let advance = walk.advance(reached);
            let (stored, fetched) = tokio::join!(run.store(walk.page(page, advance)), self.fetch(&walk, Some(reached)));
            stored?;
            page = fetched?;
            place = Some(reached);
        }
    }

    async fn incremental(&self, run: &mut SyncRun) -> Result<(Vec<Completed>, Option<String>), JobError> {
        let pool = &self.environment.pool;
        let covered_from = match sync_streams::find_place(pool, Stream::VimaCreations).await? {
            Place { watermark: Some(_), .. } => None,
            _ => match self.walk_history(run).await? {
                Ok(covered_from) => Some(covered_from),
                Err(odd) => return Ok((vec![], Some(odd))),
            },
        };
        let mut completed = vec![];
        let mut oddities = vec![];
        for stream in [Stream::VimaCreations, Stream::VimaUpdates] {
            let from = self.start_of(stream, run.started_at).await?;
            match self.follow(run, Walk { stream, day: None, from, keeps_place: true }).await? {
                None => completed.push(Completed { stream, watermark: run.started_at, covered_from }),
                Some(odd) => oddities.push(odd),
            }
        }
        Ok((completed, (!oddities.is_empty()).then(|| oddities.join("; "))))
    }

    /// Where the cursor stood an overlap ago.
    async fn start_of(&self, stream: Stream, now: DateTime<Utc>) -> Result<Option<SequenceId>, JobError> {
        let Environment { pool, sync, .. } = &*self.environment;
        Ok(sync_streams::find_cursor_at(pool, stream, now - sync.vima_overlap).await?)
    }

    /// Walks the first days, a day at a time, from where an interrupted walk ended. Says how far back it reaches, or what
    /// is odd about a day that could not be read to its end: the next run begins with that day.
    async fn walk_history(&self, run: &mut SyncRun) -> Result<Result<DateTime<Utc>, String>, JobError> {
        let Environment { pool, clock, sync, .. } = &*self.environment;
        let mut place = sync_streams::find_place(pool, Stream::VimaHistory).await?;
        if place.day.is_none() {
            let first_day = first_of_last(sync.initial_days, run.today());
            begin_history(pool, run.ticket(), self.note_newest().await?, first_day, clock.now()).await?;
            place = sync_streams::find_place(pool, Stream::VimaHistory).await?;
        }
        let first_day = place.day.unwrap_or_else(|| run.today());
        let mut from = place.cursor;
        for day in days(first_day, run.today()) {
            let walk = Walk { stream: Stream::VimaHistory, day: Some(day), from, keeps_place: true };
            if let Some(odd) = self.follow(run, walk).await? {
                return Ok(Err(odd));
            }
            let advance = Advance::Day(day.succ_opt().unwrap_or(day), None);
            run.store(Page { stream: Stream::VimaHistory, records: vec![], advance }).await?;
            from = None;
        }
        Ok(Ok(place.covered_from.unwrap_or_else(|| first_day.and_time(NaiveTime::MIN).and_utc())))
    }

    /// The newest ids that are visible now. A page of them, for a record may be malformed and have none.
    async fn note_newest(&self) -> Result<Newest, ProviderError> {
        let newest_first = |after| OperationsQuery { day: None, after, count: COUNT, descending: true };
        let vima = &self.environment.vima;
        let creations = vima.operations(&newest_first(None)).await?;
        let updates = vima.operations(&newest_first(Some(Cursor::Updates(SequenceId(0))))).await?;
        Ok(Newest {
            creation: creations.newest_create_id().unwrap_or(SequenceId(0)),
            update: updates.newest_update_id().unwrap_or(SequenceId(0)),
        })
    }

    async fn read_days(&self, run: &mut SyncRun, from: NaiveDate, to: NaiveDate) -> Result<Option<String>, JobError> {
        let mut oddities = vec![];
        for day in days(from, to) {
            let walk = Walk { stream: Stream::VimaHistory, day: Some(day), from: None, keeps_place: false };
            oddities.extend(self.follow(run, walk).await?);
        }
        Ok((!oddities.is_empty()).then(|| oddities.join("; ")))
    }
}

fn stuck_at(walk: &Walk, place: Option<SequenceId>) -> String {
    let place = place.map_or_else(|| "its start".to_owned(), |place| place.to_string());
    format!("vima's {} do not go on beyond {place}, although the page there is full", walk.stream.as_str())
}

#[async_trait]
impl Handler for SyncVima {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        let args: SyncArgs = serde_json::from_value(job.args.clone())?;
        let mut run = SyncRun::begin(&self.environment, job, Source::Vima, args).await?;
        let (completed, incomplete) = match args {
            SyncArgs::Incremental => self.incremental(&mut run).await?,
            SyncArgs::Full => {
                let first_day = first_of_last(self.environment.sync.initial_days, run.today());
                let today = run.today();
                (vec![], self.read_days(&mut run, first_day, today).await?)
            }
            SyncArgs::Range { from_date, to_date } => (vec![], self.read_days(&mut run, from_date, to_date).await?),
        };
        run.finish(completed, incomplete).await
    }
}
