//! All transactions of one kind, indexed for PayShack's lists.
//!
//! Lists have numbered pages, so the index must find page 1,410 without visiting all records before it: every day has an
//! array of its records and a count per status, and whole days are skipped by their counts.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::value::RawValue;

use crate::{
    ground_truth::NormalizedRecord,
    money::Amount,
    status::{OriginalStatus, normalize, normalizes_to},
    switches::{DateFilter, ListOrder, Switches},
    timestamp::{Day, Timestamp},
};

use super::{
    entry::Entry,
    fixture::FixtureRecord,
    transaction::{Transaction, TransactionKind},
};

/// The index of a record in the store.
pub(crate) type Slot = u32;

#[derive(Clone, Debug, Default)]
pub(crate) struct TransactionQuery {
    pub(crate) page: usize,
    pub(crate) limit: usize,
    pub(crate) status: Option<String>,
    pub(crate) first_day: Option<Day>,
    pub(crate) last_day: Option<Day>,
}

#[derive(Debug, Default)]
struct DayIndex {
    /// Oldest first.
    records: Vec<(Timestamp, Slot)>,
    by_status: HashMap<String, usize>,
}

/// The records by day of creation or of modification.
#[derive(Debug, Default)]
struct DayIndexes(BTreeMap<Day, DayIndex>);

impl DayIndexes {
    fn add(&mut self, at: Timestamp, slot: Slot, original_status: &str) {
        let day = self.0.entry(at.day()).or_default();
        let index = day.records.partition_point(|record| *record < (at, slot));
        day.records.insert(index, (at, slot));
        *day.by_status.entry(normalize(original_status)).or_default() += 1;
    }

    fn remove(&mut self, at: Timestamp, slot: Slot, original_status: &str) {
        let Some(day) = self.0.get_mut(&at.day()) else { return };
        if let Ok(index) = day.records.binary_search(&(at, slot)) {
            day.records.remove(index);
            day.by_status.entry(normalize(original_status)).and_modify(|count| *count -= 1);
        }
    }

    fn within(&self, first: Option<Day>, last: Option<Day>) -> Vec<&DayIndex> {
        let contains = |day: &Day| first.is_none_or(|first| first <= *day) && last.is_none_or(|last| *day <= last);
        self.0.iter().filter(|(day, _)| contains(day)).map(|(_, index)| index).collect()
    }
}

#[derive(Debug)]
pub(crate) struct TransactionStore {
    kind: TransactionKind,
    entries: Vec<Entry>,
    by_created: DayIndexes,
    by_modified: DayIndexes,
    by_order_id: BTreeSet<(Arc<str>, Slot)>,
    newest_by_id: HashMap<String, Slot>,
    /// Whether several records have the same id, which only fixtures cause.
    has_repeated_ids: bool,
    newest_number: u64,
}

impl TransactionStore {
    pub(crate) fn new(kind: TransactionKind) -> Self {
        Self {
            kind,
            entries: Vec::new(),
            by_created: DayIndexes::default(),
            by_modified: DayIndexes::default(),
            by_order_id: BTreeSet::new(),
            newest_by_id: HashMap::new(),
            has_repeated_ids: false,
            newest_number: 15_000_000,
        }
    }

    /// Assigns numbers in chronological order. Returns the slots in the order of `transactions`.
    pub(crate) fn add_history(&mut self, transactions: Vec<Transaction>) -> Vec<Slot> {
        let mut slots = vec![0; transactions.len()];
        let mut sorted: Vec<_> = transactions.into_iter().enumerate().collect();
        sorted.sort_by_key(|(index, transaction)| (transaction.created, *index));
        for (index, transaction) in sorted {
            slots[index] = self.add(transaction);
        }
        slots
    }

    /// Assigns the next number.
    pub(crate) fn add(&mut self, transaction: Transaction) -> Slot {
        // Generated numbers are even; the next odd number belongs to the record's malformed companion.
        self.newest_number += 2;
        self.insert(Entry::Generated(Transaction { number: self.newest_number, ..transaction }))
    }

    pub(crate) fn insert_fixture(&mut self, raw: Box<RawValue>, now: Timestamp) -> Slot {
        self.insert(Entry::Fixture(Box::new(FixtureRecord::parse(raw, self.kind, now))))
    }

    /// Without `paid` the paid amount stays the same.
    pub(crate) fn change(
        &mut self,
        slot: Slot,
        status: OriginalStatus,
        paid: Option<Amount>,
        now: Timestamp,
    ) -> Result<(), String> {
        let changed = match self.get(slot) {
            Entry::Generated(transaction) => {
                let mut transaction = transaction.clone();
                transaction.change(status, now);
                transaction.paid = paid.unwrap_or(transaction.paid);
                Entry::Generated(transaction)
            }
            Entry::Fixture(fixture) => Entry::Fixture(Box::new(fixture.changed(&status, now)?)),
        };
        let old = self.entries[slot as usize].clone();
        self.by_created.remove(old.created(), slot, old.original_status());
        self.by_modified.remove(old.modified(), slot, old.original_status());
        self.by_created.add(changed.created(), slot, changed.original_status());
        self.by_modified.add(changed.modified(), slot, changed.original_status());
        self.entries[slot as usize] = changed;
        Ok(())
    }

