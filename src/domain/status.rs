//! The statuses of a payment, and how each provider's statuses map to them.
//!
//! A provider status that is not mapped becomes `unknown`: stored, counted and visible, never guessed.

use super::string_enum::string_enum;

string_enum! {
    /// The status of a payment, the same for every provider.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum Status {
        /// The money has moved.
        Success = "success",
        /// The money will not move.
        Failed = "failed",
        /// Undecided: the payer or the bank has yet to act.
        Pending = "pending",
        /// The processor is working on it.
        Processing = "processing",
        /// The money moved and was returned.
        Refunded = "refunded",
        /// The provider's status is not mapped.
        Unknown = "unknown",
    }
}

impl Status {
    /// Those that only a newer version may change.
    pub const FINAL: [Self; 3] = [Self::Success, Self::Failed, Self::Refunded];

    /// Whether only a newer version may change it.
    #[must_use]
    pub fn is_final(self) -> bool {
        Self::FINAL.contains(&self)
    }

    /// Maps Vima's `payment_status` or `current_status`.
    #[must_use]
    pub fn from_vima(status: &str) -> Self {
        match normalize(status).as_str() {
            "success" => Self::Success,
            "fail" | "failed" => Self::Failed,
            "in process" | "user input required" | "pending" => Self::Pending,
            _ => Self::Unknown,
        }
    }

    /// Maps `PayShack`'s `txnStatus`, or `status` of pay-outs.
    #[must_use]
    pub fn from_payshack(status: &str) -> Self {
        match normalize(status).as_str() {
            "success" => Self::Success,
            "failed" | "tampered" => Self::Failed,
            "initiated" | "pending" | "incomplete" => Self::Pending,
            "in process" => Self::Processing,
            "refunded" | "cb refunded" => Self::Refunded,
            _ => Self::Unknown,
        }
    }
}

/// Ignores case, and treats runs of whitespace and underscores as one space.
fn normalize(status: &str) -> String {
    status
        .to_lowercase()
        .split(|c: char| c == '_' || c.is_whitespace())
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vima_statuses_are_mapped() {
        for (status, expected) in [
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
            assert_eq!(Status::from_vima(status), expected, "{status}");
        }
    }

    #[test]
    fn payshack_statuses_are_mapped() {
        for (status, expected) in [
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
            assert_eq!(Status::from_payshack(status), expected, "{status}");
        }
    }

    #[test]
    fn names_round_trip() {
        for status in Status::ALL {
            assert_eq!(Status::from_name(status.as_str()), Some(status));
        }
        assert_eq!(Status::from_name("Success"), None);
    }
}
