//! The reasons of explanations: a code for programs, a sentence and an action for people.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use rust_decimal::Decimal;
use uuid::Uuid;

use super::quarantine_cause::QuarantineCause;
use super::similar::KeyDifference;
use crate::domain::money::format_decimal;
use crate::domain::reconciliation::MatchStatus;
use crate::domain::status::Status;
use crate::domain::string_enum::string_enum;
use crate::domain::transaction::Source;

string_enum! {
    /// The kind of a reason.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum ReasonCode {
        Matched = "matched",
        AmountDiffers = "amount_differs",
        CurrencyDiffers = "currency_differs",
        StatusDiffers = "status_differs",
        StatusMayBeLate = "status_may_be_late",
        OtherDay = "other_day",
        Duplicate = "duplicate",
        Payout = "payout",
        ProjectNotReconciled = "project_not_reconciled",
        NoKey = "no_key",
        Quarantined = "quarantined",
        OutsideWindow = "outside_window",
        OtherProject = "other_project",
        KeyDiffers = "key_differs",
        NotSyncedThatFar = "not_synced_that_far",
        NotSyncedThatFarBack = "not_synced_that_far_back",
        MissingVima = "missing_vima",
        MissingPayshack = "missing_payshack",
    }
}

#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// Both sources agree.
    Matched,
    /// In the same currency.
    AmountDiffers {
        vima: Decimal,
        payshack: Decimal,
        currency: String,
        tolerance: Decimal,
    },
    CurrencyDiffers {
        vima: String,
        payshack: String,
    },
    StatusDiffers {
        vima: Status,
        payshack: Status,
    },
    /// The statuses differ, but the open one may still become the final one.
    StatusMayBeLate {
        vima: Status,
        payshack: Status,
        until: DateTime<Utc>,
    },
    /// The two records are on two days of the reconciliation.
    OtherDay {
        vima: NaiveDate,
        payshack: NaiveDate,
    },
    /// Another record of the same source represents the payment.
    Duplicate {
        of: Uuid,
        source: Source,
        source_id: String,
    },
    Payout,
    ProjectNotReconciled {
        project: Option<String>,
    },
    NoKey {
        source: Source,
    },
    /// A record of the other source that could not be read contains the key.
    Quarantined {
        source: Source,
        id: Uuid,
        cause: QuarantineCause,
    },
    /// The other source has the key, but so much earlier or later that it is another payment.
    OutsideWindow {
        id: Uuid,
        source: Source,
        created_at: DateTime<Utc>,
        window_hours: u32,
    },
    /// The other source has the key, in a project that is not reconciled.
    OtherProject {
        id: Uuid,
        source: Source,
        project: Option<String>,
    },
    /// The other source has the amount with nearly the same key.
    KeyDiffers {
        id: Uuid,
        source: Source,
        key: String,
        difference: KeyDifference,
    },
    /// The other source has not been read up to `needed`.
    NotSyncedThatFar {
        source: Source,
        watermark: Option<DateTime<Utc>>,
        needed: DateTime<Utc>,
    },
    /// The other source has been read only from a later time on.
    NotSyncedThatFarBack {
        source: Source,
        covered_from: Option<DateTime<Utc>>,
    },
    /// The other source has been read, and does not have it.
    Missing {
        source: Source,
        watermark: Option<DateTime<Utc>>,
        is_limited: bool,
    },
}

impl Reason {
    #[must_use]
    pub fn code(&self) -> ReasonCode {
        match self {
            Self::Matched => ReasonCode::Matched,
            Self::AmountDiffers { .. } => ReasonCode::AmountDiffers,
            Self::CurrencyDiffers { .. } => ReasonCode::CurrencyDiffers,
            Self::StatusDiffers { .. } => ReasonCode::StatusDiffers,
            Self::StatusMayBeLate { .. } => ReasonCode::StatusMayBeLate,
            Self::OtherDay { .. } => ReasonCode::OtherDay,
            Self::Duplicate { .. } => ReasonCode::Duplicate,
            Self::Payout => ReasonCode::Payout,
            Self::ProjectNotReconciled { .. } => ReasonCode::ProjectNotReconciled,
            Self::NoKey { .. } => ReasonCode::NoKey,
            Self::Quarantined { .. } => ReasonCode::Quarantined,
            Self::OutsideWindow { .. } => ReasonCode::OutsideWindow,
            Self::OtherProject { .. } => ReasonCode::OtherProject,
            Self::KeyDiffers { .. } => ReasonCode::KeyDiffers,
            Self::NotSyncedThatFar { .. } => ReasonCode::NotSyncedThatFar,
            Self::NotSyncedThatFarBack { .. } => ReasonCode::NotSyncedThatFarBack,
            Self::Missing { source: Source::Vima, .. } => ReasonCode::MissingVima,
            Self::Missing { source: Source::Payshack, .. } => ReasonCode::MissingPayshack,
        }
    }

