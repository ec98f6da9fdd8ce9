//! All operations, indexed for Vima's list.
//!
//! There is an index per day of creation, by create id and by update id. A list merges the days that it covers, starting
//! at the cursor, so that a page does not scan the history.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    iter::Peekable,
    ops::Bound,
};

use serde_json::value::RawValue;

use crate::{
    ground_truth::NormalizedRecord,
    money::Amount,
    status::OriginalStatus,
    switches::{CursorMode, Switches},
    timestamp::{Day, Timestamp},
};

use super::{
    entry::Entry,
    fixture::FixtureRecord,
    operation::{Operation, first_id_at},
};

/// The index of a record in the store.
pub(crate) type Slot = u32;

type Index = BTreeSet<(u128, Slot)>;

#[derive(Clone, Debug, Default)]
pub(crate) struct OperationQuery {
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

/// Assigns strictly increasing ids.
#[derive(Debug, Default)]
struct IdSequence {
    newest: u128,
}

impl IdSequence {
    /// Generated ids are even; the next odd id belongs to the record's malformed companion.
    fn next(&mut self, at: Timestamp, wide: bool) -> u128 {
        self.newest = first_id_at(at, wide).max(self.newest + 2);
        self.newest
    }

    /// Continues after the id of a fixture, unless that is far beyond `now`: a wrong id changes no sequence.
    fn skip_to(&mut self, id: u128, now: u128) {
        if id / 1_000_000 <= self.newest.max(now) {
            self.newest = self.newest.max(id + id % 2);
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct OperationStore {
    entries: Vec<Entry>,
    days: BTreeMap<Day, DayIndex>,
    newest_by_id: HashMap<String, Slot>,
    /// Whether several records have the same id, which only fixtures cause.
    has_repeated_ids: bool,
    operation_ids: IdSequence,
    create_ids: IdSequence,
    update_ids: IdSequence,
    wide_ids: bool,
}

impl OperationStore {
    pub(crate) fn use_wide_ids(&mut self, wide: bool) {
        self.wide_ids = wide;
    }

    /// Assigns ids in chronological order. Returns the slots in the order of `operations`.
    pub(crate) fn add_history(&mut self, mut operations: Vec<Operation>) -> Vec<Slot> {
        let mut order: Vec<usize> = (0..operations.len()).collect();
        order.sort_by_key(|index| (operations[*index].modified, *index));
        for index in order {
            let operation = &mut operations[index];
            operation.update_id = self.update_ids.next(operation.modified, self.wide_ids);
        }
        let mut order: Vec<usize> = (0..operations.len()).collect();
        order.sort_by_key(|index| (operations[*index].created, *index));
        for index in order {
            let operation = &mut operations[index];
            operation.id = self.operation_ids.next(operation.created, false);
            operation.create_id = self.create_ids.next(operation.created, self.wide_ids);
        }
        operations.into_iter().map(|operation| self.insert(Entry::Generated(operation))).collect()
    }

    /// Assigns the next ids.
    pub(crate) fn add(&mut self, operation: Operation) -> Slot {
        let operation = Operation {
            id: self.operation_ids.next(operation.created, false),
            create_id: self.create_ids.next(operation.created, self.wide_ids),
            update_id: self.update_ids.next(operation.modified, self.wide_ids),
            ..operation
        };
        self.insert(Entry::Generated(operation))
    }

    pub(crate) fn insert_fixture(&mut self, raw: Box<RawValue>, now: Timestamp) -> Slot {
        let next = (self.create_ids.newest + 2, self.update_ids.newest + 2);
        let floor = first_id_at(now, self.wide_ids);
        let fixture = FixtureRecord::parse(raw, (next.0.max(floor), next.1.max(floor)), now);
        self.create_ids.skip_to(fixture.create_id, floor);
        self.update_ids.skip_to(fixture.update_id, floor);
        self.insert(Entry::Fixture(Box::new(fixture)))
    }

    /// Changes a record and gives it a new update id. Without `paid` the amount stays the same.
    pub(crate) fn change(
        &mut self,
        slot: Slot,
        status: OriginalStatus,
        paid: Option<Amount>,
        now: Timestamp,
    ) -> Result<(), String> {
        let update_id = self.update_ids.next(now, self.wide_ids);
        let changed = match self.get(slot) {
            Entry::Generated(operation) => {
                let mut operation = Operation { update_id, ..operation.clone() };
                let amount = paid.or(operation.completed).unwrap_or(operation.requested);
                operation.change(status, amount, now);
                Entry::Generated(operation)
            }
            Entry::Fixture(fixture) => Entry::Fixture(Box::new(fixture.changed(&status, update_id, now)?)),
        };
        let (day, old) = (self.get(slot).created().day(), self.get(slot).update_id());
        if let Some(index) = self.days.get_mut(&day) {
            index.by_update_id.remove(&(old, slot));
            index.by_update_id.insert((update_id, slot));
        }
        self.entries[slot as usize] = changed;
        Ok(())
    }

    /// Replaces a fixture. A record without ids keeps the create id and gets a new update id.
    pub(crate) fn replace(&mut self, slot: Slot, raw: Box<RawValue>, now: Timestamp) -> Result<(), String> {
        let Entry::Fixture(old) = self.get(slot).clone() else {
            return Err("only records inserted through the control API can be replaced".into());
        };
        let update_id = self.update_ids.next(now, self.wide_ids);
        let new = FixtureRecord::parse(raw, (old.create_id, update_id), now);
        if new.id != old.id {
            return Err("the record must have the operation_id of the record it replaces".into());
        }
        let floor = first_id_at(now, self.wide_ids);
        self.create_ids.skip_to(new.create_id, floor);
        self.update_ids.skip_to(new.update_id, floor);
        if let Some(day) = self.days.get_mut(&old.created.day()) {
            day.by_create_id.remove(&(old.create_id, slot));
            day.by_update_id.remove(&(old.update_id, slot));
        }
        let day = self.days.entry(new.created.day()).or_default();
        day.by_create_id.insert((new.create_id, slot));
        day.by_update_id.insert((new.update_id, slot));
        self.entries[slot as usize] = Entry::Fixture(Box::new(new));
        Ok(())
    }

    fn insert(&mut self, entry: Entry) -> Slot {
        let slot = Slot::try_from(self.entries.len()).unwrap_or(Slot::MAX);
        let day = self.days.entry(entry.created().day()).or_default();
        day.by_create_id.insert((entry.create_id(), slot));
        day.by_update_id.insert((entry.update_id(), slot));
        if let Some(id) = entry.id() {
            let other = self.find(&id);
            self.has_repeated_ids |= other.is_some();
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

    /// The newest version of the operation with this id.
    pub(crate) fn find(&self, id: &str) -> Option<Slot> {
        self.newest_by_id.get(id).copied()
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

    pub(crate) fn page(&self, query: &OperationQuery, switches: &Switches, now: Timestamp) -> Vec<&Entry> {
        let matches = |entry: &&Entry| {
            query.project.as_ref().is_none_or(|project| entry.is_in_project(project))
                && query.status.as_ref().is_none_or(|status| entry.has_status(status))
                && query.after_create_id.is_none_or(|cursor| is_past(entry.create_id(), cursor, switches.vima_cursor))
                && entry.is_visible(switches, now)
        };
        let count = query.count.saturating_add(switches.vima_page_overrun);
        self.ordered_slots(query, switches.vima_cursor).map(|slot| self.get(slot)).filter(matches).take(count).collect()
    }

    fn ordered_slots(&self, query: &OperationQuery, cursor: CursorMode) -> impl Iterator<Item = Slot> {
        let by_update = query.after_update_id.is_some();
        let from = match (query.after_update_id.or(query.after_create_id), cursor) {
            (None, _) | (_, CursorMode::Ignored) => Bound::Unbounded,
            (Some(id), CursorMode::Exclusive) => Bound::Excluded((id, Slot::MAX)),
            (Some(id), CursorMode::Inclusive) => Bound::Included((id, 0)),
        };
        let first = query.first_day.map_or(Bound::Unbounded, Bound::Included);
        let last = query.last_day.map_or(Bound::Unbounded, Bound::Included);
        let inverted = matches!((query.first_day, query.last_day), (Some(first), Some(last)) if first > last);
        let days = (!inverted).then(|| self.days.range((first, last))).into_iter().flatten();
        let streams = days.map(|(_, day)| {
            let index = if by_update { &day.by_update_id } else { &day.by_create_id };
            let range = index.range((from, Bound::Unbounded)).copied();
            DayStream { range, descending: query.descending }.peekable()
        });
        merge(streams.collect(), query.descending)
    }
}

fn is_past(id: u128, cursor: u128, mode: CursorMode) -> bool {
    match mode {
        CursorMode::Exclusive => id > cursor,
        CursorMode::Inclusive => id >= cursor,
        CursorMode::Ignored => true,
    }
}

/// Iterates over one day's records in either direction.
struct DayStream<I> {
    range: I,
    descending: bool,
}

impl<I: DoubleEndedIterator> Iterator for DayStream<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        if self.descending { self.range.next_back() } else { self.range.next() }
    }
}

/// Merges the ordered records of several days.
fn merge<I>(mut streams: Vec<Peekable<I>>, descending: bool) -> impl Iterator<Item = Slot>
where
    I: Iterator<Item = (u128, Slot)>,
{
    std::iter::from_fn(move || {
        let mut best: Option<((u128, Slot), usize)> = None;
        for (index, stream) in streams.iter_mut().enumerate() {
            let Some(head) = stream.peek().copied() else { continue };
            if best.is_none_or(|(other, _)| (head < other) != descending) {
                best = Some((head, index));
            }
        }
        let ((_, slot), index) = best?;
        streams[index].next();
        Some(slot)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::generated_state;

    fn walk(switches: &Switches, count: usize, by_update: bool) -> Vec<u128> {
        let state = generated_state(400);
        let now = Timestamp::parse("2026-01-15T00:00:00Z").unwrap();
        let (mut seen, mut cursor): (Vec<u128>, u128) = (Vec::new(), 0);
        loop {
            let mut query = OperationQuery { count, ..OperationQuery::default() };
            *(if by_update { &mut query.after_update_id } else { &mut query.after_create_id }) = Some(cursor);
            let id = |entry: &&Entry| if by_update { entry.update_id() } else { entry.create_id() };
            let page: Vec<u128> = state.operations.page(&query, switches, now).iter().map(id).collect();
            let new_ids = page.iter().filter(|id| Some(*id) != seen.last()).copied().collect::<Vec<_>>();
            let Some(last) = new_ids.last() else { break };
            cursor = *last;
            seen.extend(new_ids);
        }
        assert_eq!(seen.len(), state.operations.entries().len());
        seen
    }

    #[test]
    fn each_cursor_returns_every_operation_once_and_in_order() {
        for (cursor, by_update) in
            [("exclusive", true), ("exclusive", false), ("inclusive", true), ("inclusive", false)]
        {
            let mut switches = Switches::default();
            switches.set_from_text("vima_cursor", cursor).unwrap();
            assert!(walk(&switches, 37, by_update).is_sorted_by(|a, b| a < b));
        }
    }

    #[test]
    fn lists_can_be_limited_to_days_and_reversed() {
        let state = generated_state(400);
        let now = Timestamp::parse("2026-01-15T00:00:00Z").unwrap();
        let day = Day::parse("2026-01-13");
        let mut query = OperationQuery { count: 10_000, first_day: day, last_day: day, ..OperationQuery::default() };
        let ids = |query: &OperationQuery| {
            let page = state.operations.page(query, &Switches::default(), now);
            assert!(page.iter().all(|entry| Some(entry.created().day()) == day));
            page.iter().map(|entry| entry.create_id()).collect::<Vec<_>>()
        };
        let oldest_first = ids(&query);
        assert_eq!(
            oldest_first.len(),
            state.operations.entries().iter().filter(|entry| Some(entry.created().day()) == day).count()
        );
        query.descending = true;
        assert_eq!(ids(&query), oldest_first.iter().rev().copied().collect::<Vec<_>>());
        query.after_create_id = Some(oldest_first[oldest_first.len() - 3]);
        assert_eq!(ids(&query).len(), 2);
    }
}
