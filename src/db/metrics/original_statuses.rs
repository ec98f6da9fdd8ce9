//! Payments by what their provider calls their status, and failures compared with other times.
//!
//! Cells do not know the provider's status. One more facet was rejected: it would have to be kept by processes of the previous
//! release too, while both run. The index `transactions_by_outcome` has what is counted here of every payment but successes
//! with the usual name of their source, so that the payments themselves are not read. What is not in the index is the
//! difference to the cells of all successes, in one snapshot.

use rust_decimal::Decimal;
use sqlx::{FromRow, PgPool, QueryBuilder};

use super::sums;
use crate::db::DbError;
use crate::db::snapshot::Snapshot;
use crate::db::transactions::filter;
use crate::db::transactions::filter::{UNUSUAL_OUTCOME, usual_success};
use crate::domain::metrics::amount_band;
use crate::domain::metrics::cell::Measures;
use crate::domain::metrics::failure_periods::{FailureClass, FailurePeriods};
use crate::domain::metrics::query::{MetricFilter, MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::status::Status;
use crate::domain::time_range::TimeRange;
use crate::domain::transaction::Source;

/// Payments of a source with the same status of the provider, in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalStatusRow {
    pub source: Source,
    pub original_status: Option<String>,
    pub status: Status,
    pub currency: String,
    /// Without fees.
    pub measures: Measures,
}

#[derive(FromRow)]
struct CountedRow {
    source: String,
    original_status: Option<String>,
    status: String,
    currency: String,
    count: i64,
    amount: Decimal,
    amount_usd: Decimal,
    usd_missing: i64,
}

impl TryFrom<CountedRow> for OriginalStatusRow {
    type Error = DbError;

    fn try_from(row: CountedRow) -> Result<Self, DbError> {
        let CountedRow { count, amount, amount_usd, usd_missing, .. } = row;
        Ok(Self {
            source: row.source.try_into()?,
            original_status: row.original_status,
            status: row.status.try_into()?,
            currency: row.currency,
            measures: Measures { count, amount, amount_usd, usd_missing, ..Measures::default() },
        })
    }
}

/// The payments created in `range`.
pub async fn list(
    pool: &PgPool,
    metric_filter: &MetricFilter,
    range: TimeRange,
) -> Result<Vec<OriginalStatusRow>, DbError> {
    let mut query = QueryBuilder::new(
        "SELECT source, original_status, status, currency, count(*) AS count, sum(amount) AS amount, \
                COALESCE(sum(amount_usd), 0) AS amount_usd, count(*) FILTER (WHERE amount_usd IS NULL) AS usd_missing \
           FROM transactions WHERE created_at >= ",
    );
    query.push_bind(range.from).push(" AND created_at < ").push_bind(range.until).push(" AND ").push(UNUSUAL_OUTCOME);
    filter::push(&mut query, metric_filter);
    query.push(" GROUP BY 1, 2, 3, 4");
    let mut snapshot = Snapshot::open(pool).await?;
    let rows: Vec<CountedRow> = query.build_query_as().persistent(false).fetch_all(snapshot.connection()?).await?;
    let mut rows = rows.into_iter().map(OriginalStatusRow::try_from).collect::<Result<Vec<_>, DbError>>()?;
    if metric_filter.statuses.is_empty() || metric_filter.statuses.contains(&Status::Success) {
        let successes = MetricFilter { statuses: vec![Status::Success], ..metric_filter.clone() };
        let successes = MetricQuery::new(successes, TimeBuckets::one(range)).by_source();
        let successes = sums::list(snapshot.connection()?, &successes).await?;
        rows.extend(usual_successes(&successes, &rows));
    }
    snapshot.close().await?;
    Ok(rows)
}

/// The successes that are not among the `indexed` rows.
fn usual_successes(successes: &[MetricRow], indexed: &[OriginalStatusRow]) -> Vec<OriginalStatusRow> {
    let mut rows: Vec<OriginalStatusRow> = vec![];
    for success in successes {
        let Some(source) = success.source else { continue };
        let same = |row: &&mut OriginalStatusRow| row.source == source && row.currency == success.currency;
        match rows.iter_mut().find(same) {
            Some(row) => row.measures += success.measures,
            None => rows.push(OriginalStatusRow {
                source,
                original_status: Some(usual_success(source).to_owned()),
                status: Status::Success,
                currency: success.currency.clone(),
                measures: success.measures,
            }),
        }
    }
    for row in &mut rows {
        let unusual = indexed.iter().filter(|other| {
            (other.source, other.status) == (row.source, Status::Success) && other.currency == row.currency
        });
        for other in unusual {
            row.measures -= other.measures;
        }
    }
    rows.retain(|row| row.measures.count != 0);
    rows
}

