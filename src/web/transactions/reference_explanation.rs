//! The explanation of a payment of which only a reference is known.

use std::sync::Arc;

use chrono::NaiveDate;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use super::explained::{SimilarPayment, explanation_path};
use crate::db::sync::quarantine::QuarantineEntry;
use crate::db::transactions::search::FoundTransaction;
use crate::domain::access::Principal;
use crate::domain::explanation::quarantine_cause::QuarantineCause;
use crate::domain::explanation::reference::{ReferenceCode, SourceProgress};
use crate::domain::masking::PiiAccess;
use crate::domain::sync::Stream;
use crate::domain::transaction::{Kind, Source};
use crate::operations::explain_reference::{ReferenceExplanation, explain_reference};
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::fields::{Fields, request_fields};
use crate::web::http::openapi::{EXAMPLE_DAY, EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::query::Query;
use crate::web::http::schema::Time;
use crate::web::responses::transaction::Transaction;
use crate::web::state::State;

/// No stored id is longer. In bytes.
const MAX_REFERENCE: usize = 1024;

request_fields! {
    /// Which payment is explained.
    struct ReferenceQuery {
        /// The source id, reference id, client operation id, order id or UTR of the payment, in full.
        #[oai(validator(min_length = 1, max_length = 1024))]
        reference: String,
    }
    check: ReferenceQuery::check
}

impl ReferenceQuery {
    fn check(&self, fields: &mut Fields) {
        if self.reference.len() > MAX_REFERENCE {
            fields.error("reference", format!("must not be longer than {MAX_REFERENCE} bytes"));
        }
    }
}

/// A payment that has the reference.
#[derive(Debug, Clone, Object)]
struct StoredPayment {
    /// The payment.
    transaction: Transaction,
    /// Where it is explained.
    explanation_url: String,
}

/// A record in quarantine that contains the reference.
#[derive(Debug, Clone, Object)]
struct MentioningRecord {
    /// The id of the entry, see `GET /sync/quarantine`.
    id: Uuid,
    /// The provider that sent the record.
    source: Source,
    /// The provider's list that contained it.
    kind: Kind,
    /// The provider's id of the record; null if it could not be parsed either.
    source_id: Option<String>,
    /// The kind of problem.
    cause: QuarantineCause,
    /// Why the record could not be parsed.
    reason: String,
    /// What to do about it.
    action: String,
    /// The last sync run that received it.
    run_id: Uuid,
    /// When it was received for the first time.
    first_seen_at: Time,
    /// When it was received most recently.
    last_seen_at: Time,
}

impl MentioningRecord {
    fn new(entry: QuarantineEntry, pii_access: PiiAccess) -> Self {
        let cause = QuarantineCause::from_sentence(&entry.reason);
        Self {
            id: entry.id,
            source: entry.source,
            kind: entry.kind,
            source_id: entry.source_id,
            cause,
            reason: pii_access.text(entry.reason),
            action: cause.action().to_owned(),
            run_id: entry.run_id,
            first_seen_at: Time(entry.first_seen_at),
            last_seen_at: Time(entry.last_seen_at),
        }
    }
}

/// How far one list of a source has been read.
#[derive(Debug, Clone, Object)]
struct StreamProgress {
    /// The list.
    stream: Stream,
    /// Up to when it has been read completely; null before the first complete read.
    read_until: Option<Time>,
}

/// Days that are still to be read.
#[derive(Debug, Clone, Object)]
struct RemainingDays {
    /// The first day (UTC).
    from_date: NaiveDate,
    /// The last day (UTC).
    to_date: NaiveDate,
}

/// What a source has, and how far it has been read.
#[derive(Debug, Clone, Object)]
struct ExplainedSource {
    /// The source.
    source: Source,
    /// Whether it has a payment with the reference, or one with the same key as such a payment.
    has_payment: bool,
    /// Up to when all its lists have been read by the live lane of its syncs; null before the first complete read.
    read_until: Option<Time>,
    /// The same for each list.
    streams: Vec<StreamProgress>,
    /// Since when everything has been read by the days lane; null before the first run.
    covered_from: Option<Time>,
    /// The days that the days lane has still to read for the first run; null if there are none.
    remaining: Option<RemainingDays>,
}

impl ExplainedSource {
    fn new(progress: &SourceProgress, stored_by: &[Source]) -> Self {
        let stream = |(stream, read_until): &(Stream, Option<_>)| StreamProgress {
            stream: *stream,
            read_until: read_until.map(Time),
        };
        Self {
            source: progress.source,
            has_payment: stored_by.contains(&progress.source),
            read_until: progress.read_until().map(Time),
            streams: progress.streams.iter().map(stream).collect(),
            covered_from: progress.covered_from.map(Time),
            remaining: progress.remaining.map(|(from_date, to_date)| RemainingDays { from_date, to_date }),
        }
    }
}

/// What became of a payment.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct PaymentReferenceExplanation {
    /// The reference, without surrounding blanks.
    reference: String,
    /// The conclusion, for programs.
    code: ReferenceCode,
    /// The conclusion in a sentence.
    explanation: String,
    /// What to do about it.
    action: String,
    /// The stored payments that have the reference, newest first; at most 50.
    payments: Vec<StoredPayment>,
    /// Unless both sources have it: the records in quarantine that contain the reference, newest first; at most 20. Empty for keys
    /// that are limited to projects.
    quarantined: Vec<MentioningRecord>,
    /// What each source has, and how far it has been read.
    sources: Vec<ExplainedSource>,
    /// If no payment has the reference: payments whose key differs from it in case or in one character.
    similar: Vec<SimilarPayment>,
}

