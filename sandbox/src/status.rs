//! The status a provider's word stands for, by the mapping in the providers' documents.
//!
//! The truth needs it to say what a correct reader of the records ends with. It is written from the documents, not taken
//! from the dashboard: a mistake made twice in the same code would never be found.

use std::borrow::Cow;

/// A provider's own word for a status: nearly always one known when this was compiled.
pub(crate) type Word = Cow<'static, str>;

/// What a word means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    Success,
    Failed,
    Pending,
    Processing,
    Refunded,
    Unknown,
}

impl Status {
    pub(crate) fn of_vima(word: &str) -> Self {
        match word {
            "success" => Self::Success,
            "fail" | "failed" => Self::Failed,
            "in_process" | "in process" | "user_input_required" | "pending" => Self::Pending,
            _ => Self::Unknown,
        }
    }

    pub(crate) fn of_payshack(word: &str) -> Self {
        match folded(word).as_str() {
            "success" => Self::Success,
            "failed" | "tampered" => Self::Failed,
            "initiated" | "pending" | "incomplete" => Self::Pending,
            "in process" => Self::Processing,
            "refunded" | "cb refunded" => Self::Refunded,
            _ => Self::Unknown,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Refunded => "refunded",
            Self::Unknown => "unknown",
        }
    }

    /// Not yet decided.
    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Processing)
    }

    /// Whether two sides say the same: pending and processing are one.
    pub(crate) fn agrees_with(self, other: Self) -> bool {
        self == other || (self.is_open() && other.is_open())
    }
}

/// A word as the filters and `PayShack`'s mapping compare it: case, blanks and underscores do not matter.
pub(crate) fn folded(word: &str) -> String {
    word.trim().replace('_', " ").to_ascii_lowercase()
}

/// Whether a word folds to the given one; asked of every record of a day, so it makes no string.
pub(crate) fn folds_to(word: &str, folded: &str) -> bool {
    let bytes = word.trim().bytes().map(|byte| if byte == b'_' { b' ' } else { byte.to_ascii_lowercase() });
    bytes.eq(folded.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_map_as_documented() {
        assert_eq!(Status::of_vima("fail"), Status::Failed);
        assert_eq!(Status::of_vima("Success"), Status::Unknown);
        assert_eq!(Status::of_payshack("CB_REFUNDED"), Status::Refunded);
        assert_eq!(Status::of_payshack("In_Process"), Status::Processing);
        assert_eq!(Status::of_payshack("On Hold"), Status::Unknown);
        assert!(folds_to("In_Process ", &folded("in process")) && !folds_to("In Process", "in proces"));
        assert!(Status::Pending.agrees_with(Status::Processing) && !Status::Success.agrees_with(Status::Refunded));
    }
}