/// What failures are counted by, besides the source and the provider's status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureGroup {
    Project,
    PaymentMethod,
    AmountBand,
    /// The hour of the day.
    Hour,
}

impl FailureGroup {
    fn member(self) -> String {
        match self {
            Self::Project => "project".to_owned(),
            Self::PaymentMethod => "payment_method".to_owned(),
            Self::AmountBand => {
                let bounds = amount_band::BOUNDS.map(|bound| bound.to_string()).join(",");
                format!("width_bucket(amount, '{{{bounds}}}'::numeric[])::text")
            }
            // The class of the time has it.
            Self::Hour => "NULL::text".to_owned(),
        }
    }
}

/// Failures of a source with the same status of the provider and of one group, in one currency.
#[derive(Debug, Clone, PartialEq)]
pub struct FailureRow {
    /// `None` if the payments have no value.
    pub group: Option<String>,
    pub source: Source,
    pub original_status: Option<String>,
    pub currency: String,
    /// Of the current period, without fees.
    pub measures: Measures,
    pub previous_count: i64,
    pub usual_count: f64,
}

/// Failures of the same class of hours.
#[derive(FromRow)]
struct FailedRow {
    class: i32,
    member: Option<String>,
    source: String,
    original_status: Option<String>,
    currency: String,
    count: i64,
    amount: Decimal,
    amount_usd: Decimal,
    usd_missing: i64,
}

impl FailureRow {
    fn new(row: FailedRow, class: FailureClass) -> Result<Self, DbError> {
        let FailedRow { count, amount, amount_usd, usd_missing, .. } = row;
        let measures = Measures { count, amount, amount_usd, usd_missing, ..Measures::default() };
        // Counts of failures are exact as floats.
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let usual_count = count as f64 * class.weight;
        Ok(Self {
            group: class.hour.map(|hour| hour.to_string()).or(row.member),
            source: row.source.try_into()?,
            original_status: row.original_status,
            currency: row.currency,
            measures: if class.is_current { measures } else { Measures::default() },
            previous_count: if class.is_previous { count } else { 0 },
            usual_count,
        })
    }
}

/// The failures of `periods`, in a row or several for each group, and the payments of any status of the compared periods, of one
/// snapshot. The statuses of the filter are ignored.
pub async fn list_failures(
    pool: &PgPool,
    metric_filter: &MetricFilter,
    (periods, group): (&FailurePeriods, FailureGroup),
) -> Result<(Vec<FailureRow>, Vec<MetricRow>), DbError> {
    let boundaries = periods.buckets.boundaries();
    let Some((from, until)) = boundaries.first().zip(boundaries.last()) else { return Ok((vec![], vec![])) };
    let metric_filter = MetricFilter { statuses: vec![], ..metric_filter.clone() };
    let mut query = QueryBuilder::new("SELECT (");
    query.push_bind(periods.buckets.keys()).push("::int[])[width_bucket(created_at, ");
    query.push_bind(boundaries.to_vec()).push(format!(
        "::timestamptz[])] AS class, {} AS member, source, original_status, currency, count(*) AS count, sum(amount) AS amount, \
         COALESCE(sum(amount_usd), 0) AS amount_usd, count(*) FILTER (WHERE amount_usd IS NULL) AS usd_missing \
         FROM transactions WHERE status = 'failed' AND {UNUSUAL_OUTCOME} AND created_at >= ",
        group.member()
    ));
    query.push_bind(*from).push(" AND created_at < ").push_bind(*until);
    filter::push(&mut query, &metric_filter);
    query.push(" GROUP BY 1, 2, 3, 4, 5");
    let mut snapshot = Snapshot::open(pool).await?;
    let rows: Vec<FailedRow> = query.build_query_as().persistent(false).fetch_all(snapshot.connection()?).await?;
    let buckets = TimeBuckets::two(periods.compared.previous, periods.compared.current);
    let all = sums::list(snapshot.connection()?, &MetricQuery::new(metric_filter, buckets).counts()).await?;
    snapshot.close().await?;
    let class_of = |row: &FailedRow| usize::try_from(row.class).ok().and_then(|class| periods.classes.get(class));
    let rows = rows.into_iter().filter_map(|row| class_of(&row).map(|class| FailureRow::new(row, *class)));
    Ok((rows.collect::<Result<_, _>>()?, all))
}
