//! Stores what was read of a provider, a page or a few that follow one another, all of it or nothing.
//!
//! Records, status history, metrics, quarantine, the run's counts, the cursor and the outgoing events commit together. A
//! page that is stored twice changes nothing the second time. Writers of one source take turns, read what is there, decide
//! (`domain::version`) and write in sorted order: differences for the metrics are exact, and nothing deadlocks.
//!
//! What is written is valued in US dollars last, after the decision: a rate of ours is no part of what the provider said, and
//! never makes an unchanged record look changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::find_rates::StoredRates;
use super::publish_events::publish_events;
use crate::db::transactions::{self, Change, Stored, Write};
use crate::db::{DbError, claims, events, quarantine, rollups, sync_history, sync_runs, sync_streams};
use crate::domain::event::Event;
use crate::domain::exchange_rate::{Rates, Valuation};
use crate::domain::job::Claim;
use crate::domain::money::Currency;
use crate::domain::record::{Malformed, Record};
use crate::domain::rollup::{Deltas, Share};
use crate::domain::status::Status;
use crate::domain::sync::{Counts, DayPlace, Stream};
use crate::domain::transaction::{ContentHash, Transaction};
use crate::domain::version::{Known, SequenceId, Verdict, decide};
use crate::wire::Wire;

/// Where the next page, the next attempt or the next run goes on once this page is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// As before.
    Stay,
    /// The cursor of the stream has come this far.
    Cursor(SequenceId),
    /// Days are read, newest first: a later attempt goes on with this one, from this cursor within it.
    Within(NaiveDate, Option<SequenceId>),
    /// The same, and this day has been read to its end, in all lists of its source: the day before is next.
    Past(NaiveDate),
}

