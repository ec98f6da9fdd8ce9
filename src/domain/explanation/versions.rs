//! The versions of a payment that are known, and the runs that stored them.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use crate::domain::job::Trigger;
use crate::domain::status::Status;
use crate::domain::string_enum::string_enum;
use crate::domain::sync::SyncMode;

string_enum! {
    /// What a version of a payment changed.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum ChangedPart {
        /// It is the first version.
        First = "first",
        Status = "status",
        Amount = "amount",
        /// Neither the status nor the amount.
        OtherFields = "other_fields",
    }
}

/// The sync run that stored a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoringRun {
    Known {
        id: Uuid,
        mode: SyncMode,
        trigger: Trigger,
        started_at: DateTime<Utc>,
    },
    /// Its record has been deleted since.
    Deleted {
        id: Uuid,
    },
    /// An older release stored the version, or a replay of the quarantine.
    Unknown,
}

#[derive(Debug, Clone, PartialEq)]
pub enum VersionChange {
    First,
    /// Before and after.
    Recorded {
        status: (Status, Status),
        amount: (Decimal, Decimal),
    },
    Other,
}

impl VersionChange {
    #[must_use]
    pub fn parts(&self) -> Vec<ChangedPart> {
        match self {
            Self::First => vec![ChangedPart::First],
            Self::Other => vec![ChangedPart::OtherFields],
            Self::Recorded { status, amount } => {
                let status = (status.0 != status.1).then_some(ChangedPart::Status);
                status.into_iter().chain((amount.0 != amount.1).then_some(ChangedPart::Amount)).collect()
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct PaymentVersion {
    /// By our clock.
    pub stored_at: DateTime<Utc>,
    /// By the provider's clock.
    pub changed_at: Option<DateTime<Utc>>,
    pub run: StoringRun,
    pub change: VersionChange,
}
