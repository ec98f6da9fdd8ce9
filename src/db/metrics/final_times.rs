//! How long payments take until their final status.
//!
//! Reads the payments of the period: no cell and no index knows when they were completed. A payment without that time was
//! completed when its first change to a final status happened, or was stored; one that was already final when it was first stored,
//! and whose provider does not report the time, is counted apart.

use sqlx::{FromRow, PgPool, QueryBuilder};

use crate::db::DbError;
use crate::db::transactions::filter;
use crate::domain::metrics::query::MetricFilter;
use crate::domain::time_range::TimeRange;

/// What the times are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalTimeGroup {
    Source,
    Project,
    PaymentMethod,
}

impl FinalTimeGroup {
    fn column(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Project => "project",
            Self::PaymentMethod => "payment_method",
        }
    }
}

/// The final payments of a group.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct FinalTimes {
    /// Whether the row is of all payments.
    pub is_total: bool,
    /// `None` if the payments have no value, or if it is of all payments.
    pub group_name: Option<String>,
    /// Payments whose time is known.
    pub count: i64,
    /// Final payments whose time is not known.
    pub unknown_count: i64,
    /// In seconds; `None` without a payment.
    pub p50: Option<f64>,
    pub p95: Option<f64>,
}

/// The groups of the payments created in `range` that have a final status, and all of them.
pub async fn list(
    pool: &PgPool,
    metric_filter: &MetricFilter,
    range: TimeRange,
    group: FinalTimeGroup,
) -> Result<Vec<FinalTimes>, DbError> {
    let column = group.column();
    let mut query = QueryBuilder::new(format!(
        "SELECT grouping(group_name) = 1 AS is_total, group_name, count(seconds) AS count, \
                count(*) FILTER (WHERE seconds IS NULL) AS unknown_count, \
                percentile_disc(0.5) WITHIN GROUP (ORDER BY seconds) AS p50, \
                percentile_disc(0.95) WITHIN GROUP (ORDER BY seconds) AS p95 \
           FROM (SELECT group_name, CASE WHEN final_at < created_at THEN 0 \
                                         ELSE extract(epoch FROM final_at - created_at)::float8 END AS seconds \
                   FROM (SELECT {column} AS group_name, created_at, COALESCE(completed_at, ( \
                                SELECT COALESCE(changed_at, recorded_at) FROM transaction_changes AS changes \
                                 WHERE changes.transaction_id = transactions.id \
                                   AND new_status IN ('success', 'failed', 'refunded') ORDER BY changes.id LIMIT 1)) AS final_at \
                           FROM transactions WHERE status IN ('success', 'failed', 'refunded') AND created_at >= "
    ));
    query.push_bind(range.from).push(" AND created_at < ").push_bind(range.until);
    filter::push(&mut query, metric_filter);
    // The OFFSET 0 keeps the planner from looking the changes up twice, for the comparison and for the difference.
    query.push(" OFFSET 0) AS final) AS timed GROUP BY GROUPING SETS ((), (group_name))");
    Ok(query.build_query_as().persistent(false).fetch_all(pool).await?)
}
