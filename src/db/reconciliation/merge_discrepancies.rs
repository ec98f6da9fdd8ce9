//! Updates the discrepancies of a day with the results of a run.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

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

/// What [`merge_discrepancies`] returned for a run that is completed, from the changes that it recorded.
pub async fn count_merged(pool: &PgPool, run: &DayRun) -> Result<MergedDiscrepancies, DbError> {
    let merged = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE from_state IS NULL) AS "opened!",
                  count(*) FILTER (WHERE from_state <> 'open' AND to_state = 'open') AS "reopened!",
                  count(*) FILTER (WHERE from_state <> 'auto_resolved' AND to_state = 'auto_resolved') AS "auto_resolved!"
             FROM discrepancies JOIN discrepancy_changes AS changes ON changes.discrepancy_id = discrepancies.id
            WHERE recon_date = $1 AND run_id = $2"#,
        run.date,
        run.id
    );
    let merged = merged.fetch_one(pool).await?;
    Ok(MergedDiscrepancies {
        opened: merged.opened.unsigned_abs(),
        reopened: merged.reopened.unsigned_abs(),
        auto_resolved: merged.auto_resolved.unsigned_abs(),
    })
}