    fn insert(&mut self, entry: Entry) -> Slot {
        let slot = Slot::try_from(self.entries.len()).unwrap_or(Slot::MAX);
        self.by_created.add(entry.created(), slot, entry.original_status());
        self.by_modified.add(entry.modified(), slot, entry.original_status());
        match &entry {
            Entry::Generated(transaction) => {
                self.by_order_id.insert((Arc::clone(&transaction.order_id), slot));
            }
            Entry::Fixture(fixture) => {
                self.by_order_id.extend(fixture.order_id.as_deref().map(|order_id| (order_id.into(), slot)));
            }
        }
        if let Some(id) = entry.id() {
            let other = self.find(&id);
            self.has_repeated_ids |= other.is_some();
            if other.is_none_or(|other| self.get(other).modified() <= entry.modified()) {
                self.newest_by_id.insert(id, slot);
            }
        }
        self.entries.push(entry);
        slot
    }

    pub(crate) fn get(&self, slot: Slot) -> &Entry {
        &self.entries[slot as usize]
    }

    /// The newest version of the transaction with this id.
    pub(crate) fn find(&self, id: &str) -> Option<Slot> {
        self.newest_by_id.get(id).copied()
    }

    pub(crate) fn find_order(&self, order_id: &str) -> Vec<&Entry> {
        let from = (Arc::from(order_id), 0);
        let same = self.by_order_id.range(from..).take_while(|(other, _)| **other == *order_id);
        same.map(|(_, slot)| self.get(*slot)).collect()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// `false` if another record with the same id is newer.
    pub(crate) fn is_newest_version(&self, index: usize) -> bool {
        let newest = || self.entries[index].id().and_then(|id| self.find(&id));
        !self.has_repeated_ids || newest().is_none_or(|slot| slot as usize == index)
    }

    /// `None` if the record is malformed or a newer version exists.
    pub(crate) fn newest_version(&self, index: usize) -> Option<NormalizedRecord> {
        self.entries[index].normalized().filter(|_| self.is_newest_version(index))
    }

    /// The number of records in the whole list, and one page of it.
    pub(crate) fn page(&self, query: &TransactionQuery, switches: &Switches) -> (usize, Vec<&Entry>) {
        let days = match switches.payshack_date_filter {
            DateFilter::Created => &self.by_created,
            DateFilter::Modified => &self.by_modified,
        };
        let status = query.status.as_deref().map(normalize);
        let mut days: Vec<(usize, &DayIndex)> = days
            .within(query.first_day, query.last_day)
            .into_iter()
            .map(|day| (count(day, status.as_deref()), day))
            .collect();
        let total = days.iter().map(|(count, _)| count).sum();
        let newest_first = switches.payshack_order == ListOrder::Newest;
        if newest_first {
            days.reverse();
        }
        let mut skip = query.page.saturating_sub(1).saturating_mul(query.limit);
        let mut page = Vec::with_capacity(query.limit);
        for (count, day) in days {
            if skip >= count {
                skip -= count;
                continue;
            }
            page.extend(self.page_of_day(day, status.as_deref(), newest_first, skip, query.limit - page.len()));
            skip = 0;
            if page.len() == query.limit {
                break;
            }
        }
        (total, page)
    }

    fn page_of_day(
        &self,
        day: &DayIndex,
        status: Option<&str>,
        reversed: bool,
        skip: usize,
        take: usize,
    ) -> Vec<&Entry> {
        let at = |index: usize| if reversed { day.records.len() - 1 - index } else { index };
        let entries = |from: usize| (from..day.records.len()).map(move |index| self.get(day.records[at(index)].1));
        match status {
            None => entries(skip).take(take).collect(),
            Some(status) => entries(0)
                .filter(|entry| normalizes_to(entry.original_status(), status))
                .skip(skip)
                .take(take)
                .collect(),
        }
    }
}

fn count(day: &DayIndex, status: Option<&str>) -> usize {
    match status {
        None => day.records.len(),
        Some(status) => day.by_status.get(status).copied().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::generated_state;

    fn walk(store: &TransactionStore, switches: &Switches, query: &TransactionQuery) -> Vec<String> {
        let mut seen = Vec::new();
        for page in 1.. {
            let (total, entries) = store.page(&TransactionQuery { page, ..query.clone() }, switches);
            if entries.is_empty() {
                assert_eq!(total, seen.len());
                break;
            }
            seen.extend(entries.iter().filter_map(|entry| entry.id()));
        }
        seen
    }

    #[test]
    fn pages_return_every_record_once_in_either_order_and_date_filter() {
        let state = generated_state(400);
        let query = TransactionQuery { limit: 33, ..TransactionQuery::default() };
        for filter in ["created", "modified"] {
            let mut switches = Switches::default();
            switches.set_from_text("payshack_date_filter", filter).unwrap();
            let newest = walk(&state.payins, &switches, &query);
            switches.set_from_text("payshack_order", "oldest").unwrap();
            let oldest = walk(&state.payins, &switches, &query);
            assert_eq!(newest.iter().rev().collect::<Vec<_>>(), oldest.iter().collect::<Vec<_>>());
            assert_eq!(oldest.iter().collect::<BTreeSet<_>>().len(), state.payins.entries().len());
        }
    }

    #[test]
    fn lists_can_be_filtered_by_status() {
        let state = generated_state(400);
        let day = Day::parse("2026-01-13");
        let query = TransactionQuery {
            limit: 7,
            status: Some("in_process".into()),
            first_day: day,
            last_day: day,
            ..TransactionQuery::default()
        };
        let found = walk(&state.payins, &Switches::default(), &query);
        let expected =
            state.payins.entries().iter().filter(|entry| {
                Some(entry.created().day()) == day && normalize(entry.original_status()) == "in process"
            });
        assert_eq!(found.len(), expected.count());
        assert!(!found.is_empty());
    }
}
