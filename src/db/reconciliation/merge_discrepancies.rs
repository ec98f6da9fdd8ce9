//! Updates the discrepancies of a day with the results of a run.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::judge::DayRun;
use crate::db::DbError;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MergedDiscrepancies {
    pub opened: u64,
    /// Resolved ones that were found again, or changed.
    pub reopened: u64,
    /// Unresolved ones that were not found any more.
    pub auto_resolved: u64,
}

/// Opens a discrepancy for each new result of `run`, updates those whose facts have changed, and resolves those that were not
/// found. Keeps notes and people's decisions.
///
/// # Errors
/// [`DbError::Conflict`] if a person updated a discrepancy at the same time: repeat the run.
pub async fn merge_discrepancies(
    connection: &mut PgConnection,
    run: &DayRun,
    as_of: DateTime<Utc>,
) -> Result<MergedDiscrepancies, DbError> {
    let merged = sqlx::query_file!("src/db/reconciliation/merge_discrepancies.sql", run.id, run.date, as_of);
    let merged = merged.fetch_one(connection).await?;
    Ok(MergedDiscrepancies {
        opened: merged.opened.unsigned_abs(),
        reopened: merged.reopened.unsigned_abs(),
        auto_resolved: merged.auto_resolved.unsigned_abs(),
    })
}
