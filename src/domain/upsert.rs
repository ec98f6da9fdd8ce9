//!
//! Decides whether an incoming record of a payment replaces the stored one.
//!
//! Providers repeat records, and answer from lagging replicas: the same record arrives often, and not always in order. And
//! the rules that turn a record into a payment change, with a release or a setting: what newer rules make of a version
//! replaces what older ones made of it, never the other way round. The whole decision is in [`decide`]; the database only
//! executes it.

use std::cmp::Ordering;

use super::status::Status;
use super::transaction::{ContentHash, Transaction};
use super::version::Version;

/// How new the rules are that turned a record into a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RulesGeneration(pub i64);

/// The part of a stored payment that the decision depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredVersion {
    pub version: Version,
    pub content: ContentHash,
    pub status: Status,
    /// The provider's status, unmapped.
    pub original_status: Option<String>,
    /// Whether the content of this version has already been replaced since these rules are used.
    pub replaced_in_place: bool,
    /// `None` if an older release stored it: every rule known by now is newer.
    pub rules: Option<RulesGeneration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpsertDecision {
    /// The payment is not stored yet.
    Insert,
    /// The record is newer than the stored one.
    Update,
    /// The record has the stored version but other content. It wins, but only once per version, so that two replicas that
    /// disagree cannot make the payment alternate forever.
    Replace,
    /// The record has the stored version, and newer rules make other content of it.
    NewRules,
    /// The content is already stored.
    Unchanged,
    /// The record is older than the stored one.
    Stale,
    /// The record would reopen a final payment, replace a version a second time, or undo what newer rules made of it, without
    /// being newer.
    Refused,
}

impl UpsertDecision {
    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self, Self::Insert | Self::Update | Self::Replace | Self::NewRules)
    }
}

