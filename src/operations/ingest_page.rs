//! Stores what was read of a provider, a page or a few that follow one another, all of it or nothing.
//!
//! Records, status history, metrics, quarantine, the run's counts, the cursor and the outgoing events commit together. A
//! page that is stored twice changes nothing the second time. A record that could not be read once leaves the quarantine with
//! the page that tells it rightly.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::publish_events::publish_events;
use super::rate_cache::StoredRates;
use super::store_payments::{changes_news, count, store_payments};
use crate::db::jobs::claims;
use crate::db::sync::{history, quarantine, runs, streams};
use crate::db::{DbError, events, transactions};
use crate::domain::event::Event;
use crate::domain::job::{Claim, JobId};
use crate::domain::record::{Malformed, Record};
use crate::domain::sync::{Counts, DayCheckpoint, Stream, day_start};
use crate::domain::transaction::{Source, Transaction};
use crate::domain::upsert::UpsertDecision;
use crate::domain::version::SequenceId;
use crate::redis::Redis;

/// Where the next page, the next attempt or the next run goes on once this page is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checkpoint {
    /// As before.
    None,
    /// The cursor of the stream has come this far.
    Cursor(SequenceId),
    /// The cursor of the stream would have stood here at that time, had it been followed then: as before, but a run that
    /// begins an overlap back may begin here.
    CursorMark(DateTime<Utc>, SequenceId),
    /// Every day of the stream until this one has been read to its end: the next run begins there.
    Watermark(NaiveDate),
    /// Days are read, newest first: a later attempt goes on with this one, from this cursor within it.
    DayCheckpoint(NaiveDate, Option<SequenceId>),
    /// The same, and this day has been read to its end, in all lists of its source: the day before is next.
    DayDone(NaiveDate),
}

impl Checkpoint {
    /// What a later attempt goes on from, after `seen` records.
    fn place(self, seen: u64) -> Option<DayCheckpoint> {
        match self {
            Self::None | Self::Cursor(_) | Self::CursorMark(..) | Self::Watermark(_) => None,
            Self::DayCheckpoint(day, cursor) => Some(DayCheckpoint { day, cursor, seen }),
            Self::DayDone(day) => Some(DayCheckpoint { day: day.pred_opt()?, cursor: None, seen }),
        }
    }
}

/// What is stored at once.
#[derive(Debug)]
pub struct Page {
    /// The list it is of.
    pub stream: Stream,
    /// Its records.
    pub records: Vec<Record>,
    /// Where reading goes on.
    pub advance: Checkpoint,
    /// How many pages of the provider it is made of.
    pub pages: u64,
}

impl Page {
    /// One page of the provider.
    #[must_use]
    pub fn new(stream: Stream, records: Vec<Record>, advance: Checkpoint) -> Self {
        Self { stream, records, advance, pages: 1 }
    }

    /// No page of the provider: only where reading goes on.
    #[must_use]
    pub fn none(stream: Stream, advance: Checkpoint) -> Self {
        Self { stream, records: vec![], advance, pages: 0 }
    }

    /// Whether it may be stored together with the one that follows: of the same list, and nothing is said by its end that
    /// the later one would not say as well.
    #[must_use]
    pub fn joins(&self, later: &Self) -> bool {
        self.stream == later.stream && !matches!(self.advance, Checkpoint::DayDone(_) | Checkpoint::CursorMark(..))
    }

    /// Both, to be stored together.
    #[must_use]
    pub fn followed_by(mut self, later: Self) -> Self {
        self.records.extend(later.records);
        // A last page that has no place of its own does not take back what the pages before have reached.
        let advance = if later.advance == Checkpoint::None { self.advance } else { later.advance };
        Self { advance, pages: self.pages + later.pages, ..self }
    }
}

/// In whose name, and for which run, a page is stored.
#[derive(Debug, Clone, Copy)]
pub struct RunClaim {
    /// The worker's claim on the job.
    pub claim: Claim,
    /// The run.
    pub run_id: Uuid,
}

/// What a run says of itself while it goes on; given with a page, as seldom as the contract wants it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Progress {
    /// Records read before this page.
    pub before: u64,
    /// Records in all, where the provider says.
    pub total: Option<u64>,
    /// Whether dashboards are to be told how far the run has come.
    pub tell_progress: bool,
    /// Whether dashboards are to be told that the metrics have moved.
    pub tell_metrics: bool,
}

impl Progress {
    /// Records read once a page with these is stored.
    fn after(&self, counts: &Counts) -> u64 {
        self.before + counts.seen()
    }
}

