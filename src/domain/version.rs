//! Which of two tellings of one payment is the newer, and what becomes of it.
//!
//! Providers repeat themselves, overlap, and answer from replicas that lag: the same record arrives often, and not
//! always in order. The whole rule is in [`decide`], so that the database only carries out what was decided.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::status::Status;
use super::transaction::{ContentHash, Transaction};

/// An id that a provider counts upwards (Vima's create and update ids). Up to 38 digits; compared as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SequenceId(pub u128);

impl Serialize for SequenceId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SequenceId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for SequenceId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl FromStr for SequenceId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.trim().parse().map(Self)
    }
}

/// How new a telling of a payment is: the provider's own count where it keeps one, else the time of the last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Version {
    /// The provider's count of changes (Vima `operation_update_id`).
    pub sequence: Option<SequenceId>,
    /// The time of the last change, by the provider's clock.
    pub modified_at: Option<DateTime<Utc>>,
}

impl Version {
    /// Which is newer, or `None` where the two have nothing in common to be compared by.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self.sequence, other.sequence) {
            (Some(mine), Some(theirs)) => Some(mine.cmp(&theirs)),
            _ => Some(self.modified_at?.cmp(&other.modified_at?)),
        }
    }
}

/// What is already known of a payment, as far as the decision needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
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
pub enum Verdict {
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

impl Verdict {
    /// Whether the incoming telling is written.
    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self, Self::Insert | Self::Update | Self::Replace)
    }
}

/// Decides what becomes of `incoming`, whose content is `content`, given what is `known`.
#[must_use]
pub fn decide(known: Option<&Known>, incoming: &Transaction, content: ContentHash) -> Verdict {
    let Some(known) = known else {
        return Verdict::Insert;
    };
    if content == known.content {
        return Verdict::Same;
    }
    let reopens = known.status.is_final() && !incoming.status.is_final();
    match incoming.version.compare(&known.version) {
        Some(Ordering::Less) => Verdict::Stale,
        Some(Ordering::Equal) if reopens || known.replaced_in_place => Verdict::Refused,
        Some(Ordering::Equal) => Verdict::Replace,
        None if reopens => Verdict::Refused,
        Some(Ordering::Greater) | None => Verdict::Update,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;
    use crate::domain::transaction::{Kind, Source, TransactionKey};
    use proptest::prelude::*;
    use rust_decimal::Decimal;

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

    fn known(telling: &Transaction, replaced_in_place: bool) -> Known {
        let (content, status) = (telling.content_hash(), telling.status);
        Known { version: telling.version, content, status, replaced_in_place }
    }

    #[test]
    fn the_rule_as_a_table() {
        use Status::{Pending, Success};
        let (one, two) = (version(Some(1), Some(10)), version(Some(2), Some(20)));
        let (early, late, none) = (version(None, Some(10)), version(None, Some(20)), version(None, None));
        for (stored, replaced, incoming, expected) in [
            (telling(one, 5, Pending), false, telling(two, 5, Success), Verdict::Update),
            (telling(two, 5, Success), false, telling(one, 5, Pending), Verdict::Stale),
            (telling(one, 5, Pending), false, telling(one, 5, Pending), Verdict::Same),
            (telling(one, 5, Pending), false, telling(one, 6, Pending), Verdict::Replace),
            (telling(one, 5, Pending), true, telling(one, 6, Pending), Verdict::Refused),
            (telling(one, 5, Success), false, telling(one, 5, Pending), Verdict::Refused),
            (telling(one, 5, Success), false, telling(two, 5, Pending), Verdict::Update),
            (telling(early, 5, Pending), false, telling(late, 5, Success), Verdict::Update),
            (telling(late, 5, Success), false, telling(early, 5, Pending), Verdict::Stale),
            (telling(none, 5, Pending), false, telling(none, 6, Pending), Verdict::Update),
            (telling(none, 5, Success), false, telling(none, 5, Pending), Verdict::Refused),
            // Ids beyond 64 bits, and ones that are longer but not larger as texts.
            (
                telling(version(Some(99_999_999_999_999_999_999), None), 5, Pending),
                false,
                telling(version(Some(100_000_000_000_000_000_000), None), 5, Success),
                Verdict::Update,
            ),
        ] {
            let verdict = decide(Some(&known(&stored, replaced)), &incoming, incoming.content_hash());
            assert_eq!(verdict, expected, "{stored:?} then {incoming:?}");
        }
        let first = telling(one, 5, Pending);
        assert_eq!(decide(None, &first, first.content_hash()), Verdict::Insert);
    }

    proptest! {
        /// Whatever order tellings of distinct versions come in, and however often, the newest is what stays.
        #[test]
        fn the_newest_stays(order in proptest::collection::vec(0_u32..12, 1..60)) {
            let mut stored: Option<Known> = None;
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
            let mut stored: Option<Known> = None;
            let mut writes = 0;
            for amount in amounts {
                let incoming = telling(version(Some(7), None), amount, Status::Pending);
                let verdict = decide(stored.as_ref(), &incoming, incoming.content_hash());
                if verdict.writes() {
                    stored = Some(known(&incoming, verdict == Verdict::Replace));
                    writes += 1;
                }
            }
            prop_assert!(writes <= 2);
        }
    }
}