impl Advance {
    /// What a later attempt goes on from, after `seen` records.
    fn place(self, seen: u64) -> Option<DayPlace> {
        match self {
            Self::Stay | Self::Cursor(_) => None,
            Self::Within(day, cursor) => Some(DayPlace { day, cursor, seen }),
            Self::Past(day) => Some(DayPlace { day: day.pred_opt()?, cursor: None, seen }),
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
    pub advance: Advance,
    /// How many pages of the provider it is made of.
    pub pages: u64,
}

impl Page {
    /// One page of the provider.
    #[must_use]
    pub fn new(stream: Stream, records: Vec<Record>, advance: Advance) -> Self {
        Self { stream, records, advance, pages: 1 }
    }

    /// No page of the provider: only where reading goes on.
    #[must_use]
    pub fn none(stream: Stream, advance: Advance) -> Self {
        Self { stream, records: vec![], advance, pages: 0 }
    }

    /// Whether it may be stored together with the one that follows: of the same list, and nothing is said by its end that
    /// the later one would not say as well.
    #[must_use]
    pub fn joins(&self, later: &Self) -> bool {
        self.stream == later.stream && !matches!(self.advance, Advance::Past(_))
    }

    /// Both, to be stored together.
    #[must_use]
    pub fn followed_by(mut self, later: Self) -> Self {
        self.records.extend(later.records);
        // A last page that has no place of its own does not take back what the pages before have reached.
        let advance = if later.advance == Advance::Stay { self.advance } else { later.advance };
        Self { advance, pages: self.pages + later.pages, ..self }
    }
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

/// Stores `page`, its payments valued by their own rates or by `rates`, and says what became of its records.
///
/// # Errors
/// [`DbError::ClaimLost`] where another worker has the job by now: nothing was written. [`DbError::Conflict`] and
/// [`DbError::Unavailable`] where it may be tried again.
pub async fn ingest_page(
    pool: &PgPool,
    wire: &Wire,
    rates: &StoredRates,
    ticket: &Ticket,
    page: &Page,
    progress: &Progress,
    now: DateTime<Utc>,
) -> Result<Counts, DbError> {
    let mut transaction = pool.begin().await?;
    let counts = store(&mut transaction, rates, ticket.run_id, page, now).await?;
    let recorded = if counts.seen() > 0 || page.advance != Advance::Stay {
        sync_runs::add_pages(&mut transaction, ticket.run_id, page.pages, &counts).await?;
        advance(&mut transaction, page, now).await?;
        hold_claim(&mut transaction, ticket, page.advance, progress, &counts).await?;
        let news = news(page.stream, &counts, progress);
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
        Advance::Stay | Advance::Within(..) => Ok(()),
        Advance::Cursor(cursor) => sync_streams::advance_cursor(connection, page.stream, cursor, now).await,
        Advance::Past(day) => sync_history::extend(connection, page.stream.source(), day).await,
    }
}

async fn hold_claim(
    connection: &mut PgConnection,
    ticket: &Ticket,
    advance: Advance,
    progress: &Progress,
    counts: &Counts,
) -> Result<(), DbError> {
    let so_far = progress.before + counts.seen();
    let shown = serde_json::json!({"progress": so_far, "total": progress.total});
    match advance.place(so_far) {
        None => claims::hold_claim(connection, &ticket.claim, &shown).await,
        Some(place) => claims::hold_claim_at(connection, &ticket.claim, &shown, &serde_json::json!(place)).await,
    }
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
    let ids: Vec<String> = payments.iter().map(|payment| payment.key.source_id.clone()).collect();
    let stored = transactions::list_stored(connection, source, kind, &ids).await?;
    let rates = rates.find(connection, currencies_without_rate(&payments)).await?;
    let plan = Plan::of(&payments, &stored, &rates);
    transactions::upsert(connection, &plan.writes(&stored), now).await?;
    transactions::insert_changes(connection, &plan.changes, run_id, now).await?;
    rollups::move_cells(connection, &plan.deltas(&stored).into_moves()).await?;
    Ok(Counts { quarantined: malformed.len() as u64, ..plan.counts })
}

/// The currencies of payments that bring no rate of their own.
fn currencies_without_rate(payments: &[&Transaction]) -> BTreeSet<Currency> {
    let without_rate = payments.iter().filter(|payment| payment.exchange_rate.is_none());
    without_rate.map(|payment| payment.currency.clone()).collect()
}

/// What is to be written of a page. A payment that comes twice in it is written once, as it stood last.
struct Plan<'page> {
    latest: BTreeMap<&'page str, Latest<'page>>,
    changes: Vec<Change>,
    counts: Counts,
}

struct Latest<'page> {
    id: Uuid,
    known: Known,
    payment: &'page Transaction,
    valuation: Option<Valuation>,
}

impl<'page> Plan<'page> {
    fn of(payments: &[&'page Transaction], stored: &HashMap<String, Stored>, rates: &Rates) -> Self {
        let mut plan = Self { latest: BTreeMap::new(), changes: vec![], counts: Counts::default() };
        for payment in payments {
            plan.take(payment, stored.get(&payment.key.source_id), rates);
        }
        plan
    }

    fn take(&mut self, payment: &'page Transaction, stored: Option<&Stored>, rates: &Rates) {
        let source_id = payment.key.source_id.as_str();
        let earlier = self.latest.get(source_id);
        let known = earlier.map(|latest| &latest.known).or(stored.map(|stored| &stored.known));
        let content = payment.content_hash();
        let verdict = decide(known, payment, content);
        match verdict {
            Verdict::Insert => self.counts.inserted += 1,
            Verdict::Update | Verdict::Replace => self.counts.updated += 1,
            Verdict::Same | Verdict::Stale | Verdict::Refused => self.counts.unchanged += 1,
        }
        if !verdict.writes() {
            return;
        }
        let id = earlier.map(|latest| latest.id).or(stored.map(|stored| stored.id)).unwrap_or_else(Uuid::now_v7);
        let amount = earlier.map(|latest| latest.payment.amount).or(stored.map(|stored| stored.amount));
        let before = known.map(|known| known.status).zip(amount);
        self.changes.extend(before.and_then(|before| change(id, before, payment)));
        let known = known_after(verdict, payment, content);
        let valuation = Valuation::of(payment, rates);
        self.latest.insert(source_id, Latest { id, known, payment, valuation });
    }

    fn writes(&self, stored: &HashMap<String, Stored>) -> Vec<Write<'page>> {
        self.latest
            .iter()
            .map(|(source_id, latest)| Write {
                id: latest.id,
                expected: stored.get(*source_id).map(|stored| stored.known.content),
                content: latest.known.content,
                replaced_in_place: latest.known.replaced_in_place,
                payment: latest.payment,
                valuation: latest.valuation,
            })
            .collect()
    }

    fn deltas(&self, stored: &HashMap<String, Stored>) -> Deltas {
        let mut deltas = Deltas::default();
        for (source_id, latest) in &self.latest {
            deltas.change(stored.get(*source_id).map(|stored| &stored.share), &latest.share());
        }
        deltas
    }
}

impl Latest<'_> {
    fn share(&self) -> Share {
        Share::of(self.payment, self.valuation.as_ref())
    }
}

fn known_after(verdict: Verdict, payment: &Transaction, content: ContentHash) -> Known {
    Known { version: payment.version, content, status: payment.status, replaced_in_place: verdict == Verdict::Replace }
}

fn change(transaction_id: Uuid, (status, amount): (Status, Decimal), payment: &Transaction) -> Option<Change> {
    (status != payment.status || amount != payment.amount).then_some(Change {
        transaction_id,
        changed_at: payment.updated_at,
        status: (status, payment.status),
        amount: (amount, payment.amount),
    })
}

fn news(stream: Stream, counts: &Counts, progress: &Progress) -> Vec<Event> {
    let source = stream.source();
    let mut news = vec![];
    if counts.inserted > 0 {
        news.push(Event::NewTransactions { source, count: counts.inserted });
    }
    if counts.updated > 0 {
        news.push(Event::TransactionsUpdated { source, count: counts.updated });
    }
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
