//! Stores transactions of one list: a page of a sync, or records that were quarantined before.
//!
//! Writers of one source are serialized. They read the existing rows, decide (`domain::upsert`) and write in sorted order,
//! so the differences for the metrics are exact and nothing deadlocks. Storing the same records again changes nothing.
//!
//! The value in US dollars is computed after the decision: our exchange rate is not part of the provider's record, and must
//! not make an unchanged record look changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use uuid::Uuid;

use super::rate_cache::RateCache;
use crate::db::metrics::{cells, data_version};
use crate::db::transactions::{self, ExistingTransaction, TransactionChange, TransactionWrite};
use crate::db::{DbError, erasure};
use crate::domain::erasure::{ErasedPersons, without_payer};
use crate::domain::event::Event;
use crate::domain::exchange_rate::{Rates, Valuation};
use crate::domain::metrics::cell::{Contribution, Deltas};
use crate::domain::money::Currency;
use crate::domain::status::Status;
use crate::domain::sync::Counts;
use crate::domain::transaction::{Kind, Source, Transaction};
use crate::domain::upsert::{RulesGeneration, StoredVersion, UpsertDecision, decide};

/// Stores transactions of one source and kind together with their status history and the metrics, and returns the decision
/// for each. They are valued at the rate of their record, or else at a cached rate. `read_by` are the rules that made them.
///
/// The caller must have locked the source (`transactions::lock_source`) before any other lock, and commits.
pub(super) async fn store_transactions(
    connection: &mut PgConnection,
    rates: &RateCache,
    (source, kind): (Source, Kind),
    records: &[&Transaction],
    read_by: RulesGeneration,
    run_id: Option<Uuid>,
    now: DateTime<Utc>,
) -> Result<Vec<UpsertDecision>, DbError> {
    let ids: Vec<String> = records.iter().map(|record| record.key.source_id.clone()).collect();
    let existing = transactions::list_existing(connection, source, kind, &ids).await?;
    let rates = rates.get(connection, currencies_without_rate(records)).await?;
    let plan = Plan::new(records, &existing, read_by, &rates);
    let erased = erasure::list_erased(connection).await?;
    let without_payer = plan.without_payer(&existing, &erased);
    transactions::upsert(connection, &plan.writes(&existing, &without_payer), run_id, now).await?;
    transactions::insert_changes(connection, &plan.changes, run_id, now).await?;
    let deltas = plan.deltas(&existing);
    data_version::increment(connection, source, &deltas.days()).await?;
    cells::add_to_cells(connection, &deltas.into_cell_deltas()).await?;
    Ok(plan.decisions)
}

pub(super) fn count(decisions: &[UpsertDecision]) -> Counts {
    let mut counts = Counts::default();
    for decision in decisions {
        match decision {
            UpsertDecision::Insert => counts.inserted += 1,
            UpsertDecision::Update | UpsertDecision::Replace => counts.updated += 1,
            UpsertDecision::NewRules => {
                counts.updated += 1;
                counts.replaced += 1;
            }
            UpsertDecision::Unchanged | UpsertDecision::Stale | UpsertDecision::Refused => counts.unchanged += 1,
        }
    }
    counts
}

pub(super) fn change_events(source: Source, counts: &Counts) -> Vec<Event> {
    let mut events = vec![];
    if counts.inserted > 0 {
        events.push(Event::NewTransactions { source, count: counts.inserted });
    }
    if counts.updated > 0 {
        events.push(Event::TransactionsUpdated { source, count: counts.updated });
    }
    events
}

fn currencies_without_rate(records: &[&Transaction]) -> BTreeSet<Currency> {
    let without_rate = records.iter().filter(|record| record.exchange_rate.is_none());
    without_rate.map(|record| record.currency.clone()).collect()
}

/// What to write. A transaction with several records is written once, in its latest version.
struct Plan<'page> {
    read_by: RulesGeneration,
    latest: BTreeMap<&'page str, Latest<'page>>,
    changes: Vec<TransactionChange>,
    decisions: Vec<UpsertDecision>,
}

