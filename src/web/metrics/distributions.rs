//! How transactions are distributed over the week, and over ranges of amounts.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::answer::{AnswerContext, AnswerSummary, answer};
use super::tally::Tally;
use super::{DataAsOf, Period, WEEKDAYS, hour_of_week};
use crate::domain::metrics::amount_band::AmountBand;
use crate::domain::metrics::query::{Dimension, MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::{HOURS, TimeBuckets};
use crate::domain::status::Status;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::filters::rows_link::{CountedTime, RowsLink};
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::Tag;
use crate::web::http::query::Query;
use crate::web::http::schema::{Money, Usd};
use crate::web::state::State;

/// The transactions of an hour of the week.
#[derive(Debug, Clone, Object)]
struct WeekHour {
    /// The day of the week: 0 is Monday, 6 is Sunday.
    weekday: i32,
    /// The English name of the day of the week.
    weekday_name: String,
    /// The hour of the day in the time zone, 0 to 23.
    hour: i32,
    /// Number of transactions.
    count: i64,
    /// Sum of the amounts, in the response's `currency`; null if the transactions of the response have several currencies.
    amount: Option<Money>,
    /// Sum of the amounts in US dollars, without transactions that have no exchange rate.
    amount_usd: Usd,
    /// Number of successful transactions.
    success_count: i64,
    /// Successful transactions in percent of all; null if there are none.
    conversion_rate: Option<f64>,
    /// The same as `weekday`.
    day_of_week: i32,
    /// The same as `weekday_name`.
    day_name: String,
    /// Number of failed transactions.
    failed_count: i64,
    /// The same as `conversion_rate`, but 0 if there are no transactions.
    success_rate: f64,
    /// The path and query of the list of these transactions; null if there are none.
    rows_url: Option<String>,
}

/// Transactions by weekday and hour.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsHourlyDistribution {
    /// The days covered.
    period: Period,
    /// The currency of the amounts; null if the transactions have several currencies, or if there are none.
    currency: Option<String>,
    /// The 168 hours of the week, from Monday at 0.
    data: Vec<WeekHour>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
    #[oai(flatten)]
    summary: AnswerSummary,
}

impl MetricsHourlyDistribution {
    fn new(period: Period, rows: &[MetricRow], data_as_of: DataAsOf, context: &AnswerContext) -> Self {
        let whole = Tally::from_rows(rows);
        let tallies = Tally::by_key(rows, |row| row.bucket);
        let empty = Tally::default();
        let days = WEEKDAYS.iter().zip(0..).map(|(_, weekday)| context.link.with("weekday", &weekday.to_string()));
        let days: Vec<RowsLink> = days.collect();
        let item = |(index, (weekday, weekday_name)): (usize, (i32, &str)), hour| {
            let tally = tallies.get(&hour_of_week(weekday, hour)).unwrap_or(&empty);
            let total = tally.total();
            WeekHour {
                weekday,
                weekday_name: weekday_name.to_owned(),
                hour,
                count: total.count,
                amount: whole.money(total.amount),
                amount_usd: Usd(total.amount_usd),
                success_count: tally.measures(Status::Success).count,
                conversion_rate: tally.conversion_rate(),
                day_of_week: weekday,
                day_name: weekday_name.to_owned(),
                failed_count: tally.measures(Status::Failed).count,
                success_rate: tally.conversion_rate().unwrap_or_default(),
                rows_url: hour_link(&days[index], hour).to(total.count),
            }
        };
        let data = (0..).zip(WEEKDAYS).enumerate().flat_map(|weekday| (0..HOURS).map(move |hour| (weekday, hour)));
        let data = data.map(|(weekday, hour)| item(weekday, hour)).collect();
        Self { period, currency: whole.currency(), data, data_as_of, summary: context.summary_of(&whole) }
    }
}

/// The transactions of a range of amounts in an hour of the day.
#[derive(Debug, Clone, Object)]
struct BandHour {
    /// The range of amounts, one of the response's `buckets`.
    bucket: String,
    /// The index of the range in the response's `buckets`, from 0.
    bucket_index: usize,
    /// The hour of the day in the time zone, 0 to 23.
    hour: i32,
    /// Number of transactions.
    count: i64,
    /// Sum of the amounts, in the response's `currency`; null if the transactions of the response have several currencies.
    total_amount: Option<Money>,
    /// Sum of the amounts in US dollars, without transactions that have no exchange rate.
    total_amount_usd: Usd,
    /// The path and query of the list of these transactions; null if there are none.
    rows_url: Option<String>,
}

/// Transactions by range of amounts and hour of the day.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsAmountDistribution {
    /// The days covered.
    period: Period,
    /// The currency of the amounts; null if the transactions have several currencies, or if there are none.
    currency: Option<String>,
    /// The ranges of amounts: the lower bound is included, the upper one is not. They apply to the amount of a transaction in
    /// its own currency.
    buckets: Vec<String>,
    /// An item per range and hour of the day, the smallest amounts first.
    data: Vec<BandHour>,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
    #[oai(flatten)]
    summary: AnswerSummary,
}

