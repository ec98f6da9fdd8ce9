//! `sync-payshack`: reads PayShack's pay-ins and pay-outs, each a list of its own, by days.
//!
//! An incremental run reads a window of days that starts before the watermark, oldest day first, so that a record that moves
//! to a later day is still read. The watermark advances only if every day of the window could be read without the list
//! changing meanwhile (`day_reader`). It is unknown to which date PayShack's filter applies, so the last day is read without
//! an upper bound. Then the run requests payments again that are older and still open (`recheck_open`).
//!
//! Days before the window are read by jobs of their own, after the first run and by the rolling pass, newest day first. A
//! later attempt continues where the last one was interrupted.

pub mod day_reader;
pub mod recheck_open;

use chrono::{Days, NaiveDate};
use psp_dashboard::db::sync::{history, streams};
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::job::{JobKind, SYNC_PAYSHACK};
use psp_dashboard::domain::sync::{History, Stream, SyncArgs, day_start, days, days_back, first_of_last};
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::ingest_page::{Checkpoint, Page};
use psp_dashboard::operations::recheck_payments::{list_due_rechecks, record_rechecks};
use psp_dashboard::providers::ProviderError;
use psp_dashboard::providers::payshack::{PageQuery, PayshackClient};

use self::day_reader::{DayReader, MAX_REREADS, fetch_page};
use self::recheck_open::fetch_due;
use super::sync_run::{PageSender, SyncRun};
use crate::handler::{JobHandler, JobResult};
use crate::job_context::JobContext;
use crate::job_error::JobError;

/// How many requests an incremental run has in flight.
const IN_FLIGHT: usize = 4;
/// The same for a run that reads old days: fewer, so that the incremental run gets most of the rate limit.
const IN_FLIGHT_OLD_DAYS: usize = 2;

/// The days of one list that an incremental run reads; the last has no upper bound.
#[derive(Debug, Clone, Copy)]
struct SyncWindow {
    stream: Stream,
    from: NaiveDate,
    to: NaiveDate,
}

pub struct SyncPayshack;

impl JobHandler for SyncPayshack {
    const KIND: &'static JobKind = &SYNC_PAYSHACK;
    type Args = SyncArgs;

    async fn run(context: &JobContext, job: &ClaimedJob, args: SyncArgs) -> JobResult {
        let mut run = SyncRun::begin(context, job, Source::Payshack, args).await?;
        let (completed, incomplete) = match args.days_of(run.today(), context.sync.initial_days) {
            None => read_new(context, &mut run).await?,
            Some((from, to)) => {
                let newest = run.resumed_at.map_or(to, |place| place.day.min(to));
                let (payshack, today) = (&context.payshack, run.today());
                let fetch = |pages| async move { fetch_days(payshack, from, newest, today, &pages).await };
                (vec![], run.read(fetch).await?)
            }
        };
        run.finish(completed, incomplete).await
    }
}

/// Reads what is new. Returns the streams that were read to their end, and which days of the others kept changing.
async fn read_new(context: &JobContext, run: &mut SyncRun<'_>) -> Result<(Vec<Stream>, Vec<String>), JobError> {
    let payshack = &context.payshack;
    let followed = history::find(&context.pool, Source::Payshack).await?;
    let windows = windows(context, run, followed).await?;
    for window in &windows {
        let query = PageQuery { limit: 1, date_from: Some(window.from), ..PageQuery::default() };
        let count = fetch_page(payshack, window.stream, &query).await?.total_records;
        run.total = count.map(|count| run.total.unwrap_or(0) + count);
    }
    let (mut completed, mut incomplete) = (vec![], vec![]);
    for window in &windows {
        let changing = run.read(|pages| async move { fetch_window(payshack, window, &pages).await }).await?;
        if changing.is_empty() {
            completed.push(window.stream);
        }
        incomplete.extend(changing.iter().map(|day| kept_changing(window.stream, *day)));
    }
    if followed.is_none() {
        follow(context, run, &windows).await?;
    }
    for stream in &completed {
        // Now, so that rechecks cannot delay it.
        run.store_checkpoint(*stream, Checkpoint::End(run.started_at)).await?;
    }
    let oldest = windows.iter().map(|window| window.from).min().unwrap_or(run.today());
    recheck(context, run, oldest).await?;
    Ok((completed, incomplete))
}