impl PaymentReferenceExplanation {
    fn visible_to(principal: &Principal, reference: String, found: ReferenceExplanation) -> Self {
        let pii_access = PiiAccess::for_role(principal.role);
        let payment = |found: FoundTransaction| StoredPayment {
            explanation_url: explanation_path(found.id),
            transaction: Transaction::visible_to(principal, found),
        };
        Self {
            reference,
            code: found.conclusion.code,
            explanation: found.conclusion.sentence,
            action: found.conclusion.action.to_owned(),
            payments: found.payments.into_iter().map(payment).collect(),
            quarantined: found.quarantined.into_iter().map(|it| MentioningRecord::new(it, pii_access)).collect(),
            sources: found.progress.iter().map(|it| ExplainedSource::new(it, &found.stored_by)).collect(),
            similar: found.similar.into_iter().map(|it| SimilarPayment::visible_to(principal, it)).collect(),
        }
    }
}

impl Example for PaymentReferenceExplanation {
    fn example() -> Self {
        let source = |source, has_payment| ExplainedSource {
            source,
            has_payment,
            read_until: Some(Time(EXAMPLE_TIME)),
            streams: Stream::all_of(source)
                .map(|stream| StreamProgress { stream, read_until: Some(Time(EXAMPLE_TIME)) })
                .to_vec(),
            covered_from: Some(Time(EXAMPLE_TIME)),
            remaining: Some(RemainingDays { from_date: EXAMPLE_DAY, to_date: EXAMPLE_DAY }),
        };
        Self {
            reference: "order-1042".to_owned(),
            code: ReferenceCode::OnlyVima,
            explanation: "Vima has it, and PayShack has no payment with its key.".to_owned(),
            action: "See the explanation of the payment.".to_owned(),
            payments: vec![StoredPayment {
                transaction: Transaction::example(),
                explanation_url: explanation_path(EXAMPLE_ID),
            }],
            quarantined: vec![MentioningRecord {
                id: EXAMPLE_ID,
                source: Source::Payshack,
                kind: Kind::Payin,
                source_id: Some("Y7KY0V202611591646".to_owned()),
                cause: QuarantineCause::UnreadableField,
                reason: "paidAmount should be an exact amount but is \"1,500.00\"".to_owned(),
                action: QuarantineCause::UnreadableField.action().to_owned(),
                run_id: EXAMPLE_ID,
                first_seen_at: Time(EXAMPLE_TIME),
                last_seen_at: Time(EXAMPLE_TIME),
            }],
            sources: vec![source(Source::Vima, true), source(Source::Payshack, false)],
            similar: vec![],
        }
    }
}

pub(in crate::web) struct ReferenceExplanationApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Transactions")]
impl ReferenceExplanationApi {
    /// Explain a payment by reference
    ///
    /// What became of a payment of which only a reference is known: whether it is stored, and otherwise whether a record in quarantine
    /// contains it (for viewers only by the provider's id), how far each source has been read, and which payments have nearly the same
    /// key. A key that is limited to projects
    /// gets explanations without the payments of other projects and without the quarantine.
    #[oai(path = "/explain/payment", method = "get", operation_id = "explainPayment")]
    async fn explain(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<ReferenceQuery>,
    ) -> Result<Json<PaymentReferenceExplanation>, Fails> {
        let reference = query.0.reference.trim().to_owned();
        let explained = explain_reference(&state.pool, &reference, &caller.0).await?;
        Ok(Json(PaymentReferenceExplanation::visible_to(&caller.0, reference, explained)))
    }
}
