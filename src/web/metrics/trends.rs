//! How payments came over time, bucket by bucket.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use poem::Request;
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::tally::Tally;
use crate::db::metrics::data_version::DataVersion;
use crate::domain::day::DayRange;
use crate::domain::metrics::granularity::Granularity;
use crate::domain::metrics::query::{MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::status::Status;
use crate::domain::transaction::Source;
use crate::operations::metrics_cache::MetricsAnswer;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::http::auth::Viewer;
use crate::web::http::fails::Fails;
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::problem::Problem;
use crate::web::http::query::Query;
use crate::web::http::response_cache::{CacheVersion, CachedJson};
use crate::web::http::schema::{Money, Time, named_enum};
use crate::web::responses::period::{DataAsOf, Period};
use crate::web::state::State;

request_fields! {
    /// How fine the buckets are.
    struct TrendsQuery {
        /// How long a bucket is; an hour where nothing is said. At most 2,000 buckets make an answer.
        granularity: Option<Granularity>,
    }
}

impl TrendsQuery {
    fn divide(self, days: DayRange) -> Result<Divided, Problem> {
        let granularity = self.granularity.unwrap_or_default();
        let (slots, starts) = TimeBuckets::calendar(days, granularity)
            // Only another granularity, or fewer days, reduces the number of buckets.
            .map_err(|error| Problem::field("granularity", error.to_string()))?;
        Ok(Divided { period: days.into(), granularity, slots, starts })
    }
}

/// Days in buckets.
struct Divided {
    period: Period,
    granularity: Granularity,
    slots: TimeBuckets,
    starts: Vec<DateTime<Utc>>,
}

/// The payments of a bucket.
#[derive(Debug, Clone, Object)]
struct Bucket {
    /// When it begins by the calendar of the zone.
    timestamp: Time,
    /// How many payments.
    count: i64,
    /// The sum of their amounts; null where the payments of the answer have several currencies.
    amount: Option<Money>,
    /// The sum of their amounts in US dollars, of those that have a rate.
    amount_usd: Money,
    /// How many succeeded.
    success_count: i64,
    /// How many failed.
    failed_count: i64,
    /// How many wait: pending and processing together.
    pending_count: i64,
    /// Successful payments of all, in percent.
    conversion_rate: Option<f64>,
}

impl Bucket {
    fn of(start: DateTime<Utc>, tally: &Tally, whole: &Tally) -> Self {
        let all = tally.all();
        Self {
            timestamp: Time(start),
            count: all.count,
            amount: whole.money(all.amount),
            amount_usd: Money(all.amount_usd),
            success_count: tally.in_state(Status::Success).count,
            failed_count: tally.in_state(Status::Failed).count,
            pending_count: tally.pending_count(),
            conversion_rate: tally.conversion_rate(),
        }
    }
}

/// Every bucket, the empty ones too.
fn buckets(starts: &[DateTime<Utc>], sums: &[&MetricRow], whole: &Tally) -> Vec<Bucket> {
    let tallies = Tally::by(sums.iter().copied(), |sum| sum.bucket);
    let empty = Tally::default();
    let of = |slot: i32| tallies.get(&slot).unwrap_or(&empty);
    starts.iter().zip(0..).map(|(start, slot)| Bucket::of(*start, of(slot), whole)).collect()
}

/// How payments came over time.
#[derive(Debug, Clone, Object)]
#[oai(rename = "MetricsTrends", example)]
struct Trends {
    /// The days it is about.
    period: Period,
    /// How long a bucket is.
    granularity: Granularity,
    /// The currency of all payments; null where they have several, or there are none.
    currency: Option<String>,
    /// The buckets, the earliest first.
    data: Vec<Bucket>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

impl Trends {
    fn of(period: Period, granularity: Granularity, starts: &[DateTime<Utc>], answer: &MetricsAnswer) -> Self {
        let sums: Vec<&MetricRow> = answer.rows.iter().collect();
        let whole = Tally::of(sums.iter().copied());
        let data = buckets(starts, &sums, &whole);
        Self { period, granularity, currency: whole.currency(), data, data_as_of: answer.as_of.into() }
    }
}

/// The sums of a source over the whole period.
#[derive(Debug, Clone, Object)]
struct Totals {
    /// How many payments.
    count: i64,
    /// The sum of their amounts; null where they have several currencies.
    amount: Option<Money>,
    /// The sum of their amounts in US dollars, of those that have a rate.
    amount_usd: Money,
}

/// How the payments of a source came over time.
#[derive(Debug, Clone, Object)]
struct SourceTrends {
    /// The source.
    source: Source,
    /// The currency of its payments; null where they have several, or there are none.
    currency: Option<String>,
    /// The buckets, the earliest first.
    data: Vec<Bucket>,
    /// All of them together.
    totals: Totals,
}

impl SourceTrends {
    fn of(source: Source, starts: &[DateTime<Utc>], sums: &[MetricRow]) -> Self {
        let sums: Vec<&MetricRow> = sums.iter().filter(|sum| sum.source == Some(source)).collect();
        let whole = Tally::of(sums.iter().copied());
        let all = whole.all();
        let totals = Totals { count: all.count, amount: whole.money(all.amount), amount_usd: Money(all.amount_usd) };
        Self { source, currency: whole.currency(), data: buckets(starts, &sums, &whole), totals }
    }
}

/// How payments came over time, source by source.
#[derive(Debug, Clone, Object)]
#[oai(rename = "MetricsBySource", example)]
struct BySource {
    /// The days it is about.
    period: Period,
    /// How long a bucket is.
    granularity: Granularity,
    /// The sources.
    sources: Vec<SourceTrends>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

/// The endpoints.
pub(in crate::web) struct TrendsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl TrendsApi {
    /// Show payments over time
    ///
    /// In buckets of the zone's clocks and calendar, the empty ones with zeros; at most 2,000 of them. A first week or month
    /// bears its own first day, and counts only what is of the period.
    #[oai(path = "/metrics/trends", method = "get", operation_id = "getMetricsTrends")]
    async fn trends(
        &self,
        request: &Request,
        state: Data<&Arc<State>>,
        viewer: Viewer,
        query: Query<MetricsQuery>,
        trends: Query<TrendsQuery>,
    ) -> Result<CachedJson<Trends>, Fails> {
        let Divided { period, granularity, slots, starts } = trends.0.divide(query.0.days(&state)?)?;
        let answer = state.metrics.query(&MetricQuery::new(query.0.filter(), slots)).await?;
        let trends = async { Ok(Trends::of(period, granularity, &starts, &answer)) };
        state.written.answer((request.original_uri(), &viewer.0), CacheVersion::from(&answer), trends).await
    }

    /// Show payments over time by source
    ///
    /// As the trends, for each source that is asked for, with its totals.
    #[oai(path = "/metrics/by-source", method = "get", operation_id = "getMetricsBySource")]
    async fn by_source(
        &self,
        request: &Request,
        state: Data<&Arc<State>>,
        viewer: Viewer,
        query: Query<MetricsQuery>,
        trends: Query<TrendsQuery>,
    ) -> Result<CachedJson<BySource>, Fails> {
        let Divided { period, granularity, slots, starts } = trends.0.divide(query.0.days(&state)?)?;
        let filter = query.0.filter();
        let asked =
            Source::ALL.into_iter().filter(|source| filter.sources.is_empty() || filter.sources.contains(source));
        let asked: Vec<Source> = asked.collect();
        let answer = state.metrics.query(&MetricQuery::new(filter, slots).by_source()).await?;
        let sources = || asked.into_iter().map(|source| SourceTrends::of(source, &starts, &answer.rows)).collect();
        let by_source =
            async { Ok(BySource { period, granularity, sources: sources(), data_as_of: answer.as_of.into() }) };
        state.written.answer((request.original_uri(), &viewer.0), CacheVersion::from(&answer), by_source).await
    }
}

impl Example for Trends {
    fn example() -> Self {
        let answer = MetricsAnswer {
            rows: vec![MetricRow::example()].into(),
            data_version: DataVersion::default(),
            as_of: [Some(EXAMPLE_TIME); 2],
        };
        Self::of(Period::example(), Granularity::Hour, &[EXAMPLE_TIME], &answer)
    }
}

impl Example for BySource {
    fn example() -> Self {
        Self {
            period: Period::example(),
            granularity: Granularity::Hour,
            sources: vec![SourceTrends::of(Source::Vima, &[EXAMPLE_TIME], &[MetricRow::example()])],
            data_as_of: DataAsOf::example(),
        }
    }
}

named_enum!(Granularity, "Granularity", Granularity::ALL, "The length of a time bucket.");
