//! Replaying the quarantine: the arguments and the result of a `replay-quarantine` job.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::transaction::Source;

/// The quarantined records to read again.
///
/// In JSON `{"id": "..."}`, `{"source": "vima"}`, or `{}` for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Arguments", into = "Arguments")]
pub enum Replay {
    Record(Uuid),
    Source(Source),
    All,
}

impl Replay {
    #[must_use]
    pub fn id(self) -> Option<Uuid> {
        match self {
            Self::Record(id) => Some(id),
            Self::Source(_) | Self::All => None,
        }
    }

    #[must_use]
    pub fn source(self) -> Option<Source> {
        match self {
            Self::Source(source) => Some(source),
            Self::Record(_) | Self::All => None,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Source>,
}

impl TryFrom<Arguments> for Replay {
    type Error = &'static str;

    fn try_from(arguments: Arguments) -> Result<Self, Self::Error> {
        match (arguments.id, arguments.source) {
            (Some(id), None) => Ok(Self::Record(id)),
            (None, Some(source)) => Ok(Self::Source(source)),
            (None, None) => Ok(Self::All),
            (Some(_), Some(_)) => Err("an id or a source is expected, not both"),
        }
    }
}

impl From<Replay> for Arguments {
    fn from(replay: Replay) -> Self {
        Self { id: replay.id(), source: replay.source() }
    }
}

/// The result of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ReplayCounts {
    /// The sum of the two below.
    pub replayed: u64,
    /// Readable now: the record is stored, or a newer one was, and it has left the quarantine.
    pub stored: u64,
    /// Still unreadable: the record stays, with the current reason.
    pub still_malformed: u64,
}

impl AddAssign for ReplayCounts {
    fn add_assign(&mut self, more: Self) {
        self.replayed += more.replayed;
        self.stored += more.stored;
        self.still_malformed += more.still_malformed;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn arguments_round_trip_or_are_rejected_with_a_reason() {
        let id = Uuid::from_u128(7);
        for (replay, arguments) in [
            (Replay::Record(id), json!({"id": id})),
            (Replay::Source(Source::Payshack), json!({"source": "payshack"})),
            (Replay::All, json!({})),
        ] {
            assert_eq!(serde_json::to_value(replay).expect("JSON"), arguments);
            assert_eq!(serde_json::from_value::<Replay>(arguments).expect("arguments"), replay);
        }
        for (arguments, expected) in [
            (json!({"id": id, "source": "vima"}), "an id or a source is expected, not both"),
            (json!({"ids": [id]}), "unknown field `ids`, expected `id` or `source`"),
            (json!({"source": "visa"}), "expected `vima` or `payshack`"),
            (json!({"id": "17"}), "UUID"),
            (Value::from("all"), "expected struct"),
        ] {
            let error = serde_json::from_value::<Replay>(arguments.clone()).expect_err("an error").to_string();
            assert!(error.contains(expected), "{arguments}: {error}");
        }
    }
}
