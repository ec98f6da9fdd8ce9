//! The states of a payment, and each provider's words for them.
//!
//! A word that is not in a table is `unknown`: kept, counted and visible, never guessed.

use super::string_enum::string_enum;

string_enum! {
    /// The state of a payment, the same for every provider.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Status {
        /// The money has moved.
        Success = "success",
        /// It has not, and will not.
        Failed = "failed",
        /// Nothing is decided: the payer or the bank has still to act.
        Pending = "pending",
        /// The processor is at work on it.
        Processing = "processing",
        /// It moved, and was given back.
        Refunded = "refunded",
        /// The provider used a word that is not known here.
        Unknown = "unknown",
    }
}

impl Status {
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