struct Latest<'page> {
    id: Uuid,
    version: StoredVersion,
    record: &'page Transaction,
    valuation: Option<Valuation>,
}

impl<'page> Plan<'page> {
    fn new(
        records: &[&'page Transaction],
        existing: &HashMap<String, ExistingTransaction>,
        read_by: RulesGeneration,
        rates: &Rates,
    ) -> Self {
        let mut plan = Self { read_by, latest: BTreeMap::new(), changes: vec![], decisions: vec![] };
        for record in records {
            plan.add(record, existing.get(&record.key.source_id), rates);
        }
        plan
    }

    fn add(&mut self, record: &'page Transaction, existing: Option<&ExistingTransaction>, rates: &Rates) {
        let source_id = record.key.source_id.as_str();
        let earlier = self.latest.get(source_id);
        let version = earlier.map(|earlier| &earlier.version).or(existing.map(|existing| &existing.known));
        let content = record.content_hash();
        let decision = decide(version, record, content, self.read_by);
        self.decisions.push(decision);
        if !decision.writes() {
            return;
        }
        let id =
            earlier.map(|earlier| earlier.id).or(existing.map(|existing| existing.id)).unwrap_or_else(Uuid::now_v7);
        let amount = earlier.map(|earlier| earlier.record.amount).or(existing.map(|existing| existing.amount));
        let before = version.map(|version| version.status).zip(amount);
        self.changes.extend(before.and_then(|before| change(id, before, record)));
        let version = StoredVersion {
            version: record.version,
            content,
            status: record.status,
            original_status: record.original_status.clone(),
            // After newer rules too: a worker of a release without generations must not undo what they made.
            replaced_in_place: matches!(decision, UpsertDecision::Replace | UpsertDecision::NewRules),
            rules: Some(self.read_by),
        };
        self.latest.insert(source_id, Latest { id, version, record, valuation: Valuation::new(record, rates) });
    }

    /// What is written of payments of erased persons, and of payments whose payer was erased. Their content hash stays that of the
    /// record, so that an unchanged record is not written again.
    fn without_payer(
        &self,
        existing: &HashMap<String, ExistingTransaction>,
        erased: &ErasedPersons,
    ) -> HashMap<&'page str, Transaction> {
        let is_erased = |source_id: &str, record: &Transaction| {
            existing.get(source_id).is_some_and(|existing| existing.erased) || erased.include_payer_of(record)
        };
        let of_erased = self.latest.iter().filter(|(source_id, latest)| is_erased(source_id, latest.record));
        of_erased.map(|(source_id, latest)| (*source_id, without_payer(latest.record))).collect()
    }

    fn writes<'plan>(
        &'plan self,
        existing: &HashMap<String, ExistingTransaction>,
        without_payer: &'plan HashMap<&'page str, Transaction>,
    ) -> Vec<TransactionWrite<'plan>> {
        self.latest
            .iter()
            .map(|(source_id, latest)| TransactionWrite {
                id: latest.id,
                expected: existing.get(*source_id).map(|existing| existing.known.content),
                content: latest.version.content,
                replaced_in_place: latest.version.replaced_in_place,
                read_by: self.read_by,
                payment: without_payer.get(source_id).unwrap_or(latest.record),
                valuation: latest.valuation,
            })
            .collect()
    }

    fn deltas(&self, existing: &HashMap<String, ExistingTransaction>) -> Deltas {
        let mut deltas = Deltas::default();
        for (source_id, latest) in &self.latest {
            let before = existing.get(*source_id).map(|existing| &existing.share);
            deltas.change(before, &Contribution::new(latest.record, latest.valuation.as_ref()));
        }
        deltas
    }
}

/// The entry of the status history; `None` if neither status nor amount differs.
fn change(
    transaction_id: Uuid,
    (status, amount): (Status, Decimal),
    record: &Transaction,
) -> Option<TransactionChange> {
    (status != record.status || amount != record.amount).then_some(TransactionChange {
        transaction_id,
        changed_at: record.updated_at,
        status: (status, record.status),
        amount: (amount, record.amount),
    })
}
