//! Reading again what could not be read: which records of the quarantine, and what became of them.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::transaction::Source;

/// Which records of the quarantine are read again: the arguments of a `replay-quarantine` job.
///
/// `{"id": "..."}`, `{"source": "vima"}`, or `{}` for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Arguments", into = "Arguments")]
pub enum Replay {
    /// This one.
    Record(Uuid),
    /// Those of one source.
    Source(Source),
    /// All of them.
    All,
}

impl Replay {
    /// The record that is meant, where one is.
    #[must_use]
    pub fn id(self) -> Option<Uuid> {
        match self {
            Self::Record(id) => Some(id),
            Self::Source(_) | Self::All => None,
        }
    }

    /// The source that is meant, where one is.
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

/// What became of the records that were read again: the result of a `replay-quarantine` job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ReplayCounts {
    /// Records read again: the sum of the two below.
    pub replayed: u64,
    /// They can be read now: they are stored, or what is stored is newer, and have left the quarantine.
    pub stored: u64,
    /// They still cannot, and stay, with the reason as of now.
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
    fn arguments_are_read_back_or_refused_in_words() {
        let id = Uuid::from_u128(7);
        for (replay, arguments) in [
            (Replay::Record(id), json!({"id": id})),
            (Replay::Source(Source::Payshack), json!({"source": "payshack"})),
            (Replay::All, json!({})),
        ] {
            assert_eq!(serde_json::to_value(replay).expect("JSON"), arguments);
            assert_eq!(serde_json::from_value::<Replay>(arguments).expect("arguments"), replay);
        }
        for (arguments, told) in [
            (json!({"id": id, "source": "vima"}), "an id or a source is expected, not both"),
            (json!({"ids": [id]}), "unknown field `ids`, expected `id` or `source`"),
            (json!({"source": "visa"}), "expected `vima` or `payshack`"),
            (json!({"id": "17"}), "UUID"),
            (Value::from("all"), "expected struct"),
        ] {
            let refused = serde_json::from_value::<Replay>(arguments.clone()).expect_err("refused").to_string();
            assert!(refused.contains(told), "{arguments}: {refused}");
        }
    }
}
