//! Transactions over time, in buckets.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use poem::Request;
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::tally::Tally;
use super::{DataAsOf, Period};
use crate::db::metrics::data_version::DataVersion;
use crate::domain::day::DayRange;
use crate::domain::metrics::granularity::Granularity;
use crate::domain::metrics::query::{MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::status::Status;
use crate::domain::transaction::Source;
use crate::operations::metrics_cache::MetricsAnswer;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::problem::Problem;
use crate::web::http::query::Query;
use crate::web::http::response_cache::{CacheVersion, CachedJson};
use crate::web::http::schema::{Money, Time, named_enum};
use crate::web::state::State;

request_fields! {
    /// The length of the buckets.
    struct TrendsQuery {
        /// The length of a bucket; default `hour`. A response has at most 10,000 buckets.
        granularity: Option<Granularity>,
    }
}

impl TrendsQuery {
    fn divide(self, days: DayRange) -> Result<DividedPeriod, Problem> {
        let granularity = self.granularity.unwrap_or_default();
        let (buckets, starts) = TimeBuckets::calendar(days, granularity)
            .map_err(|error| Problem::field("granularity", error.to_string()))?;
        Ok(DividedPeriod { period: days.into(), granularity, buckets, starts })
    }
}

struct DividedPeriod {
    period: Period,
    granularity: Granularity,
    buckets: TimeBuckets,
    starts: Vec<DateTime<Utc>>,
}

/// The transactions of a bucket.
#[derive(Debug, Clone, Object)]
pub(super) struct Bucket {
    /// The start of the bucket in the calendar of the time zone.
    timestamp: Time,
    /// Number of transactions.
    count: i64,
    /// Sum of the amounts, in `currency`; null if the transactions of all buckets together have several currencies.
    amount: Option<Money>,
    /// Sum of the amounts in US dollars, without transactions that have no exchange rate.
    amount_usd: Money,
    /// Number of successful transactions.
    success_count: i64,
    /// Number of failed transactions.
    failed_count: i64,
    /// Number of pending and processing transactions.
    pending_count: i64,
    /// Successful transactions in percent of all; null if there are none.
    conversion_rate: Option<f64>,
}

impl Bucket {
    fn new(start: DateTime<Utc>, tally: &Tally, whole: &Tally) -> Self {
        let total = tally.total();
        Self {
            timestamp: Time(start),
            count: total.count,
            amount: whole.money(total.amount),
            amount_usd: Money(total.amount_usd),
            success_count: tally.measures(Status::Success).count,
            failed_count: tally.measures(Status::Failed).count,
            pending_count: tally.pending_count(),
            conversion_rate: tally.conversion_rate(),
        }
    }
}

/// An item per bucket, empty ones included.
pub(super) fn buckets(starts: &[DateTime<Utc>], rows: &[&MetricRow], whole: &Tally) -> Vec<Bucket> {
    let tallies = Tally::by_key(rows.iter().copied(), |row| row.bucket);
    let empty = Tally::default();
    let tally = |bucket: i32| tallies.get(&bucket).unwrap_or(&empty);
    starts.iter().zip(0..).map(|(start, bucket)| Bucket::new(*start, tally(bucket), whole)).collect()
}

/// Transactions over time.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsTrends {
    /// The days covered.
    period: Period,
    /// The length of a bucket.
    granularity: Granularity,
    /// The currency of the amounts; null if the transactions have several currencies, or if there are none.
    currency: Option<String>,
    /// The buckets, the earliest first.
    data: Vec<Bucket>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

impl MetricsTrends {
    fn new(period: Period, granularity: Granularity, starts: &[DateTime<Utc>], answer: &MetricsAnswer) -> Self {
        let rows: Vec<&MetricRow> = answer.rows.iter().collect();
        let whole = Tally::from_rows(rows.iter().copied());
        let data = buckets(starts, &rows, &whole);
        Self { period, granularity, currency: whole.currency(), data, data_as_of: answer.as_of.into() }
    }
}

/// The totals of a source over the whole period.
#[derive(Debug, Clone, Object)]
struct Totals {
    /// Number of transactions.
    count: i64,
    /// Sum of the amounts, in the source's `currency`; null if its transactions have several currencies.
    amount: Option<Money>,
    /// Sum of the amounts in US dollars, without transactions that have no exchange rate.
    amount_usd: Money,
}

/// The transactions of a source over time.
#[derive(Debug, Clone, Object)]
struct SourceTrends {
    /// The source.
    source: Source,
    /// The currency of the source's amounts; null if its transactions have several currencies, or if there are none.
    currency: Option<String>,
    /// The buckets, the earliest first.
    data: Vec<Bucket>,
    /// The totals of all buckets.
    totals: Totals,
}

impl SourceTrends {
    fn new(source: Source, starts: &[DateTime<Utc>], rows: &[MetricRow]) -> Self {
        let rows: Vec<&MetricRow> = rows.iter().filter(|row| row.source == Some(source)).collect();
        let whole = Tally::from_rows(rows.iter().copied());
        let total = whole.total();
        let totals =
            Totals { count: total.count, amount: whole.money(total.amount), amount_usd: Money(total.amount_usd) };
        Self { source, currency: whole.currency(), data: buckets(starts, &rows, &whole), totals }
    }
}

/// Transactions over time by source.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsBySource {
    /// The days covered.
    period: Period,
    /// The length of a bucket.
    granularity: Granularity,
    /// The sources, or those of the filter `source`.
    sources: Vec<SourceTrends>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

pub(in crate::web) struct TrendsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl TrendsApi {
    /// Get trends
    ///
    /// Counts and amounts over time, in buckets of the calendar of the time zone; buckets without transactions are included. At
    /// most 10,000 buckets. If the period starts within a week or month, the `timestamp` of the first bucket is the start of that
    /// week or month, but only transactions of the period are counted.
    #[oai(path = "/metrics/trends", method = "get", operation_id = "getMetricsTrends")]
    async fn trends(
        &self,
        request: &Request,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
        trends: Query<TrendsQuery>,
    ) -> Result<CachedJson<MetricsTrends>, Fails> {
        let days = query.0.days(&state)?;
        let DividedPeriod { period, granularity, buckets, starts } = trends.0.divide(days)?;
        let answer = state.metrics.query(&MetricQuery::new(query.0.filter(&caller)?, buckets)).await?;
        let trends = async { Ok(MetricsTrends::new(period, granularity, &starts, &answer)) };
        let version = CacheVersion::of_metrics(&answer, days);
        state.responses.get_or_insert((request.uri(), &caller.0), version, trends).await
    }

    /// Get trends by source
    ///
    /// The same as the trends, per source, with the totals of each source.
    #[oai(path = "/metrics/by-source", method = "get", operation_id = "getMetricsBySource")]
    async fn by_source(
        &self,
        request: &Request,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
        trends: Query<TrendsQuery>,
    ) -> Result<CachedJson<MetricsBySource>, Fails> {
        let days = query.0.days(&state)?;
        let DividedPeriod { period, granularity, buckets, starts } = trends.0.divide(days)?;
        let filter = query.0.filter(&caller)?;
        let mut sources = Source::ALL.to_vec();
        sources.retain(|source| filter.sources.is_empty() || filter.sources.contains(source));
        let answer = state.metrics.query(&MetricQuery::new(filter, buckets).by_source()).await?;
        let version = CacheVersion::of_metrics(&answer, days);
        let by_source = async {
            let sources = sources.into_iter().map(|source| SourceTrends::new(source, &starts, &answer.rows)).collect();
            Ok(MetricsBySource { period, granularity, sources, data_as_of: answer.as_of.into() })
        };
        state.responses.get_or_insert((request.uri(), &caller.0), version, by_source).await
    }
}

impl Example for MetricsTrends {
    fn example() -> Self {
        let answer = MetricsAnswer {
            rows: vec![MetricRow::example()].into(),
            data_version: DataVersion::default(),
            as_of: [Some(EXAMPLE_TIME); 2],
        };
        Self::new(Period::example(), Granularity::Hour, &[EXAMPLE_TIME], &answer)
    }
}

impl Example for MetricsBySource {
    fn example() -> Self {
        Self {
            period: Period::example(),
            granularity: Granularity::Hour,
            sources: vec![SourceTrends::new(Source::Vima, &[EXAMPLE_TIME], &[MetricRow::example()])],
            data_as_of: DataAsOf::example(),
        }
    }
}

named_enum!(Granularity, "Granularity", Granularity::ALL, "The length of a time bucket.");
