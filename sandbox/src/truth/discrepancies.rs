//! On what the two providers disagree, found the plain way: every record of a key side by side.

use std::{cmp::Reverse, sync::Arc};

use rust_decimal::Decimal;

use crate::{
    json::{self, Object},
    state::{Side, State},
    status::Status,
};

use super::Row;

/// A disagreement about one key, or a pair that only looks like one.
#[derive(Debug)]
pub(crate) struct Finding {
    kind: &'static str,
    key: Arc<str>,
    vima: Option<Row>,
    payshack: Option<Row>,
}

const KINDS: [&str; 7] = [
    "amount",
    "status",
    "missing_vima",
    "missing_payshack",
    "duplicate_vima",
    "duplicate_payshack",
    "split_by_midnight",
];

impl Finding {
    pub(crate) fn write(&self, o: &mut Object<'_>) {
        o.text("type", self.kind).text("key", &self.key);
        for (name, side) in [("vima", &self.vima), ("payshack", &self.payshack)] {
            match side {
                Some(row) => o.object(name, |o| row.write(o)),
                None => o.null(name),
            };
        }
    }
}

/// All findings, by key.
pub(crate) fn discrepancies(state: &State) -> Vec<Finding> {
    let mut records = state.reconcilable();
    records.sort_unstable();
    let mut findings = Vec::new();
    for same_key in records.chunk_by(|a, b| a.0 == b.0) {
        let (mut vima, mut payshack) = (Vec::new(), Vec::new());
        for (_, side, place) in same_key {
            match side {
                Side::Vima => vima.extend(state.operations.entries()[*place].row()),
                Side::PayShack => payshack.extend(state.payins.entries()[*place].row()),
            }
        }
        compare(&same_key[0].0, vima, payshack, &mut findings);
    }
    findings
}

/// Writes how many findings of each kind there are, and their keys.
pub(crate) fn by_type(o: &mut Object<'_>, findings: &[Finding]) {
    for kind in KINDS {
        let keys: Vec<&Arc<str>> = findings.iter().filter(|found| found.kind == kind).map(|found| &found.key).collect();
        o.object(kind, |o| {
            o.bare("count", keys.len()).array("keys", keys, |out, key| json::text(out, key));
        });
    }
}

fn compare(key: &Arc<str>, mut vima: Vec<Row>, mut payshack: Vec<Row>, findings: &mut Vec<Finding>) {
    let mut found = |kind, vima: Option<&Row>, payshack: Option<&Row>| {
        let (vima, payshack) = (vima.cloned(), payshack.cloned());
        findings.push(Finding { kind, key: Arc::clone(key), vima, payshack });
    };
    if let Some((left, right)) = best_pair(&vima, &payshack) {
        let (left, right) = (vima.remove(left), payshack.remove(right));
        if !amounts_agree(&left, &right) {
            found("amount", Some(&left), Some(&right));
        }
        if !left.status.agrees_with(right.status) {
            found("status", Some(&left), Some(&right));
        }
        if left.created.day() != right.created.day() {
            found("split_by_midnight", Some(&left), Some(&right));
        }
    } else {
        let kept = |rows: &mut Vec<Row>| best_alone(rows).map(|place| rows.remove(place));
        if let Some(left) = kept(&mut vima) {
            found("missing_payshack", Some(&left), None);
        }
        if let Some(right) = kept(&mut payshack) {
            found("missing_vima", None, Some(&right));
        }
    }
    for row in &vima {
        found("duplicate_vima", Some(row), None);
    }
    for row in &payshack {
        found("duplicate_payshack", None, Some(row));
    }
}

/// Both success first, then equal amounts, then nearest in time, then the smallest ids.
fn best_pair(vima: &[Row], payshack: &[Row]) -> Option<(usize, usize)> {
    let pairs = (0..vima.len()).flat_map(|left| (0..payshack.len()).map(move |right| (left, right)));
    pairs.min_by_key(|(left, right)| {
        let (left, right) = (&vima[*left], &payshack[*right]);
        (
            Reverse(left.status == Status::Success && right.status == Status::Success),
            Reverse(amounts_agree(left, right)),
            (left.created.millis() - right.created.millis()).abs(),
            by_id(left),
            by_id(right),
        )
    })
}

fn best_alone(rows: &[Row]) -> Option<usize> {
    (0..rows.len()).min_by_key(|place| (Reverse(rows[*place].status == Status::Success), by_id(&rows[*place])))
}

/// As a number where it is one, else as text.
fn by_id(row: &Row) -> (u128, String) {
    (row.source_id.parse().unwrap_or(u128::MAX), row.source_id.clone())
}

/// Vima's amount against what was paid where `PayShack` has a success, within a paisa.
fn amounts_agree(vima: &Row, payshack: &Row) -> bool {
    let theirs = payshack.paid.filter(|_| payshack.status == Status::Success).unwrap_or(payshack.amount);
    let difference = vima.amount.checked_sub(theirs).map(|difference| difference.abs());
    vima.currency == payshack.currency && difference.is_some_and(|difference| difference <= Decimal::new(1, 2))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::history::tests::seeded;

    #[test]
    fn the_planned_share_is_found_and_nothing_else() {
        let state = seeded(2000);
        let findings = discrepancies(&state);
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for finding in &findings {
            *counts.entry(finding.kind).or_default() += 1;
        }
        assert!(KINDS.iter().all(|kind| counts.get(kind).copied().unwrap_or_default() > 0), "{counts:?}");
        let flawed = findings.iter().filter(|found| found.kind != "split_by_midnight").count();
        assert!((150..250).contains(&flawed), "{counts:?}");
        assert!(counts["split_by_midnight"] >= 14);
        let both = |found: &&Finding| matches!(found.kind, "amount" | "status") && found.vima.is_some();
        let mut keys: Vec<_> = findings.iter().filter(both).map(|found| &found.key).collect();
        let all = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), all, "a planned flaw is of one kind");
    }
}
