//! The states of a payment, and each provider's words for them.
//!
//! A word that is not in a table is `unknown`: kept, counted and visible, never guessed.

use serde::{Deserialize, Serialize};

/// The state of a payment, the same for every provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The money has moved.
    Success,
    /// It has not, and will not.
    Failed,
    /// Nothing is decided: the payer or the bank has still to act.
    Pending,
    /// The processor is at work on it.
    Processing,
    /// It moved, and was given back.
    Refunded,
    /// The provider used a word that is not known here.
    Unknown,
}

impl Status {
    /// Every status, in the order of the contract.
    pub const ALL: [Self; 6] =
        [Self::Success, Self::Failed, Self::Pending, Self::Processing, Self::Refunded, Self::Unknown];

    /// The name in the contract and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failed => "failed",
            Self::Pending => "pending",
            Self::Processing => "processing",
            Self::Refunded => "refunded",
            Self::Unknown => "unknown",
        }
    }

    /// The status of this name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether the payment has come to an end, so that only a newer version may change it.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Success | Self::Failed | Self::Refunded)
    }

    /// Vima's words (`payment_status`, else `current_status`).
    #[must_use]
    pub fn from_vima(word: &str) -> Self {
        match folded(word).as_str() {
            "success" => Self::Success,
            "fail" | "failed" => Self::Failed,
            "in process" | "user input required" | "pending" => Self::Pending,
            _ => Self::Unknown,
        }
    }

    /// `PayShack`'s words (`txnStatus`; pay-outs also `status`).
    #[must_use]
    pub fn from_payshack(word: &str) -> Self {
        match folded(word).as_str() {
            "success" => Self::Success,
            "failed" | "tampered" => Self::Failed,
            "initiated" | "pending" | "incomplete" => Self::Pending,
            "in process" => Self::Processing,
            "refunded" | "cb refunded" => Self::Refunded,
            _ => Self::Unknown,
        }
    }
}

/// Case, blanks and underscores do not tell two words apart.
fn folded(word: &str) -> String {
    word.to_lowercase()
        .split(|c: char| c == '_' || c.is_whitespace())
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vimas_words() {
        for (word, expected) in [
            ("success", Status::Success),
            ("fail", Status::Failed),
            ("failed", Status::Failed),
            ("in_process", Status::Pending),
            ("in process", Status::Pending),
            ("user_input_required", Status::Pending),
            ("pending", Status::Pending),
            ("refunded", Status::Unknown),
            ("", Status::Unknown),
            ("successful", Status::Unknown),
        ] {
            assert_eq!(Status::from_vima(word), expected, "{word}");
        }
    }

    #[test]
    fn payshacks_words() {
        for (word, expected) in [
            ("Success", Status::Success),
            ("SUCCESS", Status::Success),
            ("Failed", Status::Failed),
            ("Tampered", Status::Failed),
            ("Initiated", Status::Pending),
            ("pending", Status::Pending),
            ("Incomplete", Status::Pending),
            ("In Process", Status::Processing),
            ("in_process", Status::Processing),
            ("Refunded", Status::Refunded),
            ("CB_REFUNDED", Status::Refunded),
            ("cb refunded", Status::Refunded),
            ("Chargeback", Status::Unknown),
        ] {
            assert_eq!(Status::from_payshack(word), expected, "{word}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for status in Status::ALL {
            assert_eq!(Status::from_name(status.as_str()), Some(status));
        }
        assert_eq!(Status::from_name("Success"), None);
    }
}
