//! Which of two tellings of one payment is the newer, and what becomes of it.
//!
//! Providers repeat themselves, overlap, and answer from replicas that lag: the same record arrives often, and not
//! always in order. The whole rule is in [`decide`], so that the database only carries out what was decided.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::Serialize;

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
