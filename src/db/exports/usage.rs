//! What exports use: jobs, storage, and the rows that each key has exported.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};

use crate::db::DbError;
use crate::db::types::to_bigint;
use crate::domain::access::KeyId;
use crate::domain::export_quota::{ExportUsage, UsedBy};

/// The usage of a key and of all keys. Orders of exports wait for each other until the end of the transaction, so that two that
/// arrive at the same time cannot both take the last place.
pub async fn lock(connection: &mut PgConnection, key_id: KeyId, now: DateTime<Utc>) -> Result<UsedBy, DbError> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('orders of exports', 0))")
        .execute(&mut *connection)
        .await?;
    let row = sqlx::query!(
        r#"SELECT count(*) FILTER (WHERE unfinished AND own) AS "own_unfinished!",
                  count(*) FILTER (WHERE unfinished) AS "unfinished!",
                  COALESCE(sum(stored) FILTER (WHERE own), 0)::bigint AS "own_bytes!",
                  COALESCE(sum(stored), 0)::bigint AS "bytes!"
             FROM (SELECT jobs.id IS NOT NULL AND jobs.finished_at IS NULL AS unfinished,
                          CASE WHEN stored_as IS NOT NULL AND expires_at > $2 THEN bytes END AS stored,
                          COALESCE(wanted -> 'by' ->> 'key_id', '00000000-0000-0000-0000-000000000000') = $1 AS own
                     FROM exports LEFT JOIN jobs ON jobs.id = exports.job_id) AS uses"#,
        key_id.to_string(),
        now
    )
    .fetch_one(connection)
    .await?;
    Ok(UsedBy {
        key: ExportUsage { unfinished: row.own_unfinished.unsigned_abs(), bytes: row.own_bytes.unsigned_abs() },
        all: ExportUsage { unfinished: row.unfinished.unsigned_abs(), bytes: row.bytes.unsigned_abs() },
    })
}

/// The rows that a key has exported on a day.
pub async fn get_rows(executor: impl PgExecutor<'_>, key_id: KeyId, day: NaiveDate) -> Result<u64, DbError> {
    let rows = sqlx::query_scalar!("SELECT rows FROM exported_rows WHERE day = $1 AND key_id = $2", day, key_id.0);
    Ok(rows.fetch_optional(executor).await?.unwrap_or_default().unsigned_abs())
}

/// Adds to the rows that a key has exported on a day, and returns the new number.
pub async fn add_rows(executor: impl PgExecutor<'_>, key_id: KeyId, day: NaiveDate, rows: u64) -> Result<u64, DbError> {
    let rows = sqlx::query_scalar!(
        r#"INSERT INTO exported_rows (key_id, day, rows) VALUES ($1, $2, $3)
           ON CONFLICT (day, key_id) DO UPDATE SET rows = exported_rows.rows + excluded.rows
           RETURNING rows"#,
        key_id.0,
        day,
        to_bigint(rows)
    );
    Ok(rows.fetch_one(executor).await?.unsigned_abs())
}

/// Deletes at most `limit` rows of days before `time`.
pub async fn prune_rows(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM exported_rows WHERE (day, key_id) IN (
               SELECT day, key_id FROM exported_rows WHERE day < $1 LIMIT $2)"#,
        time.date_naive(),
        limit
    );
    Ok(pruned.execute(pool).await?.rows_affected())
}
