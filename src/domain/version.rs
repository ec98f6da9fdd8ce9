//! Versions of a payment's records.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

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
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.trim().parse().map(Self)
    }
}

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
