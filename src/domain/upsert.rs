//! Whether an incoming record of a payment replaces the stored one.
//!
//! Providers repeat themselves, overlap, and answer from replicas that lag: the same record arrives often, and not
//! always in order. The whole rule is in [`decide`], so that the database only carries out what was decided.

use std::cmp::Ordering;

use super::status::Status;
use super::transaction::{ContentHash, Transaction};
use super::version::Version;

/// What is already known of a payment, as far as the decision needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredVersion {
    /// The version that is stored.
    pub version: Version,
    /// The digest of its content.
    pub content: ContentHash,
    /// Its state.
    pub status: Status,
    /// Whether a content of this very version has already been replaced by another one.
    pub replaced_in_place: bool,
}

/// What becomes of an incoming telling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpsertDecision {
    /// Nobody knew of this payment.
    Insert,
    /// It is newer than what is stored.
    Update,
    /// It has the stored version but other content: it wins, once, so that two replicas that disagree cannot make the
    /// record flap for ever.
    Replace,
    /// It says what is stored already.
    Same,
    /// It is older than what is stored.
    Stale,
    /// It would reopen a finished payment, or replace a version a second time, without being newer.
    Refused,
}

impl UpsertDecision {
    /// Whether the incoming telling is written.
    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self, Self::Insert | Self::Update | Self::Replace)
    }
}

/// Decides what becomes of `incoming`, whose content is `content`, given what is `known`.
#[must_use]
pub fn decide(known: Option<&StoredVersion>, incoming: &Transaction, content: ContentHash) -> UpsertDecision {
    let Some(known) = known else {
        return UpsertDecision::Insert;
    };
    if content == known.content {
        return UpsertDecision::Same;
    }
    let reopens = known.status.is_final() && !incoming.status.is_final();
    match incoming.version.compare(&known.version) {
        Some(Ordering::Less) => UpsertDecision::Stale,
        Some(Ordering::Equal) if reopens || known.replaced_in_place => UpsertDecision::Refused,
        Some(Ordering::Equal) => UpsertDecision::Replace,
        None if reopens => UpsertDecision::Refused,
        Some(Ordering::Greater) | None => UpsertDecision::Update,
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use proptest::prelude::*;
    use rust_decimal::Decimal;

    use super::*;
    use crate::domain::money::Currency;
    use crate::domain::transaction::{Kind, Source, TransactionKey};
    use crate::domain::version::SequenceId;

    fn telling(version: Version, amount: u32, status: Status) -> Transaction {
        Transaction {
            key: TransactionKey { source: Source::Vima, kind: Kind::Payin, source_id: "1".to_owned() },
            version,
            reference_id: None,
            client_operation_id: None,
            order_id: None,
            project: None,
            merchant_id: None,
            amount: Decimal::from(amount),
            paid_amount: None,
            currency: Currency::inr(),
            amount_usd: None,
            fee: None,
            fee_usd: None,
            exchange_rate: None,
            status,
            original_status: None,
            user_id: None,
            user_email: None,
            user_phone: None,
            user_name: None,
            country: None,
            utr: None,
            payment_method: None,
            payment_product: None,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: version.modified_at,
            completed_at: None,
            raw: String::new(),
        }
    }

    fn version(sequence: Option<u128>, second: Option<i64>) -> Version {
        let modified_at = second.and_then(|second| DateTime::from_timestamp(second, 0));
        Version { sequence: sequence.map(SequenceId), modified_at }
    }

    fn known(telling: &Transaction, replaced_in_place: bool) -> StoredVersion {
        let (content, status) = (telling.content_hash(), telling.status);
        StoredVersion { version: telling.version, content, status, replaced_in_place }
    }

    #[test]
    fn the_rule_as_a_table() {
        use Status::{Pending, Success};
        let (one, two) = (version(Some(1), Some(10)), version(Some(2), Some(20)));
        let (early, late, none) = (version(None, Some(10)), version(None, Some(20)), version(None, None));
        for (stored, replaced, incoming, expected) in [
            (telling(one, 5, Pending), false, telling(two, 5, Success), UpsertDecision::Update),
            (telling(two, 5, Success), false, telling(one, 5, Pending), UpsertDecision::Stale),
            (telling(one, 5, Pending), false, telling(one, 5, Pending), UpsertDecision::Same),
            (telling(one, 5, Pending), false, telling(one, 6, Pending), UpsertDecision::Replace),
            (telling(one, 5, Pending), true, telling(one, 6, Pending), UpsertDecision::Refused),
            (telling(one, 5, Success), false, telling(one, 5, Pending), UpsertDecision::Refused),
            (telling(one, 5, Success), false, telling(two, 5, Pending), UpsertDecision::Update),
            (telling(early, 5, Pending), false, telling(late, 5, Success), UpsertDecision::Update),
            (telling(late, 5, Success), false, telling(early, 5, Pending), UpsertDecision::Stale),
            (telling(none, 5, Pending), false, telling(none, 6, Pending), UpsertDecision::Update),
            (telling(none, 5, Success), false, telling(none, 5, Pending), UpsertDecision::Refused),
            // Ids beyond 64 bits, and ones that are longer but not larger as texts.
            (
                telling(version(Some(99_999_999_999_999_999_999), None), 5, Pending),
                false,
                telling(version(Some(100_000_000_000_000_000_000), None), 5, Success),
                UpsertDecision::Update,
            ),
        ] {
            let verdict = decide(Some(&known(&stored, replaced)), &incoming, incoming.content_hash());
            assert_eq!(verdict, expected, "{stored:?} then {incoming:?}");
        }
        let first = telling(one, 5, Pending);
        assert_eq!(decide(None, &first, first.content_hash()), UpsertDecision::Insert);
    }

    proptest! {
        /// Whatever order tellings of distinct versions come in, and however often, the newest is what stays.
        #[test]
        fn the_newest_stays(order in proptest::collection::vec(0_u32..12, 1..60)) {
            let mut stored: Option<StoredVersion> = None;
            for number in &order {
                let status = if number % 3 == 0 { Status::Pending } else { Status::Success };
                let incoming = telling(version(Some(u128::from(*number)), None), *number, status);
                if decide(stored.as_ref(), &incoming, incoming.content_hash()).writes() {
                    stored = Some(known(&incoming, false));
                }
            }
            let newest = order.iter().max().map(|number| SequenceId(u128::from(*number)));
            prop_assert_eq!(stored.and_then(|known| known.version.sequence), newest);
        }

        /// Two replicas that disagree about one version make the record change once, and never again.
        #[test]
        fn disagreeing_replicas_settle(amounts in proptest::collection::vec(1_u32..4, 2..40)) {
            let mut stored: Option<StoredVersion> = None;
            let mut writes = 0;
            for amount in amounts {
                let incoming = telling(version(Some(7), None), amount, Status::Pending);
                let verdict = decide(stored.as_ref(), &incoming, incoming.content_hash());
                if verdict.writes() {
                    stored = Some(known(&incoming, verdict == UpsertDecision::Replace));
                    writes += 1;
                }
            }
            prop_assert!(writes <= 2);
        }
    }
}
