//! The first and last transaction of merchants in a period.
//!
//! Rollup cells are too coarse for this, so it reads transactions, with three index lookups for each merchant of a page. For all
//! merchants that would be too slow, which is why merchants cannot be sorted by these times.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};

use crate::db::DbError;
use crate::db::transactions::filter::{push_exclusion, push_kinds, push_list};
use crate::domain::metrics::query::MetricFilter;
use crate::domain::time_range::TimeRange;

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct MerchantTimes {
    /// Empty for transactions without a merchant.
    pub merchant_id: String,
    /// The creation of the first transaction.
    pub first_at: DateTime<Utc>,
    /// The creation of the last transaction.
    pub last_at: DateTime<Utc>,
    /// The project of the last transaction.
    pub last_project: Option<String>,
}

/// Lists the times of `merchants` in `period`, without those that have no transaction matching `filter`.
pub async fn list_times(
    pool: &PgPool,
    merchants: &[String],
    filter: &MetricFilter,
    period: TimeRange,
) -> Result<Vec<MerchantTimes>, DbError> {
    let mut query = QueryBuilder::new(
        "SELECT merchant_id, first_at, last_at, last_project FROM (SELECT merchant_id, times.* FROM UNNEST(",
    );
    query.push_bind(merchants.to_vec()).push("::text[]) AS merchant (merchant_id) CROSS JOIN LATERAL (");
    push_times(&mut query, "transactions.merchant_id = merchant.merchant_id", filter, period);
    query.push(") AS times");
    if merchants.iter().any(String::is_empty) {
        query.push(" UNION ALL SELECT '', times.* FROM (");
        push_times(&mut query, "merchant_id IS NULL", filter, period);
        query.push(") AS times");
    }
    query.push(") AS found WHERE first_at IS NOT NULL");
    Ok(query.build_query_as().fetch_all(pool).await?)
}

fn push_times(query: &mut QueryBuilder<Postgres>, condition: &str, filter: &MetricFilter, period: TimeRange) {
    query.push("SELECT min(created_at) AS first_at, max(created_at) AS last_at, (SELECT project");
    push_payments(query, condition, filter, period);
    query.push(" ORDER BY created_at DESC, id DESC LIMIT 1) AS last_project");
    push_payments(query, condition, filter, period);
}

fn push_payments(query: &mut QueryBuilder<Postgres>, condition: &str, filter: &MetricFilter, period: TimeRange) {
    query.push(format!(" FROM transactions WHERE {condition} AND created_at >= "));
    query.push_bind(period.from).push(" AND created_at < ").push_bind(period.until);
    push_kinds(query, filter);
    push_exclusion(query, filter);
    push_list(query, "project", &filter.projects);
}