/// Requests payments again that are older than the day `window` and still open, and forgets those that are not.
async fn recheck(context: &JobContext, run: &mut SyncRun<'_>, window: NaiveDate) -> Result<(), JobError> {
    let JobContext { pool, payshack, clock, .. } = context;
    let due = list_due_rechecks(pool, window, run.started_at).await?;
    let rechecked = run.read(|pages| async move { Ok(fetch_due(payshack, due, &pages).await) }).await?;
    Ok(record_rechecks(pool, run.run_claim(), rechecked, run.seen(), clock.now()).await?)
}

/// One window per list: from the overlap before its watermark. Without one, from the overlap before the day since which the
/// source is followed: today in the first run, and later the day of the first run, as long as a list could not be read to its
/// end.
async fn windows(
    context: &JobContext,
    run: &SyncRun<'_>,
    followed: Option<History>,
) -> Result<Vec<SyncWindow>, JobError> {
    let JobContext { pool, sync, .. } = context;
    let today = run.today();
    let overlap = Days::new(u64::from(sync.payshack_overlap_days));
    let before = |day: NaiveDate| day.checked_sub_days(overlap).unwrap_or(day);
    let first = followed.map_or(today, |history| history.followed_from.date_naive().min(today));
    let mut windows = vec![];
    for stream in Stream::all_of(Source::Payshack) {
        let from = match streams::find_position(pool, stream).await?.watermark {
            Some(watermark) => before(watermark.date_naive().min(today)),
            None => before(first).max(first_of_last(sync.initial_days, first)),
        };
        windows.push(SyncWindow { stream, from, to: today });
    }
    Ok(windows)
}

/// After the first run has read its windows: notes since when there are no gaps, and the days before that are still to be
/// read. Not earlier: a run that fails has read nothing, and the next one may begin days later.
async fn follow(context: &JobContext, run: &mut SyncRun<'_>, windows: &[SyncWindow]) -> Result<(), JobError> {
    let Some(newest) = windows.iter().map(|window| window.from).max() else { return Ok(()) };
    let history = History {
        backlog_from: first_of_last(context.sync.initial_days, run.today()),
        covered_from: day_start(newest),
        followed_from: run.started_at,
    };
    Ok(run.store_checkpoint(Stream::PayshackPayins, Checkpoint::Followed(history)).await?)
}

/// Fetches every day of a window, and returns those that kept changing. The watermark advances day by day, so that a run
/// that fails on the last day after an outage does not start from the first day again.
async fn fetch_window(
    payshack: &PayshackClient,
    window: &SyncWindow,
    pages: &PageSender,
) -> Result<Vec<NaiveDate>, ProviderError> {
    let mut changing = vec![];
    for day in days(window.from, window.to) {
        let open_end = day == window.to;
        let reader = DayReader { stream: window.stream, day, open_end, in_flight: IN_FLIGHT };
        if !reader.read(payshack, pages).await? {
            changing.push(day);
        } else if changing.is_empty() && !open_end {
            pages.send(Page::checkpoint_only(window.stream, Checkpoint::Watermark(day))).await;
        }
    }
    Ok(changing)
}

/// Fetches days of both lists, newest day first; `today` has no upper bound. Returns which days kept changing.
pub async fn fetch_days(
    payshack: &PayshackClient,
    from: NaiveDate,
    to: NaiveDate,
    today: NaiveDate,
    pages: &PageSender,
) -> Result<Vec<String>, ProviderError> {
    let mut incomplete = vec![];
    for day in days_back(from, to) {
        let mut done = true;
        for stream in Stream::all_of(Source::Payshack) {
            let reader = DayReader { stream, day, open_end: day == today, in_flight: IN_FLIGHT_OLD_DAYS };
            if !reader.read(payshack, pages).await? {
                done = false;
                incomplete.push(kept_changing(stream, day));
            }
        }
        if done {
            pages.send(Page::checkpoint_only(Stream::PayshackPayouts, Checkpoint::DayDone(day))).await;
        }
    }
    Ok(incomplete)
}

fn kept_changing(stream: Stream, day: NaiveDate) -> String {
    format!("payshack's {} of {day} kept changing while they were read {MAX_REREADS} times", stream.as_str())
}