/// `content` is the hash of `incoming`, and `rules` are those that made it; callers store both.
#[must_use]
pub fn decide(
    stored: Option<&StoredVersion>,
    incoming: &Transaction,
    content: ContentHash,
    rules: RulesGeneration,
) -> UpsertDecision {
    let Some(stored) = stored else {
        return UpsertDecision::Insert;
    };
    if content == stored.content {
        return UpsertDecision::Unchanged;
    }
    let reopens = stored.status.is_final() && !incoming.status.is_final();
    match incoming.version.compare(&stored.version) {
        Some(Ordering::Less) => UpsertDecision::Stale,
        Some(Ordering::Equal) => match stored.rules.cmp(&Some(rules)) {
            // Rules may map the same status differently. Another status is another record with the same version.
            Ordering::Less if reopens && stored.original_status != incoming.original_status => UpsertDecision::Refused,
            Ordering::Less => UpsertDecision::NewRules,
            Ordering::Equal if !reopens && !stored.replaced_in_place => UpsertDecision::Replace,
            Ordering::Equal | Ordering::Greater => UpsertDecision::Refused,
        },
        None if reopens => UpsertDecision::Refused,
        Some(Ordering::Greater) | None => UpsertDecision::Update,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::money::Currency;
    use crate::domain::transaction::{Kind, Source, TransactionKey};
    use crate::domain::version::SequenceId;

    fn record(version: Version, amount: u32, status: Status) -> Transaction {
        let key = TransactionKey { source: Source::Vima, kind: Kind::Payin, source_id: "1".to_owned() };
        let minimal = Transaction::minimal(key, DateTime::UNIX_EPOCH, amount.into(), Currency::inr());
        Transaction { version, status, updated_at: version.modified_at, ..minimal }
    }

    fn version(sequence: Option<u128>, second: Option<i64>) -> Version {
        let modified_at = second.and_then(|second| DateTime::from_timestamp(second, 0));
        Version { sequence: sequence.map(SequenceId), modified_at }
    }

    const RULES: RulesGeneration = RulesGeneration(2);

    fn stored(record: &Transaction, replaced_in_place: bool) -> StoredVersion {
        stored_by(record, replaced_in_place, Some(RULES))
    }

    fn stored_by(record: &Transaction, replaced_in_place: bool, rules: Option<RulesGeneration>) -> StoredVersion {
        StoredVersion {
            version: record.version,
            content: record.content_hash(),
            status: record.status,
            original_status: record.original_status.clone(),
            replaced_in_place,
            rules,
        }
    }

    #[test]
    fn decision_depends_on_version_content_and_status() {
        use Status::{Pending, Success};
        let (one, two) = (version(Some(1), Some(10)), version(Some(2), Some(20)));
        let (early, late, none) = (version(None, Some(10)), version(None, Some(20)), version(None, None));
        for (existing, replaced, incoming, expected) in [
            (record(one, 5, Pending), false, record(two, 5, Success), UpsertDecision::Update),
            (record(two, 5, Success), false, record(one, 5, Pending), UpsertDecision::Stale),
            (record(one, 5, Pending), false, record(one, 5, Pending), UpsertDecision::Unchanged),
            (record(one, 5, Pending), false, record(one, 6, Pending), UpsertDecision::Replace),
            (record(one, 5, Pending), true, record(one, 6, Pending), UpsertDecision::Refused),
            (record(one, 5, Success), false, record(one, 5, Pending), UpsertDecision::Refused),
            (record(one, 5, Success), false, record(two, 5, Pending), UpsertDecision::Update),
            (record(early, 5, Pending), false, record(late, 5, Success), UpsertDecision::Update),
            (record(late, 5, Success), false, record(early, 5, Pending), UpsertDecision::Stale),
            (record(none, 5, Pending), false, record(none, 6, Pending), UpsertDecision::Update),
            (record(none, 5, Success), false, record(none, 5, Pending), UpsertDecision::Refused),
            // Ids beyond 64 bits, and ones that are longer but not larger as texts.
            (
                record(version(Some(99_999_999_999_999_999_999), None), 5, Pending),
                false,
                record(version(Some(100_000_000_000_000_000_000), None), 5, Success),
                UpsertDecision::Update,
            ),
        ] {
            let verdict = decide(Some(&stored(&existing, replaced)), &incoming, incoming.content_hash(), RULES);
            assert_eq!(verdict, expected, "{existing:?} then {incoming:?}");
        }
        let first = record(one, 5, Pending);
        assert_eq!(decide(None, &first, first.content_hash(), RULES), UpsertDecision::Insert);
    }

    #[test]
    fn newer_rules_replace_what_older_ones_made_of_the_same_version() {
        let one = version(Some(1), Some(10));
        let (pending, success) = (record(one, 5, Status::Pending), record(one, 5, Status::Success));
        let said = |payment: &Transaction, original: &str| Transaction {
            original_status: Some(original.to_owned()),
            ..payment.clone()
        };
        let (older, newer) = (Some(RulesGeneration(1)), Some(RulesGeneration(3)));
        for (existing, rules, incoming, expected) in [
            (&pending, None, &success, UpsertDecision::NewRules),
            (&pending, older, &success, UpsertDecision::NewRules),
            (&pending, newer, &success, UpsertDecision::Refused),
            (&pending, older, &pending, UpsertDecision::Unchanged),
            (&success, older, &record(version(Some(0), None), 5, Status::Failed), UpsertDecision::Stale),
            (&success, newer, &record(version(Some(2), None), 5, Status::Failed), UpsertDecision::Update),
            // The same status, which older rules mapped to a final one; and another status.
            (&said(&success, "settling"), older, &said(&pending, "settling"), UpsertDecision::NewRules),
            (&said(&success, "settled"), older, &said(&pending, "open"), UpsertDecision::Refused),
        ] {
            for replaced in [false, true] {
                let verdict =
                    decide(Some(&stored_by(existing, replaced, rules)), incoming, incoming.content_hash(), RULES);
                assert_eq!(verdict, expected, "{rules:?}: {existing:?} then {incoming:?}");
            }
        }
    }

    proptest! {
        /// Records of distinct versions, in any order and repeated: the newest one is stored in the end.
        #[test]
        fn newest_version_wins_in_any_order(order in proptest::collection::vec(0_u32..12, 1..60)) {
            let mut latest: Option<StoredVersion> = None;
            for number in &order {
                let status = if number % 3 == 0 { Status::Pending } else { Status::Success };
                let incoming = record(version(Some(u128::from(*number)), None), *number, status);
                if decide(latest.as_ref(), &incoming, incoming.content_hash(), RULES).writes() {
                    latest = Some(stored(&incoming, false));
                }
            }
            let newest = order.iter().max().map(|number| SequenceId(u128::from(*number)));
            prop_assert_eq!(latest.and_then(|latest| latest.version.sequence), newest);
        }

        /// Two replicas that disagree about one version change the payment at most once.
        #[test]
        fn disagreeing_replicas_write_at_most_twice(amounts in proptest::collection::vec(1_u32..4, 2..40)) {
            let mut latest: Option<StoredVersion> = None;
            let mut writes = 0;
            for amount in amounts {
                let incoming = record(version(Some(7), None), amount, Status::Pending);
                let verdict = decide(latest.as_ref(), &incoming, incoming.content_hash(), RULES);
                if verdict.writes() {
                    latest = Some(stored(&incoming, verdict == UpsertDecision::Replace));
                    writes += 1;
                }
            }
            prop_assert!(writes <= 2);
        }

        /// Workers of several releases read the same version again and again: the newest rules win, and the writing ends.
        #[test]
        fn workers_with_other_rules_do_not_alternate(order in proptest::collection::vec(1_i64..5, 2..60)) {
            let mut latest: Option<StoredVersion> = None;
            let mut writes = 0;
            for generation in &order {
                let rules = RulesGeneration(*generation);
                let incoming = record(version(Some(7), None), u32::try_from(*generation).unwrap_or(0), Status::Pending);
                let verdict = decide(latest.as_ref(), &incoming, incoming.content_hash(), rules);
                if verdict.writes() {
                    latest = Some(stored_by(&incoming, verdict != UpsertDecision::Insert, Some(rules)));
                    writes += 1;
                }
            }
            prop_assert_eq!(latest.and_then(|latest| latest.rules), order.iter().max().map(|newest| RulesGeneration(*newest)));
            prop_assert!(writes <= 4);
        }
    }
}