impl MetricsAmountDistribution {
    fn new(period: Period, rows: &[MetricRow], data_as_of: DataAsOf, context: &AnswerContext) -> Self {
        let whole = Tally::from_rows(rows);
        let tallies = Tally::by_key(rows, |row| (row.member.as_str(), row.bucket));
        let empty = Tally::default();
        let bands: Vec<RowsLink> = AmountBand::all().map(|band| context.link.with_amounts(band.range())).collect();
        let item = |band: AmountBand, hour| {
            let total = tallies.get(&(band.as_str(), hour)).unwrap_or(&empty).total();
            BandHour {
                bucket: band.label().to_owned(),
                bucket_index: band.index(),
                hour,
                count: total.count,
                total_amount: whole.money(total.amount),
                total_amount_usd: Usd(total.amount_usd),
                rows_url: hour_link(&bands[band.index()], hour).to(total.count),
            }
        };
        let data = AmountBand::all().flat_map(|band| (0..HOURS).map(move |hour| (band, hour)));
        let data = data.map(|(band, hour)| item(band, hour)).collect();
        let buckets = AmountBand::all().map(|band| band.label().to_owned()).collect();
        Self { period, currency: whole.currency(), buckets, data, data_as_of, summary: context.summary_of(&whole) }
    }
}

fn hour_link(link: &RowsLink, hour: i32) -> RowsLink {
    link.with("hour", &hour.to_string())
}

pub(in crate::web) struct DistributionsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl DistributionsApi {
    /// Get hourly distribution
    ///
    /// Transactions by weekday and hour in the time zone, hours without transactions included. All Mondays of the period are
    /// counted together, and so on. An hour that daylight saving time repeats counts both times; one that it skips is empty.
    #[oai(path = "/metrics/hourly-distribution", method = "get", operation_id = "getMetricsHourlyDistribution")]
    async fn hourly(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
    ) -> Result<Json<MetricsHourlyDistribution>, Fails> {
        let days = query.0.days(&state)?;
        let hours = TimeBuckets::hours(days, hour_of_week);
        let by_hour = |filter| MetricQuery::new(filter, hours);
        let (answer, context) = answer(&state, &caller, &query.0, CountedTime::Days(days), by_hour).await?;
        Ok(Json(MetricsHourlyDistribution::new(days.into(), &answer.rows, answer.as_of.into(), &context)))
    }

    /// Get amount distribution
    ///
    /// Transactions by range of amounts and hour of the day in the time zone, empty ones included. The range is that of the
    /// transaction's amount in its own currency.
    #[oai(path = "/metrics/amount-distribution", method = "get", operation_id = "getMetricsAmountDistribution")]
    async fn amounts(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
    ) -> Result<Json<MetricsAmountDistribution>, Fails> {
        let days = query.0.days(&state)?;
        let hours = TimeBuckets::hours(days, |_, hour| hour);
        let by_band = |filter| MetricQuery::new(filter, hours).by(Dimension::AmountBand);
        let (answer, context) = answer(&state, &caller, &query.0, CountedTime::Days(days), by_band).await?;
        Ok(Json(MetricsAmountDistribution::new(days.into(), &answer.rows, answer.as_of.into(), &context)))
    }
}

impl Example for MetricsHourlyDistribution {
    fn example() -> Self {
        let whole =
            Self::new(Period::example(), &[MetricRow::example()], DataAsOf::example(), &AnswerContext::example());
        Self { data: whole.data.into_iter().take(2).collect(), ..whole }
    }
}

impl Example for MetricsAmountDistribution {
    fn example() -> Self {
        let row =
            MetricRow { member: AmountBand::from_amount(1_542.into()).as_str().to_owned(), ..MetricRow::example() };
        let whole = Self::new(Period::example(), &[row], DataAsOf::example(), &AnswerContext::example());
        Self { data: whole.data.into_iter().filter(|item| item.hour == 0).collect(), ..whole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hour_of_the_week_has_an_item() {
        // Sunday, 23:00.
        let row = MetricRow { bucket: 167, ..MetricRow::example() };
        let response =
            MetricsHourlyDistribution::new(Period::example(), &[row], DataAsOf::example(), &AnswerContext::example());
        let last = response.data.last().expect("an item");
        assert_eq!((response.data.len(), last.weekday, &*last.weekday_name, last.hour), (168, 6, "Sunday", 23));
        assert_eq!((last.count, last.success_count, last.conversion_rate), (120, 120, Some(100.0)));
        assert_eq!((response.data[0].count, response.data[0].conversion_rate), (0, None));
        assert_eq!((response.data[0].success_rate, last.success_rate, last.failed_count), (0.0, 100.0, 0));
        assert_eq!((last.day_of_week, &*last.day_name), (6, "Sunday"));
    }

    #[test]
    fn every_range_of_amounts_has_an_item_per_hour() {
        let mut rows = [
            MetricRow { bucket: 7, member: "3".to_owned(), ..MetricRow::example() },
            MetricRow { member: "0".to_owned(), ..MetricRow::example() },
        ];
        let response =
            MetricsAmountDistribution::new(Period::example(), &rows, DataAsOf::example(), &AnswerContext::example());
        assert_eq!((response.buckets.len(), response.data.len(), response.data[0].count), (8, 192, 120));
        let item = &response.data[3 * 24 + 7];
        assert_eq!((&*item.bucket, item.bucket_index, item.hour, item.count), ("1000-5000", 3, 7, 120));
        assert!(item.total_amount.is_some());
        rows[1].currency = "EUR".to_owned();
        let response =
            MetricsAmountDistribution::new(Period::example(), &rows, DataAsOf::example(), &AnswerContext::example());
        assert!(response.currency.is_none() && response.data.iter().all(|item| item.total_amount.is_none()));
    }
}
