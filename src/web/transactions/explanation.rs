//! The explanation of a stored payment.

use std::sync::Arc;

use chrono::NaiveDate;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use super::explained::{ExplanationReason, SimilarPayment};
use super::reconciliation::TransactionReconciliation;
use crate::domain::access::Principal;
use crate::domain::explanation::ExplanationRules;
use crate::domain::explanation::reason::Reason;
use crate::domain::explanation::versions::{ChangedPart, PaymentVersion, StoringRun, VersionChange};
use crate::domain::job::Trigger;
use crate::domain::reconciliation::MatchStatus;
use crate::domain::status::Status;
use crate::domain::sync::SyncMode;
use crate::domain::transaction::Source;
use crate::operations::explain_payment::{PaymentExplanation, explain_payment};
use crate::web::http::auth::Caller;
use crate::web::http::fails::{Fails, NotFound};
use crate::web::http::openapi::{EXAMPLE_DAY, EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::path::Path;
use crate::web::http::schema::{Money, Time};
use crate::web::responses::transaction::Transaction;
use crate::web::state::State;

/// The sync run that stored a version.
#[derive(Debug, Clone, Object)]
struct TransactionVersionRun {
    /// The id of the run.
    id: Uuid,
    /// What the run reads; null if its record has been deleted since.
    mode: Option<SyncMode>,
    /// What created its job; null if its record has been deleted since.
    trigger: Option<Trigger>,
    /// When the run started; null if its record has been deleted since.
    started_at: Option<Time>,
}

/// A version of a payment.
#[derive(Debug, Clone, Object)]
struct TransactionVersion {
    /// What the version changed. Of several versions in a row that changed other fields only, the last one is known.
    changed: Vec<ChangedPart>,
    /// When it was stored in this system.
    stored_at: Time,
    /// When the payment was created, or changed, at the provider.
    changed_at: Option<Time>,
    /// The sync run that stored it; null if it is unknown: an older release stored the version, or a replay of the quarantine.
    run: Option<TransactionVersionRun>,
    /// The status before; null if neither the status nor the amount changed.
    old_status: Option<Status>,
    /// The status after.
    new_status: Option<Status>,
    /// The amount before, in the payment's currency.
    old_amount: Option<Money>,
    /// The amount after.
    new_amount: Option<Money>,
}

impl From<PaymentVersion> for TransactionVersion {
    fn from(version: PaymentVersion) -> Self {
        let (status, amount) = match &version.change {
            VersionChange::Recorded { status, amount } => (Some(*status), Some(*amount)),
            VersionChange::First | VersionChange::Other => (None, None),
        };
        let ((old_status, new_status), (old_amount, new_amount)) = (status.unzip(), amount.unzip());
        Self {
            changed: version.change.parts(),
            stored_at: Time(version.stored_at),
            changed_at: version.changed_at.map(Time),
            run: match version.run {
                StoringRun::Known { id, mode, trigger, started_at } => Some(TransactionVersionRun {
                    id,
                    mode: Some(mode),
                    trigger: Some(trigger),
                    started_at: Some(Time(started_at)),
                }),
                StoringRun::Deleted { id } => {
                    Some(TransactionVersionRun { id, mode: None, trigger: None, started_at: None })
                }
                StoringRun::Unknown => None,
            },
            old_status,
            new_status,
            old_amount: old_amount.map(Money),
            new_amount: new_amount.map(Money),
        }
    }
}

/// Where a payment counts.
#[derive(Debug, Clone, Object)]
struct TransactionCounting {
    /// The project of its metrics; null if it has none.
    project: Option<String>,
    /// The currency of its amounts.
    currency: String,
    /// The day of its metrics, unless a request names another time zone.
    report_day: NaiveDate,
    /// `REPORT_TIMEZONE`, the zone of that day.
    report_timezone: String,
    /// The day of its reconciliation: for a pair, that of the Vima transaction. Null if it is not reconciled.
    reconciliation_day: Option<NaiveDate>,
    /// `RECONCILIATION_TIMEZONE`, the zone of that day.
    reconciliation_timezone: String,
    /// Whether the two days differ.
    days_differ: bool,
}

/// Why a payment is counted as it is.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct TransactionExplanation {
    /// The id of the payment in this API.
    id: Uuid,
    /// The provider that reports it.
    source: Source,
    /// The id that both sources share; null if it has none.
    key: Option<String>,
    /// Where it counts.
    counting: TransactionCounting,
    /// What a reconciliation would find now; null if the payment is not reconciled.
    verdict: Option<MatchStatus>,
    /// Why, or why there is no counterpart; the most important reason first. Never empty.
    reasons: Vec<ExplanationReason>,
    /// The other source's record of the same payment, by the current rules; null if there is none.
    counterpart: Option<Transaction>,
    /// If there is none, payments of the other source that have no counterpart either, whose key differs in case or in one
    /// character, and that were created within `RECON_WINDOW_HOURS`; the most probable first.
    similar: Vec<SimilarPayment>,
    /// The result of the last reconciliation; null before the first. It may differ from `verdict` if something has changed since.
    reconciliation: Option<TransactionReconciliation>,
    /// The versions that are known, oldest first.
    versions: Vec<TransactionVersion>,
}

