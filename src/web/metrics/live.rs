//! The last minutes, up to the end of the current one.
//!
//! A transaction is counted only after a sync has read it, so the newest minutes are incomplete; `data_as_of` says up to when
//! they are complete.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::answer::{AnswerContext, AnswerSummary, CountedAs, answer};
use super::group_metrics::{BySource, GroupMetrics};
use super::tally::Tally;
use super::{DataAsOf, Interval};
use crate::domain::metrics::minutes::LastMinutes;
use crate::domain::metrics::query::{MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::rate::average;
use crate::domain::status::Status;
use crate::domain::time_range::TimeRange;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::filters::rows_link::{CountedTime, RowsLink};
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::fields::{Fields, request_fields};
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::query::Query;
use crate::web::http::schema::{Money, Time, Usd};
use crate::web::state::State;

/// What `minutes` may be.
const MINUTES: std::ops::RangeInclusive<u32> = 5..=1_440;
const DEFAULT_MINUTES: u32 = 60;
/// The number of minutes of `/metrics/live`.
const LIVE_MINUTES: u32 = 5;

request_fields! {
    /// The time covered.
    struct RpmQuery {
        /// Number of minutes covered, including the current one: 5 to 1440; default 60.
        #[oai(validator(minimum(value = "5"), maximum(value = "1440")))]
        minutes: Option<u32>,
    }
    check: RpmQuery::check
}

impl RpmQuery {
    fn check(&self, fields: &mut Fields) {
        if self.minutes.is_some_and(|minutes| !MINUTES.contains(&minutes)) {
            fields.error("minutes", format!("must be from {} to {}", MINUTES.start(), MINUTES.end()));
        }
    }
}

/// The transactions of a minute.
#[derive(Debug, Clone, Object)]
struct Minute {
    /// The start of the minute.
    timestamp: Time,
    /// Number of transactions.
    count: i64,
    /// The same as `count`.
    rpm: i64,
    /// Number of successful transactions.
    success_rpm: i64,
    /// Number of failed transactions.
    failed_rpm: i64,
    /// The path and query of the list of these transactions; null if there are none.
    rows_url: Option<String>,
}

impl Minute {
    fn new(range: TimeRange, tally: &Tally, link: &RowsLink) -> Self {
        Self {
            timestamp: Time(range.from),
            count: tally.count(),
            rpm: tally.count(),
            success_rpm: tally.measures(Status::Success).count,
            failed_rpm: tally.measures(Status::Failed).count,
            rows_url: link.within(range).to(tally.count()),
        }
    }
}

/// Transactions per minute.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsRpm {
    /// The time covered.
    period: Interval,
    /// Number of minutes covered.
    minutes: usize,
    /// Number of transactions.
    total_count: i64,
    /// The minutes, the earliest first; the last one is the current minute.
    data: Vec<Minute>,
    /// Mean number of transactions per minute.
    average: Option<f64>,
    /// Largest number of transactions in a minute.
    peak: i64,
    /// The first minute with that number; null if there are no transactions.
    peak_at: Option<Time>,
    /// Number of transactions in the current minute so far.
    current: i64,
    /// The same as `current`.
    current_rpm: i64,
    /// The same as `average`.
    avg_rpm: f64,
    /// The same as `peak`.
    max_rpm: i64,
    /// Smallest number of transactions in a minute.
    min_rpm: i64,
    /// The same as `total_count`.
    total_transactions: i64,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
    #[oai(flatten)]
    summary: AnswerSummary,
}

impl MetricsRpm {
    fn new(minutes: &LastMinutes, rows: &[MetricRow], data_as_of: DataAsOf, context: &AnswerContext) -> Self {
        let tallies = Tally::by_key(rows, |row| row.bucket);
        let empty = Tally::default();
        let minute = |(ends, bucket): (&[DateTime<Utc>], i32)| {
            let range = TimeRange { from: ends[0], until: ends[1] };
            Minute::new(range, tallies.get(&bucket).unwrap_or(&empty), &context.link)
        };
        let data: Vec<Minute> = minutes.boundaries().windows(2).zip(0..).map(minute).collect();
        let peak = data.iter().rev().max_by_key(|minute| minute.count);
        let total_count = data.iter().map(|minute| minute.count).sum();
        let average = per_minute(total_count, data.len());
        let current = data.last().map_or(0, |minute| minute.count);
        Self {
            period: minutes.time_range().into(),
            minutes: data.len(),
            total_count,
            average,
            peak: peak.map_or(0, |minute| minute.count),
            peak_at: peak.filter(|minute| minute.count > 0).map(|minute| minute.timestamp),
            current,
            current_rpm: current,
            avg_rpm: average.unwrap_or_default(),
            max_rpm: peak.map_or(0, |minute| minute.count),
            min_rpm: data.iter().map(|minute| minute.count).min().unwrap_or_default(),
            total_transactions: total_count,
            data,
            data_as_of,
            summary: context.summary(rows),
        }
    }
}

fn per_minute(count: i64, minutes: usize) -> Option<f64> {
    average(Decimal::from(count), i64::try_from(minutes).ok()?)?.to_f64()
}

