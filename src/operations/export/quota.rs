//! Counts the rows that each key exports on a day, and warns of unusually many.
//!
//! Rows are counted when an export ends, also one that was aborted: its receiver has the rows that were sent. Counting must not
//! fail an export whose rows are sent already, so an error is logged.

use std::sync::Arc;

use sqlx::PgPool;

use crate::clock::Clock;
use crate::db::DbError;
use crate::db::exports::usage;
use crate::domain::access::Principal;
use crate::domain::export_quota::ExportQuota;

/// The rows of one export.
pub(super) struct ExportedRows {
    pool: PgPool,
    clock: Arc<dyn Clock>,
    quota: ExportQuota,
    by: Principal,
}

impl ExportedRows {
    pub(super) fn new(pool: &PgPool, clock: &Arc<dyn Clock>, quota: ExportQuota, by: &Principal) -> Self {
        Self { pool: pool.clone(), clock: Arc::clone(clock), quota, by: by.clone() }
    }

    /// How many rows the key has exported today.
    pub(super) async fn today(&self) -> Result<u64, DbError> {
        usage::get_rows(&self.pool, self.by.key_id, self.clock.now().date_naive()).await
    }

    pub(super) async fn count(&self, rows: u64) {
        let (key_id, name, today) = (self.by.key_id, &self.by.name, self.clock.now().date_naive());
        match usage::add_rows(&self.pool, key_id, today, rows).await {
            Ok(total) if self.quota.reaches_alert(rows, total) => {
                let limit = self.quota.rows_alert;
                tracing::warn!(%key_id, name, rows = total, limit, "key {name} has exported {total} rows today");
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%key_id, rows, %error, "failed to count the rows of an export: {error}"),
        }
    }
}
