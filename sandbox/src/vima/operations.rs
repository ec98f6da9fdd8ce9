//! All operations, in the orders Vima lists them by.
//!
//! Indexes are kept by day of creation, each day by create id and by update id. A list over any days is a merge of those
//! days, begun at the cursor: a page costs its own records, never a scan of the history.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    iter::Peekable,
    ops::Bound,
};

use serde_json::value::RawValue;

use crate::{
    moment::{Day, Moment},
    switches::{Cursor, Switches},
};

use super::{
    entry::Entry,
    operation::{Operation, first_id_at},
    planted::Planted,
};

/// Where a record lies in the store.
pub(crate) type Slot = u32;

type Index = BTreeSet<(u128, Slot)>;

/// What a list was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listing {
    pub(crate) project: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) first_day: Option<Day>,
    pub(crate) last_day: Option<Day>,
    pub(crate) count: usize,
    pub(crate) descending: bool,
    pub(crate) after_create_id: Option<u128>,
    pub(crate) after_update_id: Option<u128>,
}

#[derive(Debug, Default)]
struct DayIndex {
    by_create_id: Index,
    by_update_id: Index,
}

/// Gives out ids that grow whatever happens.
#[derive(Debug, Default)]
struct Ids {
    newest: u128,
}

impl Ids {
    /// Steps of two leave an odd id beside each record for its malformed companion.
    fn next(&mut self, at: Moment, wide: bool) -> u128 {
        self.newest = first_id_at(at, wide).max(self.newest + 2);
        self.newest
    }

    fn saw(&mut self, id: u128) {
        self.newest = self.newest.max(id + id % 2);
    }
}

/// The store of one Vima account.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    entries: Vec<Entry>,
    days: BTreeMap<Day, DayIndex>,
    newest_by_id: HashMap<String, Slot>,
    /// Whether some id has been planted twice.
    ids_repeat: bool,
    operation_ids: Ids,
    create_ids: Ids,
    update_ids: Ids,
    wide_ids: bool,
}

impl Operations {
    pub(crate) fn use_wide_ids(&mut self, wide: bool) {
        self.wide_ids = wide;
    }

    /// Takes in a whole history; answers the slot of each operation in the order given.
    pub(crate) fn add_history(&mut self, mut operations: Vec<Operation>) -> Vec<Slot> {
        let mut order: Vec<usize> = (0..operations.len()).collect();
        order.sort_by_key(|place| (operations[*place].modified, *place));
        for place in order {
            let operation = &mut operations[place];
            operation.update_id = self.update_ids.next(operation.modified, self.wide_ids);
        }
        let mut order: Vec<usize> = (0..operations.len()).collect();
        order.sort_by_key(|place| (operations[*place].created, *place));
        for place in order {
            let operation = &mut operations[place];
            operation.id = self.operation_ids.next(operation.created, false);
            operation.create_id = self.create_ids.next(operation.created, self.wide_ids);
        }
        operations.into_iter().map(|operation| self.insert(Entry::Made(operation))).collect()
    }

    /// Adds a new operation under the newest ids.
    pub(crate) fn add(&mut self, operation: Operation) -> Slot {
        let operation = Operation {
            id: self.operation_ids.next(operation.created, false),
            create_id: self.create_ids.next(operation.created, self.wide_ids),
            update_id: self.update_ids.next(operation.modified, self.wide_ids),
            ..operation
        };
        self.insert(Entry::Made(operation))
    }

    /// Adds a record as it is.
    pub(crate) fn plant(&mut self, raw: Box<RawValue>, now: Moment) -> Slot {
        let next = (self.create_ids.newest + 2, self.update_ids.newest + 2);
        let floor = first_id_at(now, self.wide_ids);
        let planted = Planted::read(raw, (next.0.max(floor), next.1.max(floor)), now);
        self.create_ids.saw(planted.create_id);
        self.update_ids.saw(planted.update_id);
        self.insert(Entry::Planted(Box::new(planted)))
    }

    /// Changes a record; it moves to the newest update id.
    pub(crate) fn change(
        &mut self,
        slot: Slot,
        now: Moment,
        change: impl FnOnce(&mut Operation),
        word: &str,
    ) -> Result<(), String> {
        let update_id = self.update_ids.next(now, self.wide_ids);
        let changed = match self.get(slot) {
            Entry::Made(made) => {
                let mut made = Operation { update_id, ..made.clone() };
                change(&mut made);
                Entry::Made(made)
            }
            Entry::Planted(planted) => Entry::Planted(Box::new(planted.changed(word, update_id, now)?)),
        };
        let (day, old) = (self.get(slot).created().day(), self.get(slot).update_id());
        if let Some(index) = self.days.get_mut(&day) {
            index.by_update_id.remove(&(old, slot));
            index.by_update_id.insert((update_id, slot));
        }
        self.entries[slot as usize] = changed;
        Ok(())
    }

    fn insert(&mut self, entry: Entry) -> Slot {
        let slot = Slot::try_from(self.entries.len()).unwrap_or(Slot::MAX);
        let day = self.days.entry(entry.created().day()).or_default();
        day.by_create_id.insert((entry.create_id(), slot));
        day.by_update_id.insert((entry.update_id(), slot));
        if let Some(id) = entry.id() {
            let other = self.find(&id);
            self.ids_repeat |= other.is_some();
            if other.is_none_or(|other| self.get(other).update_id() <= entry.update_id()) {
                self.newest_by_id.insert(id, slot);
            }
        }
        self.entries.push(entry);
        slot
    }

    pub(crate) fn get(&self, slot: Slot) -> &Entry {
        &self.entries[slot as usize]
    }

