//! Stores payments of one list as somebody read them: a page of a sync, or what was unreadable once.
//!
//! Writers of one source take turns, read what is there, decide (`domain::version`) and write in sorted order: differences
//! for the metrics are exact, and nothing deadlocks. What is stored already changes nothing.
//!
//! What is written is valued in US dollars last, after the decision: a rate of ours is no part of what the provider said, and
//! never makes an unchanged record look changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::rate_cache::StoredRates;
use crate::db::DbError;
use crate::db::metrics::{cells, data_version};
use crate::db::transactions::{self, ExistingTransaction, TransactionChange, TransactionWrite};
use crate::domain::event::Event;
use crate::domain::exchange_rate::{Rates, Valuation};
use crate::domain::metrics::cell::{Contribution, Deltas};
use crate::domain::money::Currency;
use crate::domain::status::Status;
use crate::domain::sync::Counts;
use crate::domain::transaction::{ContentHash, Kind, Source, Transaction};
use crate::domain::upsert::{StoredVersion, UpsertDecision, decide};

/// Stores payments of one source and kind, valued by their own rates or by `rates`, their changes and their place in the
/// metrics, and says what became of each.
///
/// The caller holds the source's turn (`transactions::lock_source`), took it first of all, and commits.
pub(super) async fn store_payments(
    connection: &mut PgConnection,
    rates: &StoredRates,
    (source, kind): (Source, Kind),
    payments: &[&Transaction],
    run_id: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<Vec<UpsertDecision>, DbError> {
    let ids: Vec<String> = payments.iter().map(|payment| payment.key.source_id.clone()).collect();
    let stored = transactions::list_existing(connection, source, kind, &ids).await?;
    let rates = rates.find(connection, currencies_without_rate(payments)).await?;
    let plan = Plan::of(payments, &stored, &rates);
    transactions::upsert(connection, &plan.writes(&stored), now).await?;
    transactions::insert_changes(connection, &plan.changes, run_id, now).await?;
    let deltas = plan.deltas(&stored);
    data_version::increment(connection, source, &deltas.days()).await?;
    cells::move_cells(connection, &deltas.into_cell_deltas()).await?;
    Ok(plan.verdicts)
}

/// How many payments these verdicts stored, and how.
pub(super) fn count(verdicts: &[UpsertDecision]) -> Counts {
    let mut counts = Counts::default();
    for verdict in verdicts {
        match verdict {
            UpsertDecision::Insert => counts.inserted += 1,
            UpsertDecision::Update | UpsertDecision::Replace => counts.updated += 1,
            UpsertDecision::Same | UpsertDecision::Stale | UpsertDecision::Refused => counts.unchanged += 1,
        }
    }
    counts
}

/// What dashboards are told of payments that were stored.
pub(super) fn changes_news(source: Source, counts: &Counts) -> Vec<Event> {
    let mut news = vec![];
    if counts.inserted > 0 {
        news.push(Event::NewTransactions { source, count: counts.inserted });
    }
    if counts.updated > 0 {
        news.push(Event::TransactionsUpdated { source, count: counts.updated });
    }
    news
}

/// The currencies of payments that bring no rate of their own.
fn currencies_without_rate(payments: &[&Transaction]) -> BTreeSet<Currency> {
    let without_rate = payments.iter().filter(|payment| payment.exchange_rate.is_none());
    without_rate.map(|payment| payment.currency.clone()).collect()
}

/// What is to be written. A payment that comes twice is written once, as it stood last.
struct Plan<'told> {
    latest: BTreeMap<&'told str, Latest<'told>>,
    changes: Vec<TransactionChange>,
    verdicts: Vec<UpsertDecision>,
}

struct Latest<'told> {
    id: Uuid,
    known: StoredVersion,
    payment: &'told Transaction,
    valuation: Option<Valuation>,
}

impl<'told> Plan<'told> {
    fn of(payments: &[&'told Transaction], stored: &HashMap<String, ExistingTransaction>, rates: &Rates) -> Self {
        let mut plan = Self { latest: BTreeMap::new(), changes: vec![], verdicts: vec![] };
        for payment in payments {
            plan.take(payment, stored.get(&payment.key.source_id), rates);
        }
        plan
    }

    fn take(&mut self, payment: &'told Transaction, stored: Option<&ExistingTransaction>, rates: &Rates) {
        let source_id = payment.key.source_id.as_str();
        let earlier = self.latest.get(source_id);
        let known = earlier.map(|latest| &latest.known).or(stored.map(|stored| &stored.known));
        let content = payment.content_hash();
        let verdict = decide(known, payment, content);
        self.verdicts.push(verdict);
        if !verdict.writes() {
            return;
        }
        let id = earlier.map(|latest| latest.id).or(stored.map(|stored| stored.id)).unwrap_or_else(Uuid::now_v7);
        let amount = earlier.map(|latest| latest.payment.amount).or(stored.map(|stored| stored.amount));
        let before = known.map(|known| known.status).zip(amount);
        self.changes.extend(before.and_then(|before| change(id, before, payment)));
        let known = known_after(verdict, payment, content);
        let valuation = Valuation::new(payment, rates);
        self.latest.insert(source_id, Latest { id, known, payment, valuation });
    }

    fn writes(&self, stored: &HashMap<String, ExistingTransaction>) -> Vec<TransactionWrite<'told>> {
        self.latest
            .iter()
            .map(|(source_id, latest)| TransactionWrite {
                id: latest.id,
                expected: stored.get(*source_id).map(|stored| stored.known.content),
                content: latest.known.content,
                replaced_in_place: latest.known.replaced_in_place,
                payment: latest.payment,
                valuation: latest.valuation,
            })
            .collect()
    }

    fn deltas(&self, stored: &HashMap<String, ExistingTransaction>) -> Deltas {
        let mut deltas = Deltas::default();
        for (source_id, latest) in &self.latest {
            deltas.change(stored.get(*source_id).map(|stored| &stored.share), &latest.share());
        }
        deltas
    }
}

impl Latest<'_> {
    fn share(&self) -> Contribution {
        Contribution::new(self.payment, self.valuation.as_ref())
    }
}

fn known_after(verdict: UpsertDecision, payment: &Transaction, content: ContentHash) -> StoredVersion {
    StoredVersion {
        version: payment.version,
        content,
        status: payment.status,
        replaced_in_place: verdict == UpsertDecision::Replace,
    }
}

fn change(
    transaction_id: Uuid,
    (status, amount): (Status, Decimal),
    payment: &Transaction,
) -> Option<TransactionChange> {
    (status != payment.status || amount != payment.amount).then_some(TransactionChange {
        transaction_id,
        changed_at: payment.updated_at,
        status: (status, payment.status),
        amount: (amount, payment.amount),
    })
}
