//! When old payments that are still open are requested again. All of them are `PayShack`'s.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::db::types::column;
use crate::domain::recheck::{Recheck, RecheckTarget};
use crate::domain::transaction::Kind;

/// The pay-ins created in `from..until` that are due at `now`, those first that were not requested for the longest time.
pub async fn list_due_payins(
    pool: &PgPool,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<Recheck>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT source_id, coalesce(recheck.failures, 0) AS "failures!"
             FROM transactions
                  LEFT JOIN payment_rechecks AS recheck ON recheck.kind = 'payin' AND recheck.item = source_id
            WHERE source = 'payshack' AND transactions.kind = 'payin' AND status IN ('pending', 'processing')
              AND created_at >= $1 AND created_at < $2 AND coalesce(recheck.next_at <= $3, true)
            ORDER BY recheck.next_at NULLS FIRST, created_at, id
            LIMIT $4"#,
        from,
        until,
        now,
        i64::from(limit)
    )
    .fetch_all(pool)
    .await?;
    let rechecks = rows
        .into_iter()
        .map(|row| Recheck { target: RecheckTarget::Payin(row.source_id), failures: row.failures.unsigned_abs() });
    Ok(rechecks.collect())
}

/// The same for days with open pay-outs.
pub async fn list_due_payout_days(
    pool: &PgPool,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    now: DateTime<Utc>,
    limit: u32,
) -> Result<Vec<Recheck>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT open.day AS "day!", coalesce(recheck.failures, 0) AS "failures!"
             FROM (SELECT DISTINCT (created_at AT TIME ZONE 'UTC')::date AS day FROM transactions
                    WHERE source = 'payshack' AND kind = 'payout' AND status IN ('pending', 'processing')
                      AND created_at >= $1 AND created_at < $2) AS open
                  LEFT JOIN payment_rechecks AS recheck ON recheck.kind = 'payout' AND recheck.item = open.day::text
            WHERE coalesce(recheck.next_at <= $3, true)
            ORDER BY recheck.next_at NULLS FIRST, open.day
            LIMIT $4"#,
        from,
        until,
        now,
        i64::from(limit)
    )
    .fetch_all(pool)
    .await?;
    let rechecks = rows
        .into_iter()
        .map(|row| Recheck { target: RecheckTarget::PayoutsOf(row.day), failures: row.failures.unsigned_abs() });
    Ok(rechecks.collect())
}

/// Stores when these are due again.
pub async fn upsert(connection: &mut PgConnection, rechecks: &[Recheck], now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO payment_rechecks (kind, item, next_at, failures)
           SELECT * FROM UNNEST($1::text[], $2::text[], $3::timestamptz[], $4::integer[])
               ON CONFLICT (kind, item) DO UPDATE SET next_at = excluded.next_at, failures = excluded.failures"#,
        &column(rechecks, |recheck| kind(&recheck.target).as_str()) as &[&str],
        &column(rechecks, |recheck| item(&recheck.target)),
        &column(rechecks, |recheck| recheck.next_at(now)),
        &column(rechecks, |recheck| i32::try_from(recheck.failures).unwrap_or(i32::MAX)),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes the rows of payments that are no longer open, or were created before `from`.
pub async fn prune(connection: &mut PgConnection, from: DateTime<Utc>) -> Result<u64, DbError> {
    let first_day: NaiveDate = from.date_naive();
    let pruned = sqlx::query!(
        r#"DELETE FROM payment_rechecks AS recheck
            WHERE NOT CASE recheck.kind
                  WHEN 'payin' THEN EXISTS (
                      SELECT 1 FROM transactions
                       WHERE source = 'payshack' AND kind = 'payin' AND source_id = recheck.item
                         AND status IN ('pending', 'processing') AND created_at >= $1)
                  ELSE recheck.item::date >= $2 AND EXISTS (
                      SELECT 1 FROM transactions
                       WHERE source = 'payshack' AND kind = 'payout' AND status IN ('pending', 'processing')
                         AND created_at >= recheck.item::date::timestamp AT TIME ZONE 'UTC'
                         AND created_at < (recheck.item::date + 1)::timestamp AT TIME ZONE 'UTC')
                  END"#,
        from,
        first_day
    )
    .execute(connection)
    .await?;
    Ok(pruned.rows_affected())
}

fn kind(target: &RecheckTarget) -> Kind {
    match target {
        RecheckTarget::Payin(_) => Kind::Payin,
        RecheckTarget::PayoutsOf(_) => Kind::Payout,
    }
}

fn item(target: &RecheckTarget) -> String {
    match target {
        RecheckTarget::Payin(id) => id.clone(),
        RecheckTarget::PayoutsOf(day) => day.to_string(),
    }
}
