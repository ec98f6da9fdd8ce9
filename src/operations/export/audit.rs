//! The audit trail of exports: who exported how many rows, and which.
//!
//! The audit entry is written before row 1,001 is sent, so that no large export escapes the audit, whatever happens
//! later. Its row count and outcome are added when the export ends; if the process dies before, the entry has no end.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::source::ExportSource;
use crate::clock::Clock;
use crate::db::DbError;
use crate::db::access::audit;
use crate::db::access::audit::NewAuditEntry;
use crate::domain::access::Principal;
use crate::tabular::FileOptions;

/// Files of at most this many rows are not audited.
pub(super) const UNAUDITED_ROWS: u64 = 1_000;

/// The audit entry of one export.
pub(super) struct ExportAudit {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    requested_by: Principal,
    details: Value,
    entry: Option<Uuid>,
}

impl ExportAudit {
    pub(super) fn new<S: ExportSource>(
        pool: &PgPool,
        clock: &Arc<dyn Clock>,
        source: &S,
        options: &FileOptions,
        requested_by: &Principal,
    ) -> Self {
        let filters: Map<String, Value> =
            source.filters().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let details = json!({
            "export": S::NAME, "format": options.format, "columns": options.columns, "filters": filters,
        });
        Self { pool: pool.clone(), clock: Arc::clone(clock), requested_by: requested_by.clone(), details, entry: None }
    }

    /// Writes the entry if `row_number` is the first row that requires one. Must be called before the row is sent.
    pub(super) async fn before_row(&mut self, row_number: u64) -> Result<(), DbError> {
        if row_number == UNAUDITED_ROWS + 1 {
            let entry = NewAuditEntry { by: &self.requested_by, action: "export", details: &self.details };
            self.entry = Some(audit::insert(&self.pool, &entry, self.clock.now()).await?);
        }
        Ok(())
    }

    /// Adds the row count and the outcome to the entry. If that fails, the entry remains without an end.
    pub(super) async fn finish(&self, rows: u64, outcome: &str) {
        let Some(entry) = self.entry else { return };
        if let Err(error) = audit::finish(&self.pool, entry, rows, outcome, self.clock.now()).await {
            tracing::error!(rows, %error, "failed to complete the audit entry of an export: {error}");
        }
    }
}