    /// What a reconciliation now would decide for this reason; `None` if it only explains another one, or nothing is compared.
    #[must_use]
    pub fn verdict(&self) -> Option<MatchStatus> {
        match self {
            Self::Matched => Some(MatchStatus::Matched),
            Self::AmountDiffers { .. } | Self::CurrencyDiffers { .. } | Self::StatusDiffers { .. } => {
                Some(MatchStatus::Discrepancy)
            }
            Self::StatusMayBeLate { .. } | Self::NotSyncedThatFar { .. } | Self::NotSyncedThatFarBack { .. } => {
                Some(MatchStatus::Pending)
            }
            Self::Duplicate { .. } => Some(MatchStatus::Duplicate),
            Self::NoKey { .. } => Some(MatchStatus::Unmatchable),
            Self::Missing { source, .. } => Some(MatchStatus::known_only_to(source.other())),
            Self::OtherDay { .. }
            | Self::Payout
            | Self::ProjectNotReconciled { .. }
            | Self::Quarantined { .. }
            | Self::OutsideWindow { .. }
            | Self::OtherProject { .. }
            | Self::KeyDiffers { .. } => None,
        }
    }

    /// The payment that it names.
    #[must_use]
    pub fn transaction_id(&self) -> Option<Uuid> {
        match self {
            Self::Duplicate { of: id, .. }
            | Self::OutsideWindow { id, .. }
            | Self::OtherProject { id, .. }
            | Self::KeyDiffers { id, .. } => Some(*id),
            _ => None,
        }
    }

