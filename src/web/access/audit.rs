//! The audit log: exports of more than a thousand rows, and their downloads.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::access::audit;
use crate::db::count::Count;
use crate::db::page::TimeCursor;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::query::Query;
use crate::web::http::schema::Time;
use crate::web::state::State;

/// An entry of the audit log.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct AuditEntry {
    /// The id of the entry.
    id: Uuid,
    /// When it began.
    began_at: Time,
    /// When it ended; null while it is running, or if its process died.
    ended_at: Option<Time>,
    /// The name of the key.
    principal: String,
    /// The role of the key at that time.
    role: String,
    /// The action: `export` or `download`.
    action: String,
    /// Details of the action; for an export its filters, format and columns.
    details: Value,
    /// The number of rows.
    rows: Option<i64>,
    /// The outcome: `complete`, `sent`, or an error.
    outcome: Option<String>,
}

impl From<audit::AuditEntry> for AuditEntry {
    fn from(entry: audit::AuditEntry) -> Self {
        Self {
            id: entry.id,
            began_at: Time(entry.began_at),
            ended_at: entry.ended_at.map(Time),
            principal: entry.principal,
            role: entry.role,
            action: entry.action,
            details: entry.details,
            rows: entry.rows,
            outcome: entry.outcome,
        }
    }
}

impl Example for AuditEntry {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            began_at: Time(EXAMPLE_TIME),
            ended_at: Some(Time(EXAMPLE_TIME)),
            principal: "finance".to_owned(),
            role: "operator".to_owned(),
            action: "export".to_owned(),
            details: json!({"export": "transactions", "format": "csv", "columns": [], "filters": {"source": "payshack"}}),
            rows: Some(120_000),
            outcome: Some("complete".to_owned()),
        }
    }
}

pub(in crate::web) struct AuditApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Access")]
impl AuditApi {
    /// List audit entries
    ///
    /// Exports of more than 1,000 rows and their downloads, newest first: who, which filters, how many rows, the outcome. Needs
    /// the role admin.
    #[oai(path = "/audit", method = "get", operation_id = "listAuditEntries")]
    async fn list(&self, state: Data<&Arc<State>>, page: Query<PageQuery>) -> Result<Json<Page<AuditEntry>>, Fails> {
        let asked: Window<TimeCursor> = state.cursors.window("audit", &page.0)?;
        let window = asked.to_db();
        let (entries, total) = tokio::try_join!(audit::list(&state.pool, &window), audit::count(&state.pool))?;
        let count = Count { total, exact: true };
        let page = state.cursors.page("audit", &asked, count, entries, |entry| (entry.began_at, entry.id));
        Ok(Json(page.map(AuditEntry::from)))
    }
}
