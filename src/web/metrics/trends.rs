//! Transactions over time, in buckets.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use poem::Request;
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::answer::{AnswerContext, AnswerSummary, answer};
use super::currency_metrics::CurrencyMetrics;
use super::tally::Tally;
use super::{DataAsOf, Period};
use crate::db::metrics::data_version::DataVersion;
use crate::domain::day::DayRange;
use crate::domain::metrics::granularity::Granularity;
use crate::domain::metrics::query::{Depth, MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::status::Status;
use crate::domain::time_range::TimeRange;
use crate::domain::transaction::Source;
use crate::operations::metrics_cache::MetricsAnswer;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::filters::rows_link::{CountedTime, RowsLink};
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::problem::Problem;
use crate::web::http::query::Query;
use crate::web::http::response_cache::{CacheVersion, CachedJson};
use crate::web::http::schema::{Money, Time, Usd, named_enum};
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
        let times = BucketTimes::new(starts, &buckets);
        Ok(DividedPeriod { period: days.into(), granularity, buckets, times })
    }
}

struct DividedPeriod {
    period: Period,
    granularity: Granularity,
    buckets: TimeBuckets,
    times: BucketTimes,
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
    amount_usd: Usd,
    /// Number of successful transactions.
    success_count: i64,
    /// Number of failed transactions.
    failed_count: i64,
    /// Number of pending and processing transactions.
    pending_count: i64,
    /// Successful transactions in percent of all; null if there are none.
    conversion_rate: Option<f64>,
    /// The path and query of the list of these transactions; null if there are none.
    rows_url: Option<String>,
}

impl Bucket {
    /// `link` leads to its transactions.
    fn new(start: DateTime<Utc>, tally: &Tally, whole: &Tally, link: &RowsLink) -> Self {
        let total = tally.total();
        Self {
            timestamp: Time(start),
            count: total.count,
            amount: whole.money(total.amount),
            amount_usd: Usd(total.amount_usd),
            success_count: tally.measures(Status::Success).count,
            failed_count: tally.measures(Status::Failed).count,
            pending_count: tally.pending_count(),
            conversion_rate: tally.conversion_rate(),
            rows_url: link.to(total.count),
        }
    }
}

/// The starts of buckets, and the time of each that is counted: of the first, only from the first day on.
pub(super) struct BucketTimes {
    starts: Vec<DateTime<Utc>>,
    ranges: Vec<TimeRange>,
}

impl BucketTimes {
    pub(super) fn new(starts: Vec<DateTime<Utc>>, buckets: &TimeBuckets) -> Self {
        let ranges = buckets.boundaries().windows(2).map(|ends| TimeRange { from: ends[0], until: ends[1] });
        Self { starts, ranges: ranges.collect() }
    }
}

/// An item per bucket, empty ones included. `link` leads to the transactions of all of them.
pub(super) fn buckets(times: &BucketTimes, rows: &[&MetricRow], whole: &Tally, link: &RowsLink) -> Vec<Bucket> {
    let tallies = Tally::by_key(rows.iter().copied(), |row| row.bucket);
    let empty = Tally::default();
    let tally = |bucket: i32| tallies.get(&bucket).unwrap_or(&empty);
    let times = times.starts.iter().zip(&times.ranges).zip(0..);
    times.map(|((start, range), bucket)| Bucket::new(*start, tally(bucket), whole, &link.within(*range))).collect()
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
    #[oai(flatten)]
    summary: AnswerSummary,
}

impl MetricsTrends {
    fn new(
        period: Period,
        granularity: Granularity,
        times: &BucketTimes,
        answer: &MetricsAnswer,
        context: &AnswerContext,
    ) -> Self {
        let rows: Vec<&MetricRow> = answer.rows.iter().collect();
        let whole = Tally::from_rows(rows.iter().copied());
        let data = buckets(times, &rows, &whole, &context.link);
        let (currency, summary) = (whole.currency(), context.summary_of(&whole));
        Self { period, granularity, currency, data, data_as_of: answer.as_of.into(), summary }
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
    amount_usd: Usd,
    /// The sums by currency.
    by_currency: Vec<CurrencyMetrics>,
    /// The path and query of the list of these transactions; null if there are none.
    rows_url: Option<String>,
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
    fn new(source: Source, times: &BucketTimes, rows: &[MetricRow], context: &AnswerContext) -> Self {
        let link = context.link.with("source", source.as_str());
        let rows: Vec<&MetricRow> = rows.iter().filter(|row| row.source == Some(source)).collect();
        let whole = Tally::from_rows(rows.iter().copied());
        let total = whole.total();
        let totals = Totals {
            count: total.count,
            amount: whole.money(total.amount),
            amount_usd: Usd(total.amount_usd),
            by_currency: CurrencyMetrics::list(&whole, Depth::Amounts),
            rows_url: link.to(total.count),
        };
        Self { source, currency: whole.currency(), data: buckets(times, &rows, &whole, &link), totals }
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
    #[oai(flatten)]
    summary: AnswerSummary,
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
        let DividedPeriod { period, granularity, buckets, times } = trends.0.divide(days)?;
        let (time, by_bucket) = (CountedTime::Days(days), |filter| MetricQuery::new(filter, buckets));
        let (answer, context) = answer(&state, &caller, &query.0, time, by_bucket).await?;
        let trends = async { Ok(MetricsTrends::new(period, granularity, &times, &answer, &context)) };
        let version = CacheVersion::of_metrics(&answer, days, context.version());
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
        let DividedPeriod { period, granularity, buckets, times } = trends.0.divide(days)?;
        let filter = query.0.records(&caller)?;
        let mut sources = Source::ALL.to_vec();
        sources.retain(|source| filter.sources.is_empty() || filter.sources.contains(source));
        let (time, by_bucket) = (CountedTime::Days(days), |filter| MetricQuery::new(filter, buckets).by_source());
        let (answer, context) = answer(&state, &caller, &query.0, time, by_bucket).await?;
        let version = CacheVersion::of_metrics(&answer, days, context.version());
        let by_source = async {
            let trends = |source| SourceTrends::new(source, &times, &answer.rows, &context);
            let (sources, summary) = (sources.into_iter().map(trends).collect(), context.summary(&*answer.rows));
            Ok(MetricsBySource { period, granularity, sources, data_as_of: answer.as_of.into(), summary })
        };
        state.responses.get_or_insert((request.uri(), &caller.0), version, by_source).await
    }
}

fn example_times() -> BucketTimes {
    let hour = TimeBuckets::between(vec![EXAMPLE_TIME, EXAMPLE_TIME + chrono::TimeDelta::hours(1)]);
    BucketTimes::new(vec![EXAMPLE_TIME], &hour)
}

impl Example for MetricsTrends {
    fn example() -> Self {
        let answer = MetricsAnswer {
            rows: vec![MetricRow::example()].into(),
            data_version: DataVersion::default(),
            as_of: [Some(EXAMPLE_TIME); 2],
        };
        Self::new(Period::example(), Granularity::Hour, &example_times(), &answer, &AnswerContext::example())
    }
}

impl Example for MetricsBySource {
    fn example() -> Self {
        Self {
            period: Period::example(),
            granularity: Granularity::Hour,
            sources: vec![SourceTrends::new(
                Source::Vima,
                &example_times(),
                &[MetricRow::example()],
                &AnswerContext::example(),
            )],
            data_as_of: DataAsOf::example(),
            summary: AnswerContext::example().summary(&[MetricRow::example()]),
        }
    }
}

named_enum!(Granularity, "Granularity", Granularity::ALL, "The length of a time bucket.");
