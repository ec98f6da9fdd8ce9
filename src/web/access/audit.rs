//! The audit log.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::access::audit_log::{self, AuditFilter};
use crate::db::count::Count;
use crate::web::http::fails::Fails;
use crate::web::http::fields::{Fields, request_fields};
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::query::Query;
use crate::web::http::schema::Time;
use crate::web::state::State;

request_fields! {
    /// Which entries are listed.
    struct AuditQuery {
        /// The earliest time, for example `2026-01-15T10:00:00Z`.
        from: Option<Time>,
        /// The time before which entries are listed.
        to: Option<Time>,
        /// Filter by the id of a key.
        key_id: Option<Uuid>,
        /// Filter by the name of a key.
        principal: Option<String>,
        /// Filter by operation: an `operationId` of this document, or a command such as `psp erase`.
        operation: Option<String>,
        /// Filter by outcome.
        outcome: Option<String>,
        /// Filter by the `request_id` of an entry.
        request_id: Option<Uuid>,
    }
    check: AuditQuery::check
}

impl AuditQuery {
    fn check(&self, fields: &mut Fields) {
        if let (Some(Time(from)), Some(Time(to))) = (self.from, self.to)
            && from > to
        {
            fields.error("from", "is after to: swap them");
        }
    }
}

impl From<AuditQuery> for AuditFilter {
    fn from(query: AuditQuery) -> Self {
        Self {
            from: query.from.map(|Time(time)| time),
            until: query.to.map(|Time(time)| time),
            key_id: query.key_id,
            key_name: query.principal,
            operation: query.operation,
            outcome: query.outcome,
            request_id: query.request_id,
        }
    }
}

/// An entry of the audit log.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct AuditEntry {
    /// The position in the chain of entries. The outcome of an export is an entry of its own, so numbers can be missing here.
    sequence: i64,
    /// The id of the entry.
    id: Uuid,
    /// When it began.
    began_at: Time,
    /// When it ended; null while it is running, or if its process died.
    ended_at: Option<Time>,
    /// The id of the key. Not a key: `00000000-0000-0000-0000-000000000000` is everyone (`AUTH=off`, or an entry of an earlier
    /// release), and the same with `1` at its end the command line, with `2` the system, with `3` an unknown caller.
    key_id: Uuid,
    /// The name of the key, or the user of a command.
    principal: String,
    /// The role of the key at that time; null for an unknown caller.
    role: Option<String>,
    /// The address of the client; null for commands and jobs.
    address: Option<String>,
    /// The `operationId`, or the command.
    operation: String,
    /// The id that the server gave the request; null for commands and jobs.
    request_id: Option<Uuid>,
    /// The `X-Request-Id` that the client sent.
    client_request_id: Option<String>,
    /// Details of the operation; for an export its filters, format and columns.
    details: Value,
    /// What was changed, as it was; null if nothing was, or if it is not known.
    before: Option<Value>,
    /// What was changed, as it became.
    after: Option<Value>,
    /// The number of rows of an export.
    rows: Option<i64>,
    /// The outcome: `succeeded`, `refused` (no valid key, or not enough), `rejected` (another error of the request), `failed`; of an
    /// export also `complete`, `sent`, or an error. Null while it is not known.
    outcome: Option<String>,
}

impl From<audit_log::AuditEntry> for AuditEntry {
    fn from(entry: audit_log::AuditEntry) -> Self {
        Self {
            sequence: entry.sequence,
            id: entry.id,
            began_at: Time(entry.began_at),
            ended_at: entry.ended_at.map(Time),
            key_id: entry.key_id,
            principal: entry.key_name,
            role: entry.role,
            address: entry.address,
            operation: entry.operation,
            request_id: entry.request_id,
            client_request_id: entry.client_request_id,
            details: entry.details,
            before: entry.before,
            after: entry.after,
            rows: entry.rows,
            outcome: entry.outcome,
        }
    }
}

impl Example for AuditEntry {
    fn example() -> Self {
        Self {
            sequence: 42,
            id: EXAMPLE_ID,
            began_at: Time(EXAMPLE_TIME),
            ended_at: Some(Time(EXAMPLE_TIME)),
            key_id: EXAMPLE_ID,
            principal: "ada".to_owned(),
            role: Some("admin".to_owned()),
            address: Some("192.0.2.7".to_owned()),
            operation: "pauseQueue".to_owned(),
            request_id: Some(EXAMPLE_ID),
            client_request_id: None,
            details: json!({"queue": "sync-vima"}),
            before: Some(json!({"paused": false})),
            after: Some(json!({"paused": true})),
            rows: None,
            outcome: Some("succeeded".to_owned()),
        }
    }
}

pub(in crate::web) struct AuditApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Access")]
impl AuditApi {
    /// List audit entries
    ///
    /// Newest first: every operation that changes something, with what it changed; every view of raw payloads; exports of more
    /// than 1,000 rows and their downloads; refused requests for those; and commands. Needs the role admin.
    #[oai(path = "/audit", method = "get", operation_id = "listAuditEntries")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        query: Query<AuditQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<AuditEntry>>, Fails> {
        let filter = AuditFilter::from(query.0);
        let asked: Window<i64> = state.cursors.window("audit log", &page.0)?;
        let window = asked.to_db();
        let (entries, total) =
            tokio::try_join!(audit_log::list(&state.pool, &filter, &window), audit_log::count(&state.pool, &filter))?;
        let count = Count { total, exact: true };
        let page = state.cursors.page("audit log", &asked, count, entries, |entry| entry.sequence);
        Ok(Json(page.map(AuditEntry::from)))
    }
}
