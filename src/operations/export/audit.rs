//! Who took how many rows out, and which: the trail of exports.
//!
//! An export is noted before its thousand-and-first row leaves, so that nothing large leaves without a trace, whatever
//! happens then; how many rows it came to is added when it ends. One that ends with its process has no end noted.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::{ExportSource, Exports};
use crate::clock::Clock;
use crate::db::DbError;
use crate::db::access::audit;
use crate::db::access::audit::NewAuditEntry;
use crate::domain::access::Principal;
use crate::tabular::FileOptions;

/// So many rows leave without a note.
pub const UNAUDITED_ROWS: u64 = 1_000;

/// The trail of one export.
pub(super) struct ExportAudit {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    by: Principal,
    details: Value,
    entry: Option<Uuid>,
}

impl ExportAudit {
    pub(super) fn of<S: ExportSource>(exports: &Exports, subject: &S, form: &FileOptions, by: &Principal) -> Self {
        let filters: Map<String, Value> =
            subject.filters().into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let details = json!({
            "export": S::NAME, "format": form.format, "columns": form.columns, "filters": filters,
        });
        Self { pool: exports.pool.clone(), clock: Arc::clone(&exports.clock), by: by.clone(), details, entry: None }
    }

    /// Notes the export before its row of this number leaves, where it is the first that has to be noted.
    pub(super) async fn before_row(&mut self, number: u64) -> Result<(), DbError> {
        if number == UNAUDITED_ROWS + 1 {
            let entry = NewAuditEntry { by: &self.by, action: "export", details: &self.details };
            self.entry = Some(audit::insert(&self.pool, &entry, self.clock.now()).await?);
        }
        Ok(())
    }

    /// Notes how it ended. Where that fails, it is noted all the same that it began.
    pub(super) async fn end(&self, rows: u64, outcome: &str) {
        let Some(entry) = self.entry else { return };
        if let Err(error) = audit::finish(&self.pool, entry, rows, outcome, self.clock.now()).await {
            tracing::error!(rows, %error, "the trail of an export has no end: {error}");
        }
    }
}
