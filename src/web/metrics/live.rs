//! What happens right now: the last minutes, the running one among them.
//!
//! Payments come when a sync tells of them, so the newest minutes fill up late; `data_as_of` says how late.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::Interval;
use super::measures::{BySource, PaymentMeasures};
use super::tally::Tally;
use crate::domain::metrics::minutes::LastMinutes;
use crate::domain::metrics::query::{MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::rate::average;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::http::auth::Viewer;
use crate::web::http::fails::Fails;
use crate::web::http::fields::{Fields, request_fields};
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::query::Query;
use crate::web::http::schema::Time;
use crate::web::responses::period::DataAsOf;
use crate::web::state::State;

/// How many minutes may be asked for.
const MINUTES: std::ops::RangeInclusive<u32> = 5..=1_440;
const MINUTES_BY_HABIT: u32 = 60;
/// How many minutes are at a glance.
const LIVE_MINUTES: u32 = 5;

request_fields! {
    /// How many minutes are counted.
    struct RpmQuery {
        /// The last so many minutes, the running one among them: 5 to 1440, or 60 where nothing is said.
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

/// The payments of a minute.
#[derive(Debug, Clone, Object)]
struct Minute {
    /// When it began.
    timestamp: Time,
    /// How many payments.
    count: i64,
}

/// Payments a minute.
#[derive(Debug, Clone, Object)]
#[oai(rename = "MetricsRpm", example)]
struct Rpm {
    /// The time it is about.
    period: Interval,
    /// How many minutes that is.
    minutes: usize,
    /// How many payments.
    total_count: i64,
    /// The minutes, the earliest first, the running one last.
    data: Vec<Minute>,
    /// Payments a minute in the mean of all of them.
    average: Option<f64>,
    /// The most payments that a minute had.
    peak: i64,
    /// The first minute that had them; null where there are no payments.
    peak_at: Option<Time>,
    /// The payments of the running minute so far.
    current: i64,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

impl Rpm {
    fn of(minutes: &LastMinutes, sums: &[MetricRow], data_as_of: DataAsOf) -> Self {
        let tallies = Tally::by(sums, |sum| sum.bucket);
        let count = |slot: i32| tallies.get(&slot).map_or(0, Tally::count);
        let row = |(start, slot): (&DateTime<Utc>, i32)| Minute { timestamp: Time(*start), count: count(slot) };
        let data: Vec<Minute> = minutes.starts().iter().zip(0..).map(row).collect();
        let peak = data.iter().rev().max_by_key(|minute| minute.count);
        let total_count = data.iter().map(|minute| minute.count).sum();
        Self {
            period: minutes.time_range().into(),
            minutes: data.len(),
            total_count,
            average: a_minute(total_count, data.len()),
            peak: peak.map_or(0, |minute| minute.count),
            peak_at: peak.filter(|minute| minute.count > 0).map(|minute| minute.timestamp),
            current: data.last().map_or(0, |minute| minute.count),
            data,
            data_as_of,
        }
    }
}

/// So many payments in so many minutes.
fn a_minute(count: i64, minutes: usize) -> Option<f64> {
    average(Decimal::from(count), i64::try_from(minutes).ok()?)?.to_f64()
}

/// The last five minutes.
#[derive(Debug, Clone, Object)]
#[oai(rename = "MetricsLive", example)]
struct Live {
    /// The time it is about.
    period: Interval,
    #[oai(flatten)]
    measures: PaymentMeasures,
    /// Payments a minute.
    rpm: Option<f64>,
    /// By source: one that has fallen silent is seen here.
    by_source: BySource,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

impl Live {
    fn of(minutes: &LastMinutes, sums: &[MetricRow], data_as_of: DataAsOf) -> Self {
        let tally = Tally::of(sums);
        Self {
            period: minutes.time_range().into(),
            measures: (&tally).into(),
            rpm: a_minute(tally.count(), minutes.starts().len()),
            by_source: BySource::of(&tally, sums.iter()),
            data_as_of,
        }
    }
}

/// The endpoints.
pub(in crate::web) struct LiveApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl LiveApi {
    /// Count payments a minute
    ///
    /// Over the last `minutes`, the running one among them, by the time payments were created. What the next sync will tell of
    /// is not counted yet. Dates and zone are passed over.
    #[oai(path = "/metrics/rpm", method = "get", operation_id = "getMetricsRpm")]
    async fn rpm(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<MetricsQuery>,
        rpm: Query<RpmQuery>,
    ) -> Result<Json<Rpm>, Fails> {
        let minutes = LastMinutes::new(rpm.0.minutes.unwrap_or(MINUTES_BY_HABIT), state.clock.now());
        let slots = TimeBuckets::between(minutes.boundaries().to_vec());
        let answer = state.metrics.query(&MetricQuery::new(query.0.filter(), slots).counts()).await?;
        Ok(Json(Rpm::of(&minutes, &answer.rows, answer.as_of.into())))
    }

    /// Look at the last five minutes
    ///
    /// What was created in them, the running one among them, in all and by source. Dates and zone are passed over.
    #[oai(path = "/metrics/live", method = "get", operation_id = "getMetricsLive")]
    async fn live(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<MetricsQuery>,
    ) -> Result<Json<Live>, Fails> {
        let minutes = LastMinutes::new(LIVE_MINUTES, state.clock.now());
        let question = MetricQuery::new(query.0.filter(), TimeBuckets::one(minutes.time_range())).by_source();
        let answer = state.metrics.query(&question).await?;
        Ok(Json(Live::of(&minutes, &answer.rows, answer.as_of.into())))
    }
}

impl Example for Rpm {
    fn example() -> Self {
        Self::of(&LastMinutes::new(5, EXAMPLE_TIME), &[MetricRow::example()], DataAsOf::example())
    }
}

impl Example for Live {
    fn example() -> Self {
        Self::of(&LastMinutes::new(LIVE_MINUTES, EXAMPLE_TIME), &[MetricRow::example()], DataAsOf::example())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rpm(counts: &[(i32, i64)]) -> Rpm {
        let sum = |(slot, count): &(i32, i64)| {
            let mut sum = MetricRow { bucket: *slot, ..MetricRow::example() };
            sum.measures.count = *count;
            sum
        };
        let sums: Vec<MetricRow> = counts.iter().map(sum).collect();
        Rpm::of(&LastMinutes::new(6, EXAMPLE_TIME), &sums, DataAsOf::example())
    }

    #[test]
    fn minutes_are_counted_to_the_running_one() {
        let answer = rpm(&[(1, 7), (3, 7), (5, 2)]);
        let counts: Vec<i64> = answer.data.iter().map(|minute| minute.count).collect();
        assert_eq!(counts, [0, 7, 0, 7, 0, 2]);
        assert_eq!((answer.total_count, answer.average, answer.peak, answer.current), (16, Some(2.67), 7, 2));
        assert_eq!(answer.peak_at, Some(answer.data[1].timestamp));
        assert_eq!(answer.data[5].timestamp, Time(EXAMPLE_TIME));
    }

    #[test]
    fn silence_has_no_peak() {
        let answer = rpm(&[]);
        assert_eq!((answer.average, answer.peak, answer.peak_at, answer.current), (Some(0.0), 0, None, 0));
    }
}