/// Stores `page`, its payments valued by their own rates or by `rates`, and says what became of its records.
///
/// # Errors
/// [`DbError::ClaimLost`] where another worker has the job by now: nothing was written. [`DbError::Conflict`] and
/// [`DbError::Unavailable`] where it may be tried again.
pub async fn ingest_page(
    pool: &PgPool,
    redis: &Redis,
    rates: &StoredRates,
    run_claim: &RunClaim,
    page: &Page,
    progress: &Progress,
    now: DateTime<Utc>,
) -> Result<Counts, DbError> {
    let mut transaction = pool.begin().await?;
    let counts = store(&mut transaction, rates, run_claim.run_id, page, now).await?;
    let recorded = if counts.seen() > 0 || page.advance != Checkpoint::None {
        runs::add_pages(&mut transaction, run_claim.run_id, page.pages, &counts).await?;
        advance(&mut transaction, page, now).await?;
        verify_claim(&mut transaction, run_claim, page.advance, progress, &counts).await?;
        let news = events(page.stream.source(), run_claim.claim.job_id, &counts, progress);
        events::insert(&mut transaction, news, now).await?
    } else {
        vec![]
    };
    transaction.commit().await?;
    publish_events(redis, &recorded).await;
    Ok(counts)
}

async fn advance(connection: &mut PgConnection, page: &Page, now: DateTime<Utc>) -> Result<(), DbError> {
    match page.advance {
        Checkpoint::None | Checkpoint::DayCheckpoint(..) => Ok(()),
        Checkpoint::Cursor(cursor) => streams::advance_cursor(connection, page.stream, cursor, now).await,
        Checkpoint::CursorMark(time, cursor) => streams::insert_mark(connection, page.stream, cursor, time).await,
        Checkpoint::Watermark(day) => {
            let end = day.succ_opt().unwrap_or(day);
            streams::set_watermark(connection, page.stream, day_start(end)).await
        }
        Checkpoint::DayDone(day) => history::extend(connection, page.stream.source(), day).await,
    }
}

async fn verify_claim(
    connection: &mut PgConnection,
    run_claim: &RunClaim,
    advance: Checkpoint,
    progress: &Progress,
    counts: &Counts,
) -> Result<(), DbError> {
    let so_far = progress.after(counts);
    let shown = serde_json::json!({"progress": so_far, "total": progress.total});
    let checkpoint = advance.place(so_far).map(|place| serde_json::json!(place));
    claims::verify_claim_and_checkpoint(connection, &run_claim.claim, &shown, checkpoint.as_ref()).await
}

async fn store(
    connection: &mut PgConnection,
    rates: &StoredRates,
    run_id: Uuid,
    page: &Page,
    now: DateTime<Utc>,
) -> Result<Counts, DbError> {
    let mut payments: Vec<&Transaction> = vec![];
    let mut malformed: Vec<&Malformed> = vec![];
    for record in &page.records {
        match record {
            Record::Payment(payment) => payments.push(payment),
            Record::Malformed(record) => malformed.push(record),
        }
    }
    let (source, kind) = (page.stream.source(), page.stream.kind());
    transactions::lock_source(connection, source).await?;
    quarantine::upsert(connection, &malformed, run_id, now).await?;
    let verdicts = store_payments(connection, rates, (source, kind), &payments, Some(run_id), now).await?;
    quarantine::release(connection, source, kind, &readable_ids(&page.records, &verdicts)).await?;
    Ok(Counts { quarantined: malformed.len() as u64, ..count(&verdicts) })
}

/// The payments whose last telling in the page could be read: it mends what could not be read of them before. A telling that
/// is older than what is stored mends nothing.
fn readable_ids<'page>(records: &'page [Record], verdicts: &[UpsertDecision]) -> Vec<&'page str> {
    let mut verdicts = verdicts.iter();
    let mut rightly = BTreeSet::new();
    for record in records {
        match record {
            Record::Payment(payment) => {
                if verdicts.next() != Some(&UpsertDecision::Stale) {
                    rightly.insert(payment.key.source_id.as_str());
                }
            }
            Record::Malformed(Malformed { source_id: Some(source_id), .. }) => {
                rightly.remove(source_id.as_str());
            }
            Record::Malformed(Malformed { source_id: None, .. }) => {}
        }
    }
    rightly.into_iter().collect()
}

fn events(source: Source, job_id: JobId, counts: &Counts, progress: &Progress) -> Vec<Event> {
    let mut news = changes_news(source, counts);
    if progress.tell_progress {
        let so_far = progress.after(counts);
        let percent = progress.total.filter(|total| *total > 0).map(|total| percent(so_far, total));
        let job_id = Some(job_id.0);
        news.push(Event::SyncProgress { source, job_id, progress: so_far, total: progress.total, percent });
    }
    if progress.tell_metrics && counts.inserted + counts.updated > 0 {
        news.push(Event::MetricsUpdated { sources: vec![source] });
    }
    news
}

/// In hundredths, so that the answer has two decimals at most; never above 100, for lists grow while they are read.
#[expect(clippy::cast_precision_loss, reason = "at most 10,000, which any float holds")]
fn percent(part: u64, whole: u64) -> f64 {
    let hundredths = u128::from(part) * 10_000 / u128::from(whole);
    hundredths.min(10_000) as f64 / 100.0
}
