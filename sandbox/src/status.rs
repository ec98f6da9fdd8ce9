//! Mapping of the providers' statuses to normalized statuses, for the ground truth.
//!
//! It is written from the providers' documents instead of shared with the dashboard, because tests could not find a
//! mistake in shared code.

use std::borrow::Cow;

use strum::IntoStaticStr;

/// A provider's own status text, nearly always a constant.
pub(crate) type OriginalStatus = Cow<'static, str>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "lowercase", const_into_str)]
pub(crate) enum Status {
    Success,
    Failed,
    Pending,
    Processing,
    Refunded,
    Unknown,
}

impl Status {
    pub(crate) fn from_vima(original_status: &str) -> Self {
        match original_status {
            "success" => Self::Success,
            "fail" | "failed" => Self::Failed,
            "in_process" | "in process" | "user_input_required" | "pending" => Self::Pending,
            _ => Self::Unknown,
        }
    }

    pub(crate) fn from_payshack(original_status: &str) -> Self {
        match normalize(original_status).as_str() {
            "success" => Self::Success,
            "failed" | "tampered" => Self::Failed,
            "initiated" | "pending" | "incomplete" => Self::Pending,
            "in process" => Self::Processing,
            "refunded" | "cb refunded" => Self::Refunded,
            _ => Self::Unknown,
        }
    }

    pub(crate) fn is_open(self) -> bool {
        matches!(self, Self::Pending | Self::Processing)
    }

    /// Pending and processing count as equal.
    pub(crate) fn agrees_with(self, other: Self) -> bool {
        self == other || (self.is_open() && other.is_open())
    }
}

/// The form in which filters and PayShack's mapping compare statuses: ignores case, treats underscores as spaces.
pub(crate) fn normalize(original_status: &str) -> String {
    original_status.trim().replace('_', " ").to_ascii_lowercase()
}

/// Same as `normalize(original_status) == normalized`, without an allocation: it is called for every record of a day.
pub(crate) fn normalizes_to(original_status: &str, normalized: &str) -> bool {
    let bytes = original_status.trim().bytes().map(|byte| if byte == b'_' { b' ' } else { byte.to_ascii_lowercase() });
    bytes.eq(normalized.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_map_as_documented() {
        assert_eq!(Status::from_vima("fail"), Status::Failed);
        assert_eq!(Status::from_vima("Success"), Status::Unknown);
        assert_eq!(Status::from_payshack("CB_REFUNDED"), Status::Refunded);
        assert_eq!(Status::from_payshack("In_Process"), Status::Processing);
        assert_eq!(Status::from_payshack("On Hold"), Status::Unknown);
        assert!(normalizes_to("In_Process ", &normalize("in process")) && !normalizes_to("In Process", "in proces"));
        assert!(Status::Pending.agrees_with(Status::Processing) && !Status::Success.agrees_with(Status::Refunded));
    }
}
