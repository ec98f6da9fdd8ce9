//! `sync-vima`: reads Vima by its two cursors, and by days.
//!
//! An incremental run reads creations and updates, oldest first. It starts where each cursor was one overlap before the last
//! complete run began, because ids can become visible late. The first run only notes the newest ids, and later runs start
//! from there; the days before are read by a job of their own (`operations::begin_history`), newest first.
//!
//! Days that are read again, as by the nightly sweep, are read together with the updates made since they began, as far back
//! as the position of the cursor at that time is known: an update that became visible hours late is in no list of a day.

pub mod cursor_reader;
pub mod overlap_cursor;

use chrono::{DateTime, NaiveDate, Utc};
use psp_dashboard::db::sync::{history, streams};
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::job::{JobKind, SYNC_VIMA};
use psp_dashboard::domain::sync::{DayCheckpoint, History, Stream, SyncArgs, day_start, days_back, first_of_last};
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::domain::version::SequenceId;
use psp_dashboard::operations::begin_history::begin_history;
use psp_dashboard::operations::ingest_page::{Checkpoint, Page};
use psp_dashboard::providers::ProviderError;
use psp_dashboard::providers::vima::VimaClient;

use self::cursor_reader::{CursorReader, KnownIds, Position, newest_ids};
use self::overlap_cursor::OverlapCursor;
use super::sync_run::{PageSender, SyncRun};
use crate::handler::{JobHandler, JobResult};
use crate::job_context::JobContext;
use crate::job_error::JobError;

pub struct SyncVima;

impl JobHandler for SyncVima {
    const KIND: &'static JobKind = &SYNC_VIMA;
    type Args = SyncArgs;

    async fn run(context: &JobContext, job: &ClaimedJob, args: SyncArgs) -> JobResult {
        let mut run = SyncRun::begin(context, job, Source::Vima, args).await?;
        let (completed, incomplete) = match args.days_of(run.today(), context.sync.initial_days) {
            None => read_new(context, &mut run).await?,
            Some((from, to)) => (vec![], read_days(context, &mut run, from, to).await?),
        };
        run.finish(completed, incomplete).await
    }
}

/// Reads what is new. Returns the streams that were read to their end, and why the run is incomplete, if so.
async fn read_new(context: &JobContext, run: &mut SyncRun<'_>) -> Result<(Vec<Stream>, Vec<String>), JobError> {
    begin_if_first(context, run).await?;
    let known = KnownIds::find(&context.pool).await?;
    let mut completed = vec![];
    let mut incomplete = vec![];
    for stream in Stream::all_of(Source::Vima) {
        let from = start_of(context, stream, run.started_at).await?;
        let reader = CursorReader { stream, from, stores: Position::Cursor, known };
        let end = run.read(|pages| async move { reader.read(&context.vima, &pages).await }).await?;
        if end.is_reached {
            completed.push(stream);
        }
        incomplete.extend(end.problems);
    }
    Ok((completed, incomplete))
}

/// The cursor's position one overlap before the last complete run began. Not one overlap before now: after an outage, an
/// id that was late then may have become visible.
async fn start_of(context: &JobContext, stream: Stream, now: DateTime<Utc>) -> Result<Option<SequenceId>, JobError> {
    let JobContext { pool, sync, .. } = context;
    let last = streams::find_position(pool, stream).await?.watermark.unwrap_or(now).min(now);
    match streams::find_cursor_at(pool, stream, last - sync.vima_overlap).await? {
        Some(cursor) => Ok(Some(cursor)),
        None => Ok(streams::find_first_cursor(pool, stream).await?),
    }
}

/// Before the first run: notes the newest ids, from which later runs start, and the days that are still to be read.
async fn begin_if_first(context: &JobContext, run: &SyncRun<'_>) -> Result<(), JobError> {
    let JobContext { pool, clock, sync, .. } = context;
    let followed = streams::find_position(pool, Stream::VimaCreations).await?.watermark.is_some();
    if followed && history::find(pool, Source::Vima).await?.is_some() {
        return Ok(());
    }
    let backlog_from = first_of_last(sync.initial_days, run.today());
    let history = History { backlog_from, covered_from: run.started_at, followed_from: run.started_at };
    let newest = newest_ids(&context.vima).await?;
    Ok(begin_history(pool, run.run_claim(), Source::Vima, history, &newest, clock.now()).await?)
}

/// Reads what was created on days, from where an earlier attempt was interrupted, and what was updated since they began.
async fn read_days(
    context: &JobContext,
    run: &mut SyncRun<'_>,
    from: NaiveDate,
    to: NaiveDate,
) -> Result<Vec<String>, JobError> {
    let JobContext { pool, sync, vima, .. } = context;
    let history = history::find(pool, Source::Vima).await?;
    let overlap = OverlapCursor::find(pool, history, sync.vima_overlap).await?;
    let resumed = run.resumed_at;
    let since = streams::find_cursor_at(pool, Stream::VimaUpdates, day_start(from)).await?;
    let known = KnownIds::find(pool).await?;
    run.read(|pages| async move {
        let mut incomplete = fetch_days(vima, from, to, resumed, overlap, known, &pages).await?;
        if since.is_some() {
            let reader = CursorReader { stream: Stream::VimaUpdates, from: since, stores: Position::None, known };
            incomplete.extend(reader.read(vima, &pages).await?.problems);
        }
        Ok(incomplete)
    })
    .await
}

/// Fetches what was created on days, newest day first. Returns why the run is incomplete, if so.
pub async fn fetch_days(
    vima: &VimaClient,
    from: NaiveDate,
    to: NaiveDate,
    resumed: Option<DayCheckpoint>,
    mut overlap: OverlapCursor,
    known: KnownIds,
    pages: &PageSender,
) -> Result<Vec<String>, ProviderError> {
    let newest = resumed.map_or(to, |place| place.day.min(to));
    let mut incomplete = vec![];
    for day in days_back(from, newest) {
        let place = resumed.filter(|place| place.day == day && !overlap.needs(day));
        let reader = CursorReader {
            stream: Stream::VimaCreations,
            from: place.and_then(|place| place.cursor),
            stores: Position::Day(day),
            known,
        };
        let end = reader.read_with(vima, pages, |page| overlap.observe(page)).await?;
        overlap.send(pages).await;
        if end.is_reached {
            pages.send(Page::checkpoint_only(reader.stream, Checkpoint::DayDone(day))).await;
        }
        incomplete.extend(end.problems);
    }
    Ok(incomplete)
}
