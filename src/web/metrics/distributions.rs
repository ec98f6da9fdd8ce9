//! How payments are spread over the week, and over small and large amounts.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::WEEKDAYS;
use super::tally::Tally;
use crate::domain::metrics::amount_band::AmountBand;
use crate::domain::metrics::query::{Dimension, MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::{HOURS, TimeBuckets};
use crate::domain::status::Status;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::http::auth::Viewer;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::Tag;
use crate::web::http::query::Query;
use crate::web::http::schema::Money;
use crate::web::responses::period::{DataAsOf, Period};
use crate::web::state::State;

/// The payments of an hour of the week.
#[derive(Debug, Clone, Object)]
struct WeekHour {
    /// The day of the week: 0 is Monday.
    weekday: i32,
    /// Its name.
    weekday_name: String,
    /// The hour by the clocks of the zone, 0 to 23.
    hour: i32,
    /// How many payments.
    count: i64,
    /// The sum of their amounts; null where the payments of the answer have several currencies.
    amount: Option<Money>,
    /// The sum of their amounts in US dollars, of those that have a rate.
    amount_usd: Money,
    /// How many succeeded.
    success_count: i64,
    /// Successful payments of all, in percent.
    conversion_rate: Option<f64>,
}

/// How payments are spread over the week.
#[derive(Debug, Clone, Object)]
#[oai(rename = "MetricsHourlyDistribution", example)]
struct HourlyDistribution {
    /// The days it is about.
    period: Period,
    /// The currency of all payments; null where they have several, or there are none.
    currency: Option<String>,
    /// Every hour of the week, from Monday at 0.
    data: Vec<WeekHour>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

impl HourlyDistribution {
    fn of(period: Period, sums: &[MetricRow], data_as_of: DataAsOf) -> Self {
        let whole = Tally::of(sums);
        let tallies = Tally::by(sums, |sum| sum.bucket);
        let empty = Tally::default();
        let row = |(weekday, weekday_name): (i32, &str), hour| {
            let tally = tallies.get(&week_hour(weekday, hour)).unwrap_or(&empty);
            let all = tally.all();
            WeekHour {
                weekday,
                weekday_name: weekday_name.to_owned(),
                hour,
                count: all.count,
                amount: whole.money(all.amount),
                amount_usd: Money(all.amount_usd),
                success_count: tally.in_state(Status::Success).count,
                conversion_rate: tally.conversion_rate(),
            }
        };
        let weekdays = (0..).zip(WEEKDAYS);
        let data = weekdays.flat_map(|weekday| (0..HOURS).map(move |hour| (weekday, hour)));
        let data = data.map(|(weekday, hour)| row(weekday, hour)).collect();
        Self { period, currency: whole.currency(), data, data_as_of }
    }
}

/// The key of an hour of the week.
fn week_hour(weekday: i32, hour: i32) -> i32 {
    weekday * HOURS + hour
}

/// The payments of a band of amounts in an hour of the day.
#[derive(Debug, Clone, Object)]
struct BandHour {
    /// The band.
    bucket: String,
    /// Its place among `buckets`, from 0.
    bucket_index: usize,
    /// The hour by the clocks of the zone, 0 to 23.
    hour: i32,
    /// How many payments.
    count: i64,
    /// The sum of their amounts; null where the payments of the answer have several currencies.
    total_amount: Option<Money>,
    /// The sum of their amounts in US dollars, of those that have a rate.
    total_amount_usd: Money,
}

/// How payments are spread over small and large amounts.
#[derive(Debug, Clone, Object)]
#[oai(rename = "MetricsAmountDistribution", example)]
struct AmountDistribution {
    /// The days it is about.
    period: Period,
    /// The currency of all payments; null where they have several, or there are none.
    currency: Option<String>,
    /// The bands of amounts, each payment's in its own currency: from the first bound, included, to the second, excluded.
    buckets: Vec<String>,
    /// Every hour of the day for every band, the smallest amounts first.
    data: Vec<BandHour>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

impl AmountDistribution {
    fn of(period: Period, sums: &[MetricRow], data_as_of: DataAsOf) -> Self {
        let whole = Tally::of(sums);
        let tallies = Tally::by(sums, |sum| (sum.member.as_str(), sum.bucket));
        let empty = Tally::default();
        let row = |band: AmountBand, hour| {
            let all = tallies.get(&(band.as_str(), hour)).unwrap_or(&empty).all();
            BandHour {
                bucket: band.label().to_owned(),
                bucket_index: band.index(),
                hour,
                count: all.count,
                total_amount: whole.money(all.amount),
                total_amount_usd: Money(all.amount_usd),
            }
        };
        let data = AmountBand::all().flat_map(|band| (0..HOURS).map(move |hour| (band, hour)));
        let data = data.map(|(band, hour)| row(band, hour)).collect();
        let buckets = AmountBand::all().map(|band| band.label().to_owned()).collect();
        Self { period, currency: whole.currency(), buckets, data, data_as_of }
    }
}

/// The endpoints.
pub(in crate::web) struct DistributionsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl DistributionsApi {
    /// Spread payments over the week
    ///
    /// By weekday and hour of the zone, the empty hours with zeros: all Mondays of the period together, and so on. An hour that
    /// clocks show twice counts for both, one that they skip has nothing.
    #[oai(path = "/metrics/hourly-distribution", method = "get", operation_id = "getMetricsHourlyDistribution")]
    async fn hourly(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<MetricsQuery>,
    ) -> Result<Json<HourlyDistribution>, Fails> {
        let days = query.0.days(&state)?;
        let answer =
            state.metrics.query(&MetricQuery::new(query.0.filter(), TimeBuckets::hours(days, week_hour))).await?;
        Ok(Json(HourlyDistribution::of(days.into(), &answer.rows, answer.as_of.into())))
    }

    /// Spread payments over amounts
    ///
    /// By bands of amounts and hour of the day in the zone, the empty ones with zeros. A payment's band is that of its amount in
    /// its own currency.
    #[oai(path = "/metrics/amount-distribution", method = "get", operation_id = "getMetricsAmountDistribution")]
    async fn amounts(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<MetricsQuery>,
    ) -> Result<Json<AmountDistribution>, Fails> {
        let days = query.0.days(&state)?;
        let question =
            MetricQuery::new(query.0.filter(), TimeBuckets::hours(days, |_, hour| hour)).by(Dimension::AmountBand);
        let answer = state.metrics.query(&question).await?;
        Ok(Json(AmountDistribution::of(days.into(), &answer.rows, answer.as_of.into())))
    }
}

impl Example for HourlyDistribution {
    fn example() -> Self {
        let whole = Self::of(Period::example(), &[MetricRow::example()], DataAsOf::example());
        Self { data: whole.data.into_iter().take(2).collect(), ..whole }
    }
}

impl Example for AmountDistribution {
    fn example() -> Self {
        let sum =
            MetricRow { member: AmountBand::from_amount(1_542.into()).as_str().to_owned(), ..MetricRow::example() };
        let whole = Self::of(Period::example(), &[sum], DataAsOf::example());
        Self { data: whole.data.into_iter().filter(|row| row.hour == 0).collect(), ..whole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hour_of_the_week_has_a_row() {
        // Sunday at eleven at night.
        let sum = MetricRow { bucket: 167, ..MetricRow::example() };
        let answer = HourlyDistribution::of(Period::example(), &[sum], DataAsOf::example());
        let last = answer.data.last().expect("a row");
        assert_eq!((answer.data.len(), last.weekday, &*last.weekday_name, last.hour), (168, 6, "Sunday", 23));
        assert_eq!((last.count, last.success_count, last.conversion_rate), (120, 120, Some(100.0)));
        assert_eq!((answer.data[0].count, answer.data[0].conversion_rate), (0, None));
    }

    #[test]
    fn every_band_has_a_row_for_every_hour() {
        let mut sums = [
            MetricRow { bucket: 7, member: "3".to_owned(), ..MetricRow::example() },
            MetricRow { member: "0".to_owned(), ..MetricRow::example() },
        ];
        let answer = AmountDistribution::of(Period::example(), &sums, DataAsOf::example());
        assert_eq!((answer.buckets.len(), answer.data.len(), answer.data[0].count), (8, 192, 120));
        let row = &answer.data[3 * 24 + 7];
        assert_eq!((&*row.bucket, row.bucket_index, row.hour, row.count), ("1000-5000", 3, 7, 120));
        assert!(row.total_amount.is_some());
        sums[1].currency = "EUR".to_owned();
        let answer = AmountDistribution::of(Period::example(), &sums, DataAsOf::example());
        assert!(answer.currency.is_none() && answer.data.iter().all(|row| row.total_amount.is_none()));
    }
}
