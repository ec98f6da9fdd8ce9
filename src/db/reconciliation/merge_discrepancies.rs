//! Brings the cases of a day up to what a run has found.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::judge::DayRun;
use crate::db::DbError;

/// What became of the cases of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MergedDiscrepancies {
    /// New ones.
    pub opened: u64,
    /// Closed ones that were found again, or changed.
    pub reopened: u64,
    /// Open ones that were no longer found.
    pub auto_resolved: u64,
}

/// Opens a case for everything that `run` found for the first time, changes those whose facts have changed, and closes
/// those of which nothing is left. Notes and people's decisions stay.
///
/// # Errors
/// [`DbError::Conflict`] where a person moved a case meanwhile: the run is to be done again. [`DbError`] where the database
/// refuses.
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
