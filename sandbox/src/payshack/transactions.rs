//! All transactions of one kind, in the orders `PayShack` lists them by.
//!
//! A list is paged by number, so the index must know how many records lie before page 1,410 without walking them: each
//! day keeps its records in an array and counts them by status, and whole days are skipped by their counts.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use serde_json::value::RawValue;

use crate::{
    moment::{Day, Moment},
    status::{folded, folds_to},
    switches::{DateFilter, ListOrder, Switches},
};

use super::{
    entry::Entry,
    planted::Planted,
    transaction::{Kind, Transaction},
};

/// Where a record lies in the store.
pub(crate) type Slot = u32;

/// What a list was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) page: usize,
    pub(crate) limit: usize,
    pub(crate) status: Option<String>,
    pub(crate) first_day: Option<Day>,
    pub(crate) last_day: Option<Day>,
}

/// The records of one day.
#[derive(Debug, Default)]
struct DayList {
    /// Oldest first.
    order: Vec<(Moment, Slot)>,
    by_status: HashMap<String, usize>,
}

/// The days by one of the two times.
#[derive(Debug, Default)]
struct Days(BTreeMap<Day, DayList>);

impl Days {
    fn add(&mut self, at: Moment, slot: Slot, word: &str) {
        let day = self.0.entry(at.day()).or_default();
        let place = day.order.partition_point(|held| *held < (at, slot));
        day.order.insert(place, (at, slot));
        *day.by_status.entry(folded(word)).or_default() += 1;
    }

    fn remove(&mut self, at: Moment, slot: Slot, word: &str) {
        let Some(day) = self.0.get_mut(&at.day()) else { return };
        if let Ok(place) = day.order.binary_search(&(at, slot)) {
            day.order.remove(place);
            day.by_status.entry(folded(word)).and_modify(|count| *count -= 1);
        }
    }

    fn within(&self, first: Option<Day>, last: Option<Day>) -> Vec<&DayList> {
        let wanted = |day: &Day| first.is_none_or(|first| first <= *day) && last.is_none_or(|last| *day <= last);
        self.0.iter().filter(|(day, _)| wanted(day)).map(|(_, list)| list).collect()
    }
}

/// The store of one kind of transactions.
#[derive(Debug)]
pub(crate) struct Transactions {
    kind: Kind,
    entries: Vec<Entry>,
    by_created: Days,
    by_modified: Days,
    by_order: BTreeSet<(Arc<str>, Slot)>,
    newest_by_id: HashMap<String, Slot>,
    /// Whether some id has been planted twice.
    ids_repeat: bool,
    newest_number: u64,
}

impl Transactions {
    pub(crate) fn of(kind: Kind) -> Self {
        Self {
            kind,
            entries: Vec::new(),
            by_created: Days::default(),
            by_modified: Days::default(),
            by_order: BTreeSet::new(),
            newest_by_id: HashMap::new(),
            ids_repeat: false,
            newest_number: 15_000_000,
        }
    }

    /// Takes in a whole history; answers the slot of each transaction in the order given.
    pub(crate) fn add_history(&mut self, transactions: Vec<Transaction>) -> Vec<Slot> {
        let mut slots = vec![0; transactions.len()];
        let mut sorted: Vec<_> = transactions.into_iter().enumerate().collect();
        sorted.sort_by_key(|(place, transaction)| (transaction.created, *place));
        for (place, transaction) in sorted {
            slots[place] = self.add(transaction);
        }
        slots
    }

    /// Adds a new transaction under the newest number.
    pub(crate) fn add(&mut self, transaction: Transaction) -> Slot {
        // Steps of two leave an odd number beside each record for its malformed companion.
        self.newest_number += 2;
        self.insert(Entry::Made(Transaction { number: self.newest_number, ..transaction }))
    }

    /// Adds a record as it is.
    pub(crate) fn plant(&mut self, raw: Box<RawValue>, now: Moment) -> Slot {
        self.insert(Entry::Planted(Box::new(Planted::read(raw, self.kind, now))))
    }

    /// Changes a record; it moves to its new modification time.
    pub(crate) fn change(
        &mut self,
        slot: Slot,
        now: Moment,
        change: impl FnOnce(&mut Transaction),
        word: &str,
    ) -> Result<(), String> {
        let changed = match self.get(slot) {
            Entry::Made(made) => {
                let mut made = made.clone();
                change(&mut made);
                Entry::Made(made)
            }
            Entry::Planted(planted) => Entry::Planted(Box::new(planted.changed(word, now)?)),
        };
        let old = self.entries[slot as usize].clone();
        self.by_created.remove(old.created(), slot, old.word());
        self.by_modified.remove(old.modified(), slot, old.word());
        self.by_created.add(changed.created(), slot, changed.word());
        self.by_modified.add(changed.modified(), slot, changed.word());
        self.entries[slot as usize] = changed;
        Ok(())
    }

