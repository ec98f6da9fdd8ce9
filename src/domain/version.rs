//! Versions of a payment's records.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The first number that does not fit the database's `numeric(38)`.
const SEQUENCE_ID_LIMIT: u128 = 10_u128.pow(38);

/// An increasing id of a provider (Vima's create and update ids). Up to 38 digits; compared as a number.
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
    type Err = SequenceIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.trim().parse().ok().filter(|id| *id < SEQUENCE_ID_LIMIT).map(Self).ok_or(SequenceIdError)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id is not a number of at most 38 digits")]
pub struct SequenceIdError;

/// How new a record is: by the provider's change counter if it has one, otherwise by the time of the last change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Version {
    /// The provider's change counter (Vima `operation_update_id`).
    pub sequence: Option<SequenceId>,
    /// By the provider's clock.
    pub modified_at: Option<DateTime<Utc>>,
}

impl Version {
    /// `None` if the two versions have neither sequence nor time in common.
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self.sequence, other.sequence) {
            (Some(mine), Some(theirs)) => Some(mine.cmp(&theirs)),
            _ => Some(self.modified_at?.cmp(&other.modified_at?)),
        }
    }
}