    /// The newest version of an operation.
    pub(crate) fn find(&self, id: &str) -> Option<Slot> {
        self.newest_by_id.get(id).copied()
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether this is the record that counts, where several bear one id.
    pub(crate) fn counts(&self, place: usize) -> bool {
        let own = || self.entries[place].id().and_then(|id| self.find(&id));
        !self.ids_repeat || own().is_none_or(|slot| slot as usize == place)
    }

    /// One page of a list.
    pub(crate) fn page(&self, listing: &Listing, switches: &Switches, now: Moment) -> Vec<&Entry> {
        let wanted = |entry: &&Entry| {
            listing.project.as_ref().is_none_or(|project| entry.is_of_project(project))
                && listing.status.as_ref().is_none_or(|status| entry.has_status(status))
                && listing.after_create_id.is_none_or(|cursor| beyond(entry.create_id(), cursor, switches.vima_cursor))
                && entry.is_visible(switches, now)
        };
        let count = listing.count.saturating_add(switches.vima_page_overrun);
        self.in_order(listing, switches.vima_cursor).map(|slot| self.get(slot)).filter(wanted).take(count).collect()
    }

    fn in_order(&self, listing: &Listing, cursor: Cursor) -> impl Iterator<Item = Slot> {
        let by_update = listing.after_update_id.is_some();
        let from = match (listing.after_update_id.or(listing.after_create_id), cursor) {
            (None, _) | (_, Cursor::Ignored) => Bound::Unbounded,
            (Some(id), Cursor::Exclusive) => Bound::Excluded((id, Slot::MAX)),
            (Some(id), Cursor::Inclusive) => Bound::Included((id, 0)),
        };
        let first = listing.first_day.map_or(Bound::Unbounded, Bound::Included);
        let last = listing.last_day.map_or(Bound::Unbounded, Bound::Included);
        let backwards = matches!((listing.first_day, listing.last_day), (Some(first), Some(last)) if first > last);
        let days = (!backwards).then(|| self.days.range((first, last))).into_iter().flatten();
        let streams = days.map(|(_, day)| {
            let index = if by_update { &day.by_update_id } else { &day.by_create_id };
            let range = index.range((from, Bound::Unbounded)).copied();
            Stream { range, descending: listing.descending }.peekable()
        });
        merged(streams.collect(), listing.descending)
    }
}

fn beyond(id: u128, cursor: u128, kind: Cursor) -> bool {
    match kind {
        Cursor::Exclusive => id > cursor,
        Cursor::Inclusive => id >= cursor,
        Cursor::Ignored => true,
    }
}

/// One day's records from either end.
struct Stream<I> {
    range: I,
    descending: bool,
}

impl<I: DoubleEndedIterator> Iterator for Stream<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        if self.descending { self.range.next_back() } else { self.range.next() }
    }
}

/// The records of all days as one ordered list.
fn merged<I>(mut streams: Vec<Peekable<I>>, descending: bool) -> impl Iterator<Item = Slot>
where
    I: Iterator<Item = (u128, Slot)>,
{
    std::iter::from_fn(move || {
        let mut best: Option<((u128, Slot), usize)> = None;
        for (place, stream) in streams.iter_mut().enumerate() {
            let Some(head) = stream.peek().copied() else { continue };
            if best.is_none_or(|(other, _)| (head < other) != descending) {
                best = Some((head, place));
            }
        }
        let ((_, slot), place) = best?;
        streams[place].next();
        Some(slot)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::seeded;

    fn walk(switches: &Switches, count: usize, by_update: bool) -> Vec<u128> {
        let state = seeded(400);
        let now = Moment::parse("2026-01-15T00:00:00Z").unwrap();
        let (mut seen, mut cursor): (Vec<u128>, u128) = (Vec::new(), 0);
        loop {
            let mut listing = Listing { count, ..Listing::default() };
            *(if by_update { &mut listing.after_update_id } else { &mut listing.after_create_id }) = Some(cursor);
            let id = |entry: &&Entry| if by_update { entry.update_id() } else { entry.create_id() };
            let page: Vec<u128> = state.operations.page(&listing, switches, now).iter().map(id).collect();
            let fresh = page.iter().filter(|id| Some(*id) != seen.last()).copied().collect::<Vec<_>>();
            let Some(last) = fresh.last() else { break };
            cursor = *last;
            seen.extend(fresh);
        }
        assert_eq!(seen.len(), state.operations.entries().len());
        seen
    }

    #[test]
    fn each_cursor_brings_every_operation_once_and_in_order() {
        for (cursor, by_update) in
            [("exclusive", true), ("exclusive", false), ("inclusive", true), ("inclusive", false)]
        {
            let mut switches = Switches::default();
            switches.set_text("vima_cursor", cursor).unwrap();
            assert!(walk(&switches, 37, by_update).is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn days_bound_a_list_and_descending_turns_it_round() {
        let state = seeded(400);
        let now = Moment::parse("2026-01-15T00:00:00Z").unwrap();
        let day = Day::parse("2026-01-13");
        let mut listing = Listing { count: 10_000, first_day: day, last_day: day, ..Listing::default() };
        let ids = |listing: &Listing| {
            let page = state.operations.page(listing, &Switches::default(), now);
            assert!(page.iter().all(|entry| Some(entry.created().day()) == day));
            page.iter().map(|entry| entry.create_id()).collect::<Vec<_>>()
        };
        let oldest_first = ids(&listing);
        assert_eq!(
            oldest_first.len(),
            state.operations.entries().iter().filter(|entry| Some(entry.created().day()) == day).count()
        );
        listing.descending = true;
        assert_eq!(ids(&listing), oldest_first.iter().rev().copied().collect::<Vec<_>>());
        listing.after_create_id = Some(oldest_first[oldest_first.len() - 3]);
        assert_eq!(ids(&listing).len(), 2);
    }
}
