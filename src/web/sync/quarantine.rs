//! The quarantine: records that could not be parsed.

use std::sync::Arc;

use poem::Request;
use poem::web::Data;
use poem_openapi::param::Header;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::db::count::Count;
use crate::db::page::TimeCursor;
use crate::db::sync::quarantine;
use crate::db::sync::quarantine::{QuarantineEntry, QuarantineFilter};
use crate::domain::access::Role;
use crate::domain::masking::PiiAccess;
use crate::domain::record::ReadableText;
use crate::domain::transaction::{Kind, Source};
use crate::operations::audit::{AuditContext, AuditRecord};
use crate::operations::request_replay::{ReplayError, RequestedReplay, request_replay};
use crate::web::http::accepted::Accepted;
use crate::web::http::auth::Caller;
use crate::web::http::fails::{Fails, Failure, NotFound};
use crate::web::http::fields::request_fields;
use crate::web::http::idempotency::idempotent;
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::path::Path;
use crate::web::http::problem::{Problem, ProblemCode};
use crate::web::http::query::Query;
use crate::web::http::schema::Time;
use crate::web::state::State;

request_fields! {
    /// Which records are listed.
    struct QuarantineQuery {
        /// Filter by source.
        source: Option<Source>,
        /// Filter by kind.
        kind: Option<Kind>,
    }
}

/// A record that could not be parsed.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct QuarantinedRecord {
    /// The id of the entry.
    id: Uuid,
    /// The provider that sent the record.
    source: Source,
    /// The provider's list that contained it.
    kind: Kind,
    /// The provider's id of the record; null if it could not be parsed either.
    source_id: Option<String>,
    /// Why it could not be parsed.
    reason: String,
    /// The record exactly as the provider sent it, except for `raw_replaced`. Only for admins, otherwise null.
    raw: Option<String>,
    /// Which characters of `raw` cannot be represented in JSON, and what replaces them; null if nothing was replaced.
    raw_replaced: Option<String>,
    /// The last sync run that received it.
    run_id: Uuid,
    /// When it was received for the first time.
    first_seen_at: Time,
    /// When it was received most recently.
    last_seen_at: Time,
    /// How often it was received; the same content is one entry.
    times_seen: u64,
}

impl QuarantinedRecord {
    fn new(entry: QuarantineEntry, pii_access: PiiAccess) -> Self {
        let readable = entry.raw.as_deref().map(ReadableText::new);
        let (raw, raw_replaced) = readable.map(|readable| (readable.text, readable.replaced)).unzip();
        Self {
            id: entry.id,
            source: entry.source,
            kind: entry.kind,
            source_id: entry.source_id,
            reason: pii_access.text(entry.reason),
            raw,
            raw_replaced: raw_replaced.flatten(),
            run_id: entry.run_id,
            first_seen_at: Time(entry.first_seen_at),
            last_seen_at: Time(entry.last_seen_at),
            times_seen: entry.times_seen,
        }
    }
}

impl Example for QuarantinedRecord {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            source: Source::Vima,
            kind: Kind::Payin,
            source_id: Some("1067250921664811008".to_owned()),
            reason: "complete_amount should be an exact amount but is a text of 9 characters".to_owned(),
            raw: Some(r#"{"operation_id":"1067250921664811008","complete_amount":"a hundred"}"#.to_owned()),
            raw_replaced: None,
            run_id: EXAMPLE_ID,
            first_seen_at: Time(EXAMPLE_TIME),
            last_seen_at: Time(EXAMPLE_TIME),
            times_seen: 3,
        }
    }
}

/// The queued or joined replay.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct ReplayStarted {
    /// The id of the job, see `GET /jobs/{id}`; its result says whether the record could be parsed.
    job_id: Uuid,
    /// A summary for people.
    message: String,
}

impl From<RequestedReplay> for ReplayStarted {
    fn from(requested: RequestedReplay) -> Self {
        let message = if requested.joined { "joined a replay that was queued or running" } else { "queued" };
        Self { job_id: requested.job_id.0, message: message.to_owned() }
    }
}

impl Example for ReplayStarted {
    fn example() -> Self {
        Self { job_id: EXAMPLE_ID, message: "queued".to_owned() }
    }
}

/// The endpoints.
pub(in crate::web) struct QuarantineApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Sync")]
impl QuarantineApi {
    /// List quarantined records
    ///
    /// Records that could not be parsed, ordered by `first_seen_at`, newest first. A record leaves the quarantine when
    /// a sync receives it repaired; a record without a readable id leaves it by a replay. Records that were not
    /// received for 90 days are deleted. The raw text contains personal data and is shown only to admins.
    #[oai(path = "/sync/quarantine", method = "get", operation_id = "listQuarantine")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        caller: Caller,
        query: Query<QuarantineQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<QuarantinedRecord>>, Fails> {
        let filter = QuarantineFilter { source: query.0.source, kind: query.0.kind };
        let with_raw = audit.principal.role == Role::Admin;
        let window: Window<TimeCursor> = state.cursors.window("quarantine", &page.0)?;
        let db_window = window.to_db();
        let (entries, total) = tokio::try_join!(
            quarantine::list(&state.pool, &filter, with_raw, &db_window),
            quarantine::count(&state.pool, &filter)
        )?;
        if with_raw && !entries.is_empty() {
            let ids: Vec<Uuid> = entries.iter().map(|entry| entry.id).collect();
            let record = AuditRecord::succeeded(json!({"record_ids": ids}));
            audit.record(&state.pool, &record, state.clock.now()).await?;
        }
        let count = Count { total, exact: true };
        let page = state.cursors.page("quarantine", &window, count, entries, |entry| (entry.first_seen_at, entry.id));
        let pii_access = caller.pii_access();
        Ok(Json(page.map(|entry| QuarantinedRecord::new(entry, pii_access))))
    }

    /// Replay a quarantined record
    ///
    /// Starts a job that parses the raw text again, with the current release and settings. If that succeeds, the record
    /// is stored and leaves the quarantine; otherwise it stays, with the new reason.
    #[oai(path = "/sync/quarantine/:id/replay", method = "post", operation_id = "replayQuarantinedRecord")]
    async fn replay(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
        audit: AuditContext,
        /// The id of the entry.
        id: Path<Uuid>,
        /// The same key within 24 hours returns the same response.
        #[oai(name = "Idempotency-Key")]
        idempotency_key: Header<Option<String>>,
    ) -> Result<Accepted<ReplayStarted>, Fails<ReplayError>> {
        let State { pool, redis, clock, .. } = &***state;
        let idempotent = idempotent(&audit.principal, request, idempotency_key.0, Sha256::digest([]).into())?;
        let requested = request_replay(pool, redis, id.0, &audit, idempotent.as_ref(), clock.now()).await?;
        Ok(Accepted::job(Some(requested.job_id.0), requested.into()))
    }
}

impl Failure for ReplayError {
    const CODES: &'static [ProblemCode] = &[ProblemCode::NotFound, ProblemCode::Conflict];

    fn into_problem(self) -> Problem {
        match self {
            Self::NotFound => NotFound("record in quarantine").into(),
            Self::Idempotency(error) => error.into(),
        }
    }
}
