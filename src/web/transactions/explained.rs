//! What both kinds of explanations return.

use poem_openapi::Object;
use poem_openapi::types::Example;
use uuid::Uuid;

use crate::domain::access::Principal;
use crate::domain::explanation::quarantine_cause::QuarantineCause;
use crate::domain::explanation::reason::{Reason, ReasonCode};
use crate::domain::explanation::reference::ReferenceCode;
use crate::domain::explanation::similar::KeyDifference;
use crate::domain::explanation::versions::ChangedPart;
use crate::domain::sync::Stream;
use crate::operations::explain_payment::SimilarTransaction;
use crate::web::http::openapi::EXAMPLE_ID;
use crate::web::http::schema::named_enum;
use crate::web::responses::transaction::Transaction;

/// The path of the explanation of a payment.
pub(super) fn explanation_path(id: Uuid) -> String {
    format!("/api/v1/transactions/{id}/explain")
}

/// Why a payment is counted as it is, or has no counterpart.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct ExplanationReason {
    /// The kind of the reason, for programs.
    code: ReasonCode,
    /// The reason in a sentence.
    explanation: String,
    /// What to do about it.
    action: String,
    /// The payment that the reason names: the one that is counted instead of a duplicate, or the one that is nearly the counterpart.
    transaction_id: Option<Uuid>,
    /// The record in quarantine that the reason names, see `GET /sync/quarantine`.
    quarantine_id: Option<Uuid>,
}

impl From<&Reason> for ExplanationReason {
    fn from(reason: &Reason) -> Self {
        Self {
            code: reason.code(),
            explanation: reason.sentence(),
            action: reason.action().to_owned(),
            transaction_id: reason.transaction_id(),
            quarantine_id: reason.quarantine_id(),
        }
    }
}

impl Example for ExplanationReason {
    fn example() -> Self {
        Self {
            code: ReasonCode::KeyDiffers,
            explanation: "PayShack has this amount with the key \"order-1O42\", which differs in one character."
                .to_owned(),
            action: "Compare both records; if they are one payment, resolve both discrepancies with a note.".to_owned(),
            transaction_id: Some(EXAMPLE_ID),
            quarantine_id: None,
        }
    }
}

/// A payment whose key is nearly the same.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct SimilarPayment {
    /// How its key differs.
    difference: KeyDifference,
    /// The payment.
    transaction: Transaction,
    /// Where it is explained.
    explanation_url: String,
}

impl SimilarPayment {
    pub(super) fn visible_to(principal: &Principal, similar: SimilarTransaction) -> Self {
        Self {
            difference: similar.difference,
            explanation_url: explanation_path(similar.transaction.id),
            transaction: Transaction::visible_to(principal, similar.transaction),
        }
    }
}

impl Example for SimilarPayment {
    fn example() -> Self {
        Self {
            difference: KeyDifference::Substitution,
            transaction: Transaction::example(),
            explanation_url: explanation_path(EXAMPLE_ID),
        }
    }
}

named_enum!(ReasonCode, "ReasonCode", ReasonCode::ALL, "The kind of a reason.");
named_enum!(KeyDifference, "KeyDifference", KeyDifference::ALL, "How a key differs from another one.");
named_enum!(QuarantineCause, "QuarantineCause", QuarantineCause::ALL, "Why a record could not be read.");
named_enum!(ReferenceCode, "ReferenceCode", ReferenceCode::ALL, "What became of a payment.");
named_enum!(ChangedPart, "ChangedPart", ChangedPart::ALL, "What a version of a payment changed.");
named_enum!(Stream, "Stream", Stream::ALL, "A list of a provider that is read separately.");
