//! Discrepancies between the providers, found by comparing the records of each key.

use std::{cmp::Reverse, sync::Arc};

use rust_decimal::Decimal;
use strum::{IntoStaticStr, VariantArray};

use crate::{
    json_writer::{self, ObjectWriter},
    provider::Provider,
    state::State,
    status::Status,
};

use super::NormalizedRecord;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
enum FindingKind {
    Amount,
    Status,
    MissingVima,
    MissingPayshack,
    DuplicateVima,
    DuplicatePayshack,
    /// The two records are on two UTC days, which is not a discrepancy.
    SplitByMidnight,
}

#[derive(Debug)]
pub(crate) struct Finding {
    kind: FindingKind,
    key: Arc<str>,
    vima: Option<NormalizedRecord>,
    payshack: Option<NormalizedRecord>,
}

impl Finding {
    pub(crate) fn write(&self, o: &mut ObjectWriter<'_>) {
        o.text("type", self.kind.into_str()).text("key", &self.key);
        for (name, record) in [("vima", &self.vima), ("payshack", &self.payshack)] {
            match record {
                Some(record) => o.object(name, |o| record.write(o)),
                None => o.null(name),
            };
        }
    }
}

/// All findings, ordered by key.
pub(crate) fn discrepancies(state: &State) -> Vec<Finding> {
    let mut records = state.reconcilable();
    records.sort_unstable();
    let mut findings = Vec::new();
    for same_key in records.chunk_by(|a, b| a.0 == b.0) {
        let (mut vima, mut payshack) = (Vec::new(), Vec::new());
        for (_, provider, index) in same_key {
            match provider {
                Provider::Vima => vima.extend(state.operations.entries()[*index].normalized()),
                Provider::PayShack => payshack.extend(state.payins.entries()[*index].normalized()),
            }
        }
        compare(&same_key[0].0, vima, payshack, &mut findings);
    }
    findings
}

/// Writes the count and the keys of each kind of finding.
pub(crate) fn write_by_type(o: &mut ObjectWriter<'_>, findings: &[Finding]) {
    for kind in FindingKind::VARIANTS {
        let keys: Vec<&Arc<str>> =
            findings.iter().filter(|finding| finding.kind == *kind).map(|finding| &finding.key).collect();
        o.object(kind.into_str(), |o| {
            o.unquoted("count", keys.len()).array("keys", keys, |out, key| json_writer::text(out, key));
        });
    }
}

fn compare(
    key: &Arc<str>,
    mut vima: Vec<NormalizedRecord>,
    mut payshack: Vec<NormalizedRecord>,
    findings: &mut Vec<Finding>,
) {
    let mut add = |kind, vima: Option<&NormalizedRecord>, payshack: Option<&NormalizedRecord>| {
        let (vima, payshack) = (vima.cloned(), payshack.cloned());
        findings.push(Finding { kind, key: Arc::clone(key), vima, payshack });
    };
    if let Some((left, right)) = best_pair(&vima, &payshack) {
        let (left, right) = (vima.remove(left), payshack.remove(right));
        if !amounts_agree(&left, &right) {
            add(FindingKind::Amount, Some(&left), Some(&right));
        }
        if !left.status.agrees_with(right.status) {
            add(FindingKind::Status, Some(&left), Some(&right));
        }
        if left.created.day() != right.created.day() {
            add(FindingKind::SplitByMidnight, Some(&left), Some(&right));
        }
    } else {
        let take_best = |records: &mut Vec<NormalizedRecord>| best_unpaired(records).map(|index| records.remove(index));
        if let Some(left) = take_best(&mut vima) {
            add(FindingKind::MissingPayshack, Some(&left), None);
        }
        if let Some(right) = take_best(&mut payshack) {
            add(FindingKind::MissingVima, None, Some(&right));
        }
    }
    for record in &vima {
        add(FindingKind::DuplicateVima, Some(record), None);
    }
    for record in &payshack {
        add(FindingKind::DuplicatePayshack, None, Some(record));
    }
}

/// Prefers two successes, then equal amounts, then the smallest time difference, then the smallest ids.
fn best_pair(vima: &[NormalizedRecord], payshack: &[NormalizedRecord]) -> Option<(usize, usize)> {
    let pairs = (0..vima.len()).flat_map(|left| (0..payshack.len()).map(move |right| (left, right)));
    pairs.min_by_key(|(left, right)| {
        let (left, right) = (&vima[*left], &payshack[*right]);
        (
            Reverse(left.status == Status::Success && right.status == Status::Success),
            Reverse(amounts_agree(left, right)),
            (left.created.millis() - right.created.millis()).abs(),
            id_order(left),
            id_order(right),
        )
    })
}

fn best_unpaired(records: &[NormalizedRecord]) -> Option<usize> {
    (0..records.len())
        .min_by_key(|index| (Reverse(records[*index].status == Status::Success), id_order(&records[*index])))
}

/// Numeric ids are ordered by value, other ids follow in text order.
fn id_order(record: &NormalizedRecord) -> (u128, String) {
    (record.source_id.parse().unwrap_or(u128::MAX), record.source_id.clone())
}

/// Compares Vima's amount with PayShack's paid amount if it is a success, else with its requested amount. Tolerates a
/// difference of 0.01.
fn amounts_agree(vima: &NormalizedRecord, payshack: &NormalizedRecord) -> bool {
    let payshack_amount = payshack.paid.filter(|_| payshack.status == Status::Success).unwrap_or(payshack.amount);
    let difference = vima.amount.checked_sub(payshack_amount).map(|difference| difference.abs());
    vima.currency == payshack.currency && difference.is_some_and(|difference| difference <= Decimal::new(1, 2))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::history::tests::generated_state;

    #[test]
    fn seeded_discrepancies_are_found_and_no_others() {
        let state = generated_state(2000);
        let findings = discrepancies(&state);
        let mut counts: BTreeMap<FindingKind, usize> = BTreeMap::new();
        for finding in &findings {
            *counts.entry(finding.kind).or_default() += 1;
        }
        assert!(
            FindingKind::VARIANTS.iter().all(|kind| counts.get(kind).copied().unwrap_or_default() > 0),
            "{counts:?}"
        );
        let discrepancies = findings.iter().filter(|finding| finding.kind != FindingKind::SplitByMidnight).count();
        assert!((150..250).contains(&discrepancies), "{counts:?}");
        assert!(counts[&FindingKind::SplitByMidnight] >= 14);
        let is_mismatch = |finding: &&Finding| matches!(finding.kind, FindingKind::Amount | FindingKind::Status);
        let mut keys: Vec<_> = findings.iter().filter(is_mismatch).map(|finding| &finding.key).collect();
        let all = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), all, "a seeded discrepancy has one kind");
    }
}
