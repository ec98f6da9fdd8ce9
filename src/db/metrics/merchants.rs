//! When merchants had their first and their last payment of a period.
//!
//! The cells know the hour at best, so the payments are asked, through their index of merchants: two look-ups for each merchant
//! of a page. All merchants at once would be most payments, which is why nothing can be sorted by these times.

use chrono::{DateTime, Utc};
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};

use crate::db::DbError;
use crate::db::transactions::filter::{push_kinds, push_list};
use crate::domain::metrics::query::MetricFilter;
use crate::domain::time_range::TimeRange;

/// When a merchant had its first and its last payment.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct MerchantTimes {
    /// The merchant; empty for the payments that do not say theirs.
    pub merchant_id: String,
    /// When the first payment was created.
    pub first_at: DateTime<Utc>,
    /// When the last one was.
    pub last_at: DateTime<Utc>,
}

/// The times of `merchants`, of those payments that `filter` finds in `period`; of a merchant without one there are none.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn list_times(
    pool: &PgPool,
    merchants: &[String],
    filter: &MetricFilter,
    period: TimeRange,
) -> Result<Vec<MerchantTimes>, DbError> {
    let mut query =
        QueryBuilder::new("SELECT merchant_id, first_at, last_at FROM (SELECT merchant_id, times.* FROM UNNEST(");
    query.push_bind(merchants.to_vec()).push("::text[]) AS asked (merchant_id) CROSS JOIN LATERAL (");
    push_times(&mut query, "merchant_id = asked.merchant_id", filter, period);
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
    query.push(format!(
        "SELECT min(created_at) AS first_at, max(created_at) AS last_at FROM transactions WHERE {condition} AND created_at >= "
    ));
    query.push_bind(period.from).push(" AND created_at < ").push_bind(period.until);
    push_kinds(query, filter);
    push_list(query, "project", &filter.projects);
}