/// The metrics of the last five minutes.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsLive {
    /// The time covered.
    period: Interval,
    #[oai(flatten)]
    metrics: GroupMetrics,
    /// Mean number of transactions per minute.
    rpm: Option<f64>,
    /// The transactions by source: shows when a source has stopped reporting.
    by_source: BySource,
    /// The same as `rpm`.
    current_rpm: f64,
    /// The same as `conversion_rate`, but 0 if there are no transactions.
    success_rate: f64,
    /// The same as `total_count`.
    last_5min_count: i64,
    /// The same as `total_amount`.
    last_5min_amount: Option<Money>,
    /// The same as `total_amount_usd`.
    last_5min_amount_usd: Usd,
    /// The same as `success_count`.
    last_5min_success_count: i64,
    /// The same as `failed_count`.
    last_5min_failed_count: i64,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
    #[oai(flatten)]
    counted_as: CountedAs,
}

impl MetricsLive {
    fn new(minutes: &LastMinutes, rows: &[MetricRow], data_as_of: DataAsOf, context: &AnswerContext) -> Self {
        let tally = Tally::from_rows(rows);
        let (total, rpm) = (tally.total(), per_minute(tally.count(), minutes.starts().len()));
        Self {
            period: minutes.time_range().into(),
            metrics: GroupMetrics::new(&tally, &context.link),
            rpm,
            by_source: BySource::new(&tally, rows.iter(), &context.link),
            current_rpm: rpm.unwrap_or_default(),
            success_rate: tally.conversion_rate().unwrap_or_default(),
            last_5min_count: total.count,
            last_5min_amount: tally.money(total.amount),
            last_5min_amount_usd: Usd(total.amount_usd),
            last_5min_success_count: tally.measures(Status::Success).count,
            last_5min_failed_count: tally.measures(Status::Failed).count,
            data_as_of,
            counted_as: context.counted_as(),
        }
    }
}

pub(in crate::web) struct LiveApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl LiveApi {
    /// Get transactions per minute
    ///
    /// The number of transactions created in each of the last `minutes`, including the current one. Transactions that the next
    /// sync will read are not counted yet. `from_date`, `to_date` and `timezone` are ignored.
    #[oai(path = "/metrics/rpm", method = "get", operation_id = "getMetricsRpm")]
    async fn rpm(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
        rpm: Query<RpmQuery>,
    ) -> Result<Json<MetricsRpm>, Fails> {
        let minutes = LastMinutes::new(rpm.0.minutes.unwrap_or(DEFAULT_MINUTES), state.clock.now());
        let buckets = TimeBuckets::between(minutes.boundaries().to_vec());
        let time = CountedTime::Instants(minutes.time_range());
        let counts = |filter| MetricQuery::new(filter, buckets).counts();
        let (answer, context) = answer(&state, &caller, &query.0, time, counts).await?;
        Ok(Json(MetricsRpm::new(&minutes, &answer.rows, answer.as_of.into(), &context)))
    }

    /// Get live metrics
    ///
    /// The metrics of transactions created in the last five minutes, including the current one, in total and by source.
    /// `from_date`, `to_date` and `timezone` are ignored.
    #[oai(path = "/metrics/live", method = "get", operation_id = "getMetricsLive")]
    async fn live(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
    ) -> Result<Json<MetricsLive>, Fails> {
        let minutes = LastMinutes::new(LIVE_MINUTES, state.clock.now());
        let buckets = TimeBuckets::one(minutes.time_range());
        let time = CountedTime::Instants(minutes.time_range());
        let by_source = |filter| MetricQuery::new(filter, buckets).by_source();
        let (answer, context) = answer(&state, &caller, &query.0, time, by_source).await?;
        Ok(Json(MetricsLive::new(&minutes, &answer.rows, answer.as_of.into(), &context)))
    }
}

impl Example for MetricsRpm {
    fn example() -> Self {
        Self::new(
            &LastMinutes::new(5, EXAMPLE_TIME),
            &[MetricRow::example()],
            DataAsOf::example(),
            &AnswerContext::example(),
        )
    }
}

impl Example for MetricsLive {
    fn example() -> Self {
        Self::new(
            &LastMinutes::new(LIVE_MINUTES, EXAMPLE_TIME),
            &[MetricRow::example()],
            DataAsOf::example(),
            &AnswerContext::example(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rpm(counts: &[(i32, i64)]) -> MetricsRpm {
        let row = |(bucket, count): &(i32, i64)| {
            let mut row = MetricRow { bucket: *bucket, ..MetricRow::example() };
            row.measures.count = *count;
            row
        };
        let rows: Vec<MetricRow> = counts.iter().map(row).collect();
        MetricsRpm::new(&LastMinutes::new(6, EXAMPLE_TIME), &rows, DataAsOf::example(), &AnswerContext::example())
    }

    #[test]
    fn current_minute_is_the_last_item() {
        let response = rpm(&[(1, 7), (3, 7), (5, 2)]);
        let counts: Vec<i64> = response.data.iter().map(|minute| minute.count).collect();
        assert_eq!(counts, [0, 7, 0, 7, 0, 2]);
        assert_eq!((response.total_count, response.average, response.peak, response.current), (16, Some(2.67), 7, 2));
        assert_eq!(response.peak_at, Some(response.data[1].timestamp));
        assert_eq!(
            (response.total_transactions, response.avg_rpm, response.max_rpm, response.min_rpm, response.current_rpm),
            (16, 2.67, 7, 0, 2)
        );
        assert_eq!((response.data[1].rpm, response.data[1].success_rpm, response.data[1].failed_rpm), (7, 7, 0));
        assert_eq!(response.data[5].timestamp, Time(EXAMPLE_TIME));
    }

    #[test]
    fn no_transactions_have_no_peak() {
        let response = rpm(&[]);
        assert_eq!((response.average, response.peak, response.peak_at, response.current), (Some(0.0), 0, None, 0));
    }
}