    fn insert(&mut self, entry: Entry) -> Slot {
        let slot = Slot::try_from(self.entries.len()).unwrap_or(Slot::MAX);
        self.by_created.add(entry.created(), slot, entry.word());
        self.by_modified.add(entry.modified(), slot, entry.word());
        match &entry {
            Entry::Made(made) => {
                self.by_order.insert((Arc::clone(&made.order_id), slot));
            }
            Entry::Planted(planted) => {
                self.by_order.extend(planted.order_id.as_deref().map(|order_id| (order_id.into(), slot)));
            }
        }
        if let Some(id) = entry.id() {
            let other = self.find(&id);
            self.ids_repeat |= other.is_some();
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

    /// The newest version of a transaction.
    pub(crate) fn find(&self, id: &str) -> Option<Slot> {
        self.newest_by_id.get(id).copied()
    }

    pub(crate) fn of_order(&self, order_id: &str) -> Vec<&Entry> {
        let from = (Arc::from(order_id), 0);
        let same = self.by_order.range(from..).take_while(|(held, _)| **held == *order_id);
        same.map(|(_, slot)| self.get(*slot)).collect()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether this is the record that counts, where several bear one id.
    pub(crate) fn counts(&self, place: usize) -> bool {
        let own = || self.entries[place].id().and_then(|id| self.find(&id));
        !self.ids_repeat || own().is_none_or(|slot| slot as usize == place)
    }

    /// One page of a list, and how many records the whole list has.
    pub(crate) fn page(&self, listing: &Listing, switches: &Switches) -> (usize, Vec<&Entry>) {
        let days = match switches.payshack_date_filter {
            DateFilter::Created => &self.by_created,
            DateFilter::Modified => &self.by_modified,
        };
        let status = listing.status.as_deref().map(folded);
        let mut days: Vec<(usize, &DayList)> = days
            .within(listing.first_day, listing.last_day)
            .into_iter()
            .map(|day| (count(day, status.as_deref()), day))
            .collect();
        let total = days.iter().map(|(count, _)| count).sum();
        let newest_first = switches.payshack_order == ListOrder::Newest;
        if newest_first {
            days.reverse();
        }
        let mut skip = listing.page.saturating_sub(1).saturating_mul(listing.limit);
        let mut page = Vec::with_capacity(listing.limit);
        for (count, day) in days {
            if skip >= count {
                skip -= count;
                continue;
            }
            page.extend(self.of_day(day, status.as_deref(), newest_first, skip, listing.limit - page.len()));
            skip = 0;
            if page.len() == listing.limit {
                break;
            }
        }
        (total, page)
    }

    fn of_day(&self, day: &DayList, status: Option<&str>, reversed: bool, skip: usize, take: usize) -> Vec<&Entry> {
        let at = |place: usize| if reversed { day.order.len() - 1 - place } else { place };
        let entries = |from: usize| (from..day.order.len()).map(move |place| self.get(day.order[at(place)].1));
        match status {
            None => entries(skip).take(take).collect(),
            Some(status) => entries(0).filter(|entry| folds_to(entry.word(), status)).skip(skip).take(take).collect(),
        }
    }
}

fn count(day: &DayList, status: Option<&str>) -> usize {
    match status {
        None => day.order.len(),
        Some(status) => day.by_status.get(status).copied().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::seeded;

    fn walk(store: &Transactions, switches: &Switches, listing: &Listing) -> Vec<String> {
        let mut seen = Vec::new();
        for page in 1.. {
            let (total, entries) = store.page(&Listing { page, ..listing.clone() }, switches);
            if entries.is_empty() {
                assert_eq!(total, seen.len());
                break;
            }
            seen.extend(entries.iter().filter_map(|entry| entry.id()));
        }
        seen
    }

    #[test]
    fn pages_bring_every_record_once_in_either_order_and_by_either_time() {
        let state = seeded(400);
        let listing = Listing { limit: 33, ..Listing::default() };
        for filter in ["created", "modified"] {
            let mut switches = Switches::default();
            switches.set_text("payshack_date_filter", filter).unwrap();
            let newest = walk(&state.payins, &switches, &listing);
            switches.set_text("payshack_order", "oldest").unwrap();
            let oldest = walk(&state.payins, &switches, &listing);
            assert_eq!(newest.iter().rev().collect::<Vec<_>>(), oldest.iter().collect::<Vec<_>>());
            assert_eq!(oldest.iter().collect::<BTreeSet<_>>().len(), state.payins.entries().len());
        }
    }

    #[test]
    fn a_status_is_counted_and_paged() {
        let state = seeded(400);
        let day = Day::parse("2026-01-13");
        let listing = Listing {
            limit: 7,
            status: Some("in_process".into()),
            first_day: day,
            last_day: day,
            ..Listing::default()
        };
        let found = walk(&state.payins, &Switches::default(), &listing);
        let naive = state
            .payins
            .entries()
            .iter()
            .filter(|entry| Some(entry.created().day()) == day && folded(entry.word()) == "in process");
        assert_eq!(found.len(), naive.count());
        assert!(!found.is_empty());
    }
}
