//! Stores one page of a provider, all of it or nothing.
//!
//! Records, status history, metrics, quarantine, the run's counts, the cursor and the outgoing events commit together. A
//! page that is stored twice changes nothing the second time. A record that could not be read once leaves the quarantine with
//! the page that tells it rightly.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::publish_events::publish_events;
use super::store_payments::{changes_news, count, store_payments};
use crate::db::{DbError, claims, events, quarantine, sync_runs, sync_streams, transactions};
use crate::domain::event::Event;
use crate::domain::job::Claim;
use crate::domain::record::{Malformed, Record};
use crate::domain::sync::{Counts, Stream};
use crate::domain::transaction::Transaction;
use crate::domain::version::{SequenceId, Verdict};
use crate::wire::Wire;

/// Where the next page, or the next run, goes on once this page is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// As before.
    Stay,
    /// The cursor of the stream has come this far.
    Cursor(SequenceId),
    /// The stream is read by days: this one is next, from this cursor within it.
    Day(NaiveDate, Option<SequenceId>),
}

/// A page that is to be stored.
#[derive(Debug)]
pub struct Page {
    /// The list it is of.
    pub stream: Stream,
    /// Its records.
    pub records: Vec<Record>,
    /// Where reading goes on.
    pub advance: Advance,
}

/// In whose name, and for which run, a page is stored.
#[derive(Debug, Clone, Copy)]
pub struct Ticket {
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

/// Stores `page`, and says what became of its records.
///
/// # Errors
/// [`DbError::ClaimLost`] where another worker has the job by now: nothing was written. [`DbError::Conflict`] and
/// [`DbError::Unavailable`] where it may be tried again.
pub async fn ingest_page(
    pool: &PgPool,
    wire: &Wire,
    ticket: &Ticket,
    page: &Page,
    progress: &Progress,
    now: DateTime<Utc>,
) -> Result<Counts, DbError> {
    let mut transaction = pool.begin().await?;
    let counts = store(&mut transaction, ticket.run_id, page, now).await?;
    let recorded = if counts.seen() > 0 || page.advance != Advance::Stay {
        sync_runs::add_page(&mut transaction, ticket.run_id, &counts).await?;
        advance(&mut transaction, page, now).await?;
        let news = news(page.stream, &counts, progress);
        let so_far = progress.before + counts.seen();
        let shown = serde_json::json!({"progress": so_far, "total": progress.total});
        claims::hold_claim(&mut transaction, &ticket.claim, &shown).await?;
        events::insert(&mut transaction, news, now).await?
    } else {
        vec![]
    };
    transaction.commit().await?;
    publish_events(wire, &recorded).await;
    Ok(counts)
}

async fn advance(connection: &mut PgConnection, page: &Page, now: DateTime<Utc>) -> Result<(), DbError> {
    match page.advance {
        Advance::Stay => Ok(()),
        Advance::Cursor(cursor) => sync_streams::advance_cursor(connection, page.stream, cursor, now).await,
        Advance::Day(day, cursor) => sync_streams::set_day(connection, page.stream, Some(day), cursor).await,
    }
}

async fn store(
    connection: &mut PgConnection,
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
    let verdicts = store_payments(connection, source, kind, &payments, Some(run_id), now).await?;
    quarantine::release(connection, source, kind, &told_rightly(&page.records, &verdicts)).await?;
    Ok(Counts { quarantined: malformed.len() as u64, ..count(&verdicts) })
}

/// The payments whose last telling in the page could be read: it mends what could not be read of them before. A telling that
/// is older than what is stored mends nothing.
fn told_rightly<'page>(records: &'page [Record], verdicts: &[Verdict]) -> Vec<&'page str> {
    let mut verdicts = verdicts.iter();
    let mut rightly = BTreeSet::new();
    for record in records {
        match record {
            Record::Payment(payment) => {
                if verdicts.next() != Some(&Verdict::Stale) {
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

fn news(stream: Stream, counts: &Counts, progress: &Progress) -> Vec<Event> {
    let source = stream.source();
    let mut news = changes_news(source, counts);
    if progress.tell_progress {
        let so_far = progress.before + counts.seen();
        let percent = progress.total.filter(|total| *total > 0).map(|total| percent(so_far, total));
        news.push(Event::SyncProgress { source, progress: so_far, total: progress.total, percent });
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
