//! Pending payments by age, read through the index of rare statuses: they are few, however old.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::{FromRow, PgPool, QueryBuilder};

use crate::db::DbError;
use crate::db::transactions::filter;
use crate::domain::metrics::cell::Measures;
use crate::domain::metrics::pending_age::PendingAge;
use crate::domain::metrics::query::{MetricFilter, MetricRow};

#[derive(FromRow)]
struct PendingRow {
    passed: i32,
    source: String,
    project: Option<String>,
    status: String,
    currency: String,
    count: i64,
    amount: Decimal,
    amount_usd: Decimal,
    usd_missing: i64,
    oldest: DateTime<Utc>,
}

/// Pending payments of a project at a source that have the same age, currency and status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingPayments {
    pub age: PendingAge,
    /// The member is the project.
    pub row: MetricRow,
    /// When the oldest was created.
    pub oldest: DateTime<Utc>,
}

impl TryFrom<PendingRow> for PendingPayments {
    type Error = DbError;

    fn try_from(row: PendingRow) -> Result<Self, DbError> {
        let PendingRow { count, amount, amount_usd, usd_missing, .. } = row;
        let row_of_metrics = MetricRow {
            bucket: 0,
            source: Some(row.source.try_into()?),
            member: row.project.unwrap_or_default(),
            status: row.status.try_into()?,
            currency: row.currency,
            measures: Measures { count, amount, amount_usd, usd_missing, ..Measures::default() },
        };
        let passed = usize::try_from(row.passed).unwrap_or_default();
        Ok(Self { age: PendingAge::from_passed(passed), row: row_of_metrics, oldest: row.oldest })
    }
}

/// The pending and processing payments at `now`.
pub async fn list(
    pool: &PgPool,
    metric_filter: &MetricFilter,
    now: DateTime<Utc>,
) -> Result<Vec<PendingPayments>, DbError> {
    let mut query = QueryBuilder::new("SELECT width_bucket(created_at, ");
    query.push_bind(PendingAge::boundaries(now));
    // The second condition is that of the index.
    query.push(
        "::timestamptz[]) AS passed, source, project, status, currency, count(*) AS count, sum(amount) AS amount, \
         COALESCE(sum(amount_usd), 0) AS amount_usd, count(*) FILTER (WHERE amount_usd IS NULL) AS usd_missing, \
         min(created_at) AS oldest \
         FROM transactions WHERE status IN ('pending', 'processing') AND status NOT IN ('success', 'failed')",
    );
    filter::push(&mut query, metric_filter);
    query.push(" GROUP BY 1, 2, 3, 4, 5");
    let rows: Vec<PendingRow> = query.build_query_as().persistent(false).fetch_all(pool).await?;
    rows.into_iter().map(PendingPayments::try_from).collect()
}