impl TransactionExplanation {
    fn visible_to(principal: &Principal, found: PaymentExplanation, state: &State) -> Self {
        let PaymentExplanation { transaction, versions, report_day, reconciliation_day, counterpart, reasons, .. } =
            found;
        Self {
            id: transaction.id,
            source: transaction.source,
            key: transaction.key().map(str::to_owned),
            counting: TransactionCounting {
                report_day,
                report_timezone: state.report_timezone.name().to_owned(),
                reconciliation_day,
                reconciliation_timezone: state.reconciliation.zone.name().to_owned(),
                days_differ: reconciliation_day.is_some_and(|day| day != report_day),
                project: transaction.project,
                currency: transaction.currency,
            },
            verdict: reasons.iter().find_map(Reason::verdict),
            reasons: reasons.iter().map(ExplanationReason::from).collect(),
            counterpart: counterpart.map(|found| Transaction::visible_to(principal, found)),
            similar: found.similar.into_iter().map(|it| SimilarPayment::visible_to(principal, it)).collect(),
            reconciliation: found.last_finding.map(|last| TransactionReconciliation::new(transaction.id, last)),
            versions: versions.into_iter().map(TransactionVersion::from).collect(),
        }
    }
}

impl Example for TransactionExplanation {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            source: Source::Vima,
            key: Some("order-1042".to_owned()),
            counting: TransactionCounting {
                project: Some("91game".to_owned()),
                currency: "INR".to_owned(),
                report_day: EXAMPLE_DAY,
                report_timezone: "Asia/Kolkata".to_owned(),
                reconciliation_day: Some(EXAMPLE_DAY),
                reconciliation_timezone: "UTC".to_owned(),
                days_differ: false,
            },
            verdict: Some(MatchStatus::MissingPayshack),
            reasons: vec![ExplanationReason::example()],
            counterpart: None,
            similar: vec![SimilarPayment::example()],
            reconciliation: None,
            versions: vec![TransactionVersion {
                changed: vec![ChangedPart::Status],
                stored_at: Time(EXAMPLE_TIME),
                changed_at: Some(Time(EXAMPLE_TIME)),
                run: Some(TransactionVersionRun {
                    id: EXAMPLE_ID,
                    mode: Some(SyncMode::Incremental),
                    trigger: Some(Trigger::Schedule),
                    started_at: Some(Time(EXAMPLE_TIME)),
                }),
                old_status: Some(Status::Pending),
                new_status: Some(Status::Success),
                old_amount: Some(Money(154_250.into())),
                new_amount: Some(Money(154_250.into())),
            }],
        }
    }
}

pub(in crate::web) struct ExplanationApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Transactions")]
impl ExplanationApi {
    /// Explain a transaction
    ///
    /// Why a payment is counted as it is: its versions with the sync runs that stored them, the day, project and currency that it
    /// counts in, and its counterpart or every reason why there is none, each with what to do about it. The reasons follow from the
    /// payments and the rules as they are now. A key that is limited to projects gets explanations without the payments of other
    /// projects and without the quarantine.
    #[oai(path = "/transactions/:id/explain", method = "get", operation_id = "explainTransaction")]
    async fn explain(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        /// The transaction's id in this API.
        id: Path<Uuid>,
    ) -> Result<Json<TransactionExplanation>, Fails<NotFound>> {
        let (parameters, zone) = (&state.reconciliation.parameters, state.reconciliation.zone);
        let rules = ExplanationRules { parameters, zone, now: state.clock.now() };
        let explained = explain_payment(&state.pool, id.0, &caller.0.scope, &rules, state.report_timezone).await?;
        let explained = explained.ok_or(NotFound("transaction"))?;
        Ok(Json(TransactionExplanation::visible_to(&caller.0, explained, &state)))
    }
}
