//! The audit trail of exports: who exported how many rows, and which.
//!
//! The audit entry is written before row 1,001 is sent, so that no large export escapes the audit, whatever happens
//! later. Its row count and outcome follow when the export ends; if the process dies before, the entry has no end. An export
//! that a job writes has the entry of its order, with the same id.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::source::ExportSource;
use crate::clock::Clock;
use crate::db::DbError;
use crate::domain::access::Principal;
use crate::observability::record;
use crate::operations::audit::{AuditContext, AuditRecord};
use crate::tabular::FileOptions;

/// Files of at most this many rows are not audited, unless a job writes them.
pub(super) const UNAUDITED_ROWS: u64 = 1_000;

/// The outcome of an export that was written to its end.
pub(super) const COMPLETE: &str = "complete";

/// Who receives an export.
#[derive(Debug, Clone)]
pub struct ExportRequester {
    audit: AuditContext,
    /// The entry of the order.
    ordered: Option<Uuid>,
}

impl ExportRequester {
    /// The caller of a request that receives the file at once.
    #[must_use]
    pub fn of_request(audit: AuditContext) -> Self {
        Self { audit, ordered: None }
    }

    pub(super) fn principal(&self) -> &Principal {
        &self.audit.principal
    }

    /// Who ordered the export `id`.
    #[must_use]
    pub fn of_order(principal: Principal, id: Uuid) -> Self {
        Self { audit: AuditContext::new(principal, "orderExport"), ordered: Some(id) }
    }
}

/// The audit entry of one export.
pub(super) struct ExportAudit {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    audit: AuditContext,
    details: Value,
    /// The export and its format, for the metrics.
    file: (&'static str, &'static str),
    entry: Option<Uuid>,
}

impl ExportAudit {
    pub(super) fn new<S: ExportSource>(
        pool: &PgPool,
        clock: &Arc<dyn Clock>,
        source: &S,
        options: &FileOptions,
        requester: &ExportRequester,
    ) -> Self {
        let ExportRequester { audit, ordered } = requester.clone();
        let details = describe(source, options);
        let file = (S::NAME, options.format.as_str());
        Self { pool: pool.clone(), clock: Arc::clone(clock), audit, details, file, entry: ordered }
    }

    /// Writes the entry if `row_number` is the first row that requires one. Must be called before the row is sent.
    pub(super) async fn before_row(&mut self, row_number: u64) -> Result<(), DbError> {
        if row_number == UNAUDITED_ROWS + 1 && self.entry.is_none() {
            let record = AuditRecord { details: self.details.clone(), ..AuditRecord::default() };
            self.entry = Some(self.audit.record(&self.pool, &record, self.clock.now()).await?);
        }
        Ok(())
    }

    /// Adds the row count and the outcome (an error, or [`COMPLETE`]) to the entry. If that fails, the entry remains without an end.
    pub(super) async fn finish(&self, rows: u64, outcome: &str) {
        let (export, format) = self.file;
        record::export(export, format, rows, outcome == COMPLETE);
        let Some(entry) = self.entry else { return };
        let recorded = async {
            let mut connection = self.pool.acquire().await?;
            self.audit.append_outcome(&mut connection, entry, outcome, rows, self.clock.now()).await
        };
        if let Err(error) = recorded.await {
            tracing::error!(rows, %error, "failed to complete the audit entry of an export: {error}");
        }
    }
}

/// What is exported, for an audit entry.
pub(super) fn describe<S: ExportSource>(source: &S, options: &FileOptions) -> Value {
    let filters: Map<String, Value> =
        source.filters().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    json!({"export": S::NAME, "format": options.format, "columns": options.columns, "filters": filters})
}
