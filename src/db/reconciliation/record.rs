//! Writes the row of a reconciliation run. A completed row never changes again: reports may rely on its figures.

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use super::judge::DayRun;
use crate::db::DbError;
use crate::db::types::to_bigint;
use crate::domain::job::JobId;
use crate::domain::reconciliation::tally::{AmountsByCurrency, Tally};
use crate::domain::reconciliation::{Coverages, Parameters, RunStatus};

/// Records the start of `run`, also after an attempt that failed.
pub async fn start(
    connection: &mut PgConnection,
    run: &DayRun,
    parameters: &Parameters,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO reconciliation_runs AS runs (
               id, recon_date, status, trigger, requested_by, started_at, parameters, day_from, day_until)
           SELECT id, $2, 'running', trigger, requested_by, $3, $4, $5, $6 FROM jobs WHERE id = $1
               ON CONFLICT (id) DO UPDATE
                  SET status = 'running', started_at = excluded.started_at, finished_at = NULL, error = NULL,
                      parameters = excluded.parameters, day_from = excluded.day_from, day_until = excluded.day_until
                WHERE runs.status <> 'completed'"#,
        run.id,
        run.date,
        now,
        json!(parameters),
        run.from,
        run.until
    )
    .execute(connection)
    .await?;
    Ok(())
}

#[derive(Debug, Clone, PartialEq)]
pub struct CompletedRun<'a> {
    /// The time as of which everything was judged.
    pub as_of: DateTime<Utc>,
    pub coverages: Coverages,
    pub tally: Tally,
    pub amounts: &'a AmountsByCurrency,
}

/// Completes a run, and returns its version: 1 for the first completed run of the day.
///
/// # Errors
/// [`DbError::Conflict`] if the run is not running, for example because it is completed.
pub async fn complete(
    connection: &mut PgConnection,
    run: &DayRun,
    completed: &CompletedRun<'_>,
    now: DateTime<Utc>,
) -> Result<u32, DbError> {
    let CompletedRun { as_of, coverages, tally, amounts } = completed;
    let version = sqlx::query_scalar!(
        r#"UPDATE reconciliation_runs AS runs
              SET status = 'completed', finished_at = $2, as_of = $3,
                  version = 1 + (SELECT COALESCE(max(version), 0) FROM reconciliation_runs AS earlier
                                  WHERE earlier.recon_date = runs.recon_date),
                  vima_watermark = $4, vima_covered_from = $5, payshack_watermark = $6, payshack_covered_from = $7,
                  total_vima = $8, total_payshack = $9, matched = $10, amount_discrepancies = $11,
                  status_discrepancies = $12, missing_vima = $13, missing_payshack = $14, pending = $15,
                  pending_vima = $16, pending_payshack = $17, duplicate_vima = $18, duplicate_payshack = $19,
                  unmatchable_vima = $20, unmatchable_payshack = $21, amounts = $22
            WHERE id = $1 AND status = 'running' RETURNING version AS "version!""#,
        run.id,
        now,
        as_of,
        coverages.vima.watermark,
        coverages.vima.covered_from,
        coverages.payshack.watermark,
        coverages.payshack.covered_from,
        to_bigint(tally.total.vima),
        to_bigint(tally.total.payshack),
        to_bigint(tally.matched),
        to_bigint(tally.amount_discrepancies),
        to_bigint(tally.status_discrepancies),
        to_bigint(tally.missing_vima),
        to_bigint(tally.missing_payshack),
        to_bigint(tally.pending),
        to_bigint(tally.pending_rows.vima),
        to_bigint(tally.pending_rows.payshack),
        to_bigint(tally.duplicates.vima),
        to_bigint(tally.duplicates.payshack),
        to_bigint(tally.unmatchable.vima),
        to_bigint(tally.unmatchable.payshack),
        json!(amounts),
    )
    .fetch_optional(connection)
    .await?;
    Ok(version.ok_or(DbError::Conflict("the run of this day"))?.unsigned_abs())
}

/// Ends the unfinished run of a job whose attempt ended, if there is one, and returns its day.
pub async fn finish_abandoned(
    connection: &mut PgConnection,
    job_id: JobId,
    status: RunStatus,
    error: &str,
    now: DateTime<Utc>,
) -> Result<Option<NaiveDate>, DbError> {
    let ended = sqlx::query_scalar!(
        r#"UPDATE reconciliation_runs SET status = $2, error = $3, finished_at = $4
            WHERE id = $1 AND status = 'running' RETURNING recon_date"#,
        job_id.0,
        status.as_str(),
        error,
        now
    );
    Ok(ended.fetch_optional(connection).await?)
}

/// Deletes at most `limit` runs that started before `time` and were never completed. They have no results.
pub async fn prune_uncompleted(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM reconciliation_runs WHERE version IS NULL AND id IN (
               SELECT id FROM reconciliation_runs WHERE started_at < $1 AND version IS NULL LIMIT $2)"#,
        time,
        limit
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
