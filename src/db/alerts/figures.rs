//! The numbers that rules about the service itself are judged by.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::PgPool;

use crate::db::DbError;
use crate::db::sync::streams;
use crate::db::types::interval;
use crate::domain::transaction::Source;

/// Up to when each source has been read completely, in the order of [`Source::ALL`].
pub async fn get_as_of(pool: &PgPool) -> Result<[Option<DateTime<Utc>>; 2], DbError> {
    let mut as_of = [None; 2];
    for (as_of, source) in as_of.iter_mut().zip(Source::ALL) {
        *as_of = streams::complete_until(source, &streams::list(pool, source).await?);
    }
    Ok(as_of)
}

/// Unresolved discrepancies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unresolved {
    pub count: i64,
    pub at_risk: Decimal,
}

/// By project; with `currency`, only those in it. Payments without a project are under the empty name.
pub async fn sum_unresolved(pool: &PgPool, currency: Option<&str>) -> Result<BTreeMap<String, Unresolved>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT COALESCE(project, '') AS "project!", count(*) AS "count!",
                  COALESCE(sum(CASE WHEN types = ARRAY['amount'] AND amount_diff IS NOT NULL THEN abs(amount_diff)
                                    ELSE COALESCE(vima_amount, payshack_amount) END), 0) AS "at_risk!"
             FROM discrepancies
            WHERE state IN ('open', 'acknowledged')
              AND ($1::text IS NULL OR COALESCE(vima_currency, payshack_currency) = $1)
            GROUP BY 1"#,
        currency
    )
    .fetch_all(pool)
    .await?;
    let sums = rows.into_iter().map(|row| (row.project, Unresolved { count: row.count, at_risk: row.at_risk }));
    Ok(sums.collect())
}

/// The records in quarantine; `None` counts those of all sources.
pub async fn count_quarantined(pool: &PgPool, source: Option<Source>) -> Result<i64, DbError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM quarantine WHERE $1::text IS NULL OR source = $1"#,
        source.map(Source::as_str)
    );
    Ok(count.fetch_one(pool).await?)
}

/// The jobs that have failed for good since `since`, after which none of their kind has succeeded.
pub async fn count_failed_jobs(pool: &PgPool, kind: Option<&str>, since: DateTime<Utc>) -> Result<i64, DbError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM jobs AS failed
            WHERE state = 'failed' AND finished_at >= $2 AND ($1::text IS NULL OR kind = $1)
              AND NOT EXISTS (SELECT 1 FROM jobs AS later
                               WHERE later.kind = failed.kind AND later.state = 'succeeded'
                                 AND later.finished_at > failed.finished_at)"#,
        kind,
        since
    );
    Ok(count.fetch_one(pool).await?)
}

/// The payments whose final status was changed after `since`, more than `after` after they were created, by project.
pub async fn count_late_changes(
    pool: &PgPool,
    source: Option<Source>,
    after: Duration,
    since: DateTime<Utc>,
) -> Result<BTreeMap<String, i64>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT COALESCE(project, '') AS "project!", count(DISTINCT transactions.id) AS "count!"
             FROM transaction_changes JOIN transactions ON transactions.id = transaction_id
            WHERE old_status IN ('success', 'failed', 'refunded') AND old_status <> new_status AND recorded_at >= $3
              AND COALESCE(changed_at, recorded_at) - created_at > $2::interval
              AND ($1::text IS NULL OR source = $1)
            GROUP BY 1"#,
        source.map(Source::as_str),
        interval(after),
        since
    )
    .fetch_all(pool)
    .await?;
    Ok(rows.into_iter().map(|row| (row.project, row.count)).collect())
}