    /// The record in quarantine that it names.
    #[must_use]
    pub fn quarantine_id(&self) -> Option<Uuid> {
        match self {
            Self::Quarantined { id, .. } => Some(*id),
            _ => None,
        }
    }

    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Matched => "Both sources have the payment and agree about its amount and its status.".to_owned(),
            Self::AmountDiffers { vima, payshack, currency, tolerance } => {
                let [vima, payshack, tolerance] = [vima, payshack, tolerance].map(|amount| format_decimal(*amount));
                format!(
                    "Vima's amount is {vima} {currency}, PayShack's is {payshack} {currency}: more apart than {tolerance}."
                )
            }
            Self::CurrencyDiffers { vima, payshack } => {
                format!("Vima has the payment in {vima}, PayShack in {payshack}.")
            }
            Self::StatusDiffers { vima, payshack } => {
                format!("Vima's status is {}, PayShack's is {}.", vima.as_str(), payshack.as_str())
            }
            Self::StatusMayBeLate { vima, payshack, until } => {
                let (vima, payshack, until) = (vima.as_str(), payshack.as_str(), time(*until));
                format!(
                    "Vima's status is {vima}, PayShack's is {payshack}: the open one has until {until} to become final."
                )
            }
            Self::OtherDay { vima, payshack } => format!(
                "Vima's record is of {vima}, PayShack's of {payshack}. They are one payment, which counts on the day of Vima's record."
            ),
            Self::Duplicate { source, source_id, .. } => {
                format!(
                    "{} has the key more than once, and its record {source_id} represents the payment.",
                    source.title()
                )
            }
            Self::Payout => "It is a pay-out: only pay-ins are reconciled.".to_owned(),
            Self::ProjectNotReconciled { project: Some(project) } => {
                format!("The project {project:?} is not reconciled.")
            }
            Self::ProjectNotReconciled { project: None } => {
                "It has no project, and only payments of some projects are reconciled.".to_owned()
            }
            Self::NoKey { source } => {
                let field = key_field(*source);
                format!("{}'s record has no {field}, by which it could be compared.", source.title())
            }
            Self::Quarantined { source, .. } => {
                format!("A record of {} with this key could not be read, and is in quarantine.", source.title())
            }
            Self::OutsideWindow { source, created_at, window_hours, .. } => format!(
                "{} has the key at {}, more than {window_hours} hours apart: that is another payment.",
                source.title(),
                time(*created_at)
            ),
            Self::OtherProject { source, project: Some(project), .. } => {
                format!("{} has the key in the project {project:?}, which is not reconciled.", source.title())
            }
            Self::OtherProject { source, project: None, .. } => {
                format!("{} has the key without a project, so that it is not reconciled.", source.title())
            }
            Self::KeyDiffers { source, key, difference, .. } => {
                format!(
                    "{} has this amount with the key {key:?}, which differs {}.",
                    source.title(),
                    difference.phrase()
                )
            }
            Self::NotSyncedThatFar { source, watermark: None, .. } => {
                format!("{} has not been read completely yet.", source.title())
            }
            Self::NotSyncedThatFar { source, watermark: Some(watermark), needed } => {
                let (watermark, needed) = (time(*watermark), time(*needed));
                format!("{} has been read up to {watermark}, and must be read up to {needed}.", source.title())
            }
            Self::NotSyncedThatFarBack { source, covered_from } => match covered_from {
                Some(from) => format!("{} has been read only from {} on.", source.title(), time(*from)),
                None => format!("{}'s past has not been read yet.", source.title()),
            },
            Self::Missing { source, watermark, is_limited } => {
                let until = watermark.map(|watermark| format!(" up to {}", time(watermark))).unwrap_or_default();
                let visible = if *is_limited { " in the projects that you may see" } else { "" };
                format!("{} has been read{until}, and does not have the key{visible}.", source.title())
            }
        }
    }

    /// What a person should do.
    #[must_use]
    pub fn action(&self) -> &'static str {
        match self {
            Self::Matched | Self::OtherDay { .. } => "Nothing.",
            Self::AmountDiffers { .. } | Self::CurrencyDiffers { .. } => {
                "Ask both providers which amount was paid, and resolve the discrepancy with the answer."
            }
            Self::StatusDiffers { .. } => {
                "Ask the provider whose status is older for the current one; a sync of the day reads it again."
            }
            Self::StatusMayBeLate { .. } => "Wait: the next reconciliation of the day decides.",
            Self::Duplicate { .. } => "Check at the provider whether the payer paid twice.",
            Self::Payout => "Compare it by hand: Vima has no pay-outs.",
            Self::ProjectNotReconciled { .. } => {
                "Add the project to RECONCILED_PROJECTS if both sources have its payments."
            }
            Self::NoKey { .. } => {
                "Find the other record by amount and time, and ask the provider why the key is absent."
            }
            Self::Quarantined { cause, .. } => cause.action(),
            Self::OutsideWindow { .. } => {
                "Check whether the key was used twice; if it is one payment, raise RECON_WINDOW_HOURS or resolve the discrepancy."
            }
            Self::OtherProject { .. } => {
                "Correct the project at the provider, or in PAYSHACK_PROJECTS, and sync the day again."
            }
            Self::KeyDiffers { .. } => {
                "Compare both records; if they are one payment, resolve both discrepancies with a note."
            }
            Self::NotSyncedThatFar { .. } => "Wait for the next sync; if it fails, see the sync status.",
            Self::NotSyncedThatFarBack { .. } => "Start a sync of the day of the payment.",
            Self::Missing { source: Source::Payshack, .. } => {
                "Ask PayShack for the order; if it has it, sync the day again, otherwise ask the merchant."
            }
            Self::Missing { source: Source::Vima, .. } => {
                "Ask Vima for the operation; if it has it, sync the day again, otherwise ask the merchant."
            }
        }
    }
}

/// The field of a source that contains the key.
#[must_use]
pub fn key_field(source: Source) -> &'static str {
    match source {
        Source::Vima => "client_operation_id",
        Source::Payshack => "order_id",
    }
}

pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
