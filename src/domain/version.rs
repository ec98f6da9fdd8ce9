//! How new a record of a payment is.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

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
