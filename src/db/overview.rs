//! What the overview of the metrics is made of: sums over the cells of two periods that touch.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::DbError;
use crate::domain::rollup::Measures;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};

/// Which payments are counted. An empty list stands for every value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CellFilter {
    /// Who told of them.
    pub sources: Vec<Source>,
    /// Pay-ins or pay-outs.
    pub kinds: Vec<Kind>,
    /// The merchant's projects.
    pub projects: Vec<String>,
    /// Their states.
    pub statuses: Vec<Status>,
    /// Their currencies.
    pub currencies: Vec<String>,
}

/// The sums of payments that share a source, a status and a currency, in one of the two periods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// Whether they are of the period that was asked for, or of the one before.
    pub is_current: bool,
    /// Who told of them.
    pub source: Source,
    /// Their state.
    pub status: Status,
    /// Their currency.
    pub currency: String,
    /// The sums.
    pub measures: Measures,
}

/// The sums from `start` to `end`, and those from `previous_start` to `start`.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn list_sums(
    pool: &PgPool,
    filter: &CellFilter,
    previous_start: DateTime<Utc>,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
) -> Result<Vec<Sum>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT bucket >= $2 AS "is_current!", source, status, currency, sum(count)::bigint AS "count!",
                  sum(amount) AS "amount!", sum(amount_usd) AS "amount_usd!", sum(fee) AS "fee!",
                  sum(fee_usd) AS "fee_usd!", sum(usd_missing)::bigint AS "usd_missing!"
             FROM rollup_cells
            WHERE bucket >= $1 AND bucket < $3
              AND (cardinality($4::text[]) = 0 OR source = ANY($4))
              AND (cardinality($5::text[]) = 0 OR kind = ANY($5))
              AND (cardinality($6::text[]) = 0 OR project = ANY($6))
              AND (cardinality($7::text[]) = 0 OR status = ANY($7))
              AND (cardinality($8::text[]) = 0 OR currency = ANY($8))
            GROUP BY 1, 2, 3, 4
           HAVING sum(count) > 0"#,
        previous_start,
        start,
        end,
        &names(&filter.sources, Source::as_str) as &[&str],
        &names(&filter.kinds, Kind::as_str) as &[&str],
        &filter.projects,
        &names(&filter.statuses, Status::as_str) as &[&str],
        &filter.currencies,
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Sum {
                is_current: row.is_current,
                source: Source::from_name(&row.source)
                    .ok_or_else(|| DbError::impossible("rollup_cells.source", row.source))?,
                status: Status::from_name(&row.status)
                    .ok_or_else(|| DbError::impossible("rollup_cells.status", row.status))?,
                currency: row.currency,
                measures: Measures {
                    count: row.count,
                    amount: row.amount,
                    amount_usd: row.amount_usd,
                    fee: row.fee,
                    fee_usd: row.fee_usd,
                    usd_missing: row.usd_missing,
                },
            })
        })
        .collect()
}

/// How many payments are stored of `source`.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn count_of_source(pool: &PgPool, source: Source) -> Result<u64, DbError> {
    let count = sqlx::query_scalar!(
        r#"SELECT COALESCE(sum(count), 0)::bigint AS "count!" FROM rollup_cells WHERE source = $1"#,
        source.as_str()
    )
    .fetch_one(pool)
    .await?;
    Ok(count.unsigned_abs())
}

/// The names of values, as the columns hold them.
pub(super) fn names<T: Copy>(values: &[T], name: fn(T) -> &'static str) -> Vec<&'static str> {
    values.iter().map(|value| name(*value)).collect()
}
