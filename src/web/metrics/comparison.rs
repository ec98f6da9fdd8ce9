//! A period compared with the one before.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use rust_decimal::Decimal;

use super::answer::{AnswerContext, AnswerSummary, answer};
use super::group_metrics::GroupMetrics;
use super::tally::Tally;
use super::{DataAsOf, Interval};
use crate::domain::metrics::comparison::{ComparedPeriods, ComparisonType};
use crate::domain::metrics::query::{MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::rate::{percent_change, percentage_points};
use crate::domain::status::Status;
use crate::domain::time_range::TimeRange;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::filters::rows_link::CountedTime;
use crate::web::http::auth::Caller;
use crate::web::http::fails::Fails;
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::query::Query;
use crate::web::http::schema::{Money, Usd, named_enum};
use crate::web::state::State;

request_fields! {
/// Which periods are compared.
struct ComparisonQuery {
    /// Compares today, this week or this month so far with the same part of the previous one; `custom` compares the days from
    /// `from_date` to `to_date` with as many days right before. Default: `day`.
    comparison_type: Option<ComparisonType>,
}
}

/// One of the two periods.
#[derive(Debug, Clone, Object)]
struct ComparedPeriod {
    /// The time covered.
    period: Interval,
    /// The period in English, such as `Today`.
    period_name: String,
    #[oai(flatten)]
    metrics: GroupMetrics,
    /// Mean amount in US dollars, without transactions that have no exchange rate; null if there are none.
    avg_ticket_usd: Option<Usd>,
}

impl ComparedPeriod {
    fn new(range: TimeRange, name: &str, tally: &Tally, context: &AnswerContext) -> Self {
        Self {
            period: range.into(),
            period_name: name.to_owned(),
            metrics: GroupMetrics::new(tally, &context.link.within(range)),
            avg_ticket_usd: tally.avg_ticket_usd(),
        }
    }
}

/// The names of the current and the previous period.
fn period_names(comparison_type: ComparisonType) -> [&'static str; 2] {
    match comparison_type {
        ComparisonType::Day => ["Today", "Yesterday"],
        ComparisonType::Week => ["This week", "Last week"],
        ComparisonType::Month => ["This month", "Last month"],
        ComparisonType::Custom => ["Selected days", "Days before"],
    }
}

/// The changes from the previous period to the current one; negative if there is less. Percentages are of the previous value,
/// and null if that is 0.
#[derive(Debug, Clone, Object)]
struct Changes {
    /// Change of the number of transactions.
    count_change: i64,
    /// Change of the number of transactions, in percent.
    count_change_percent: Option<f64>,
    /// Change of the amount, in the currency of both periods; null if they have several.
    amount_change: Option<Money>,
    /// Change of the amount, in percent; of the amount in US dollars if the periods have several currencies.
    amount_change_percent: Option<f64>,
    /// Change of the amount in US dollars, without transactions that have no exchange rate.
    amount_usd_change: Usd,
    /// Change of the amount in US dollars, in percent.
    amount_usd_change_percent: Option<f64>,
    /// Change of the number of successful transactions.
    success_count_change: i64,
    /// Change of the number of successful transactions, in percent.
    success_count_change_percent: Option<f64>,
    /// Change of the number of failed transactions.
    failed_count_change: i64,
    /// Change of the number of failed transactions, in percent.
    failed_count_change_percent: Option<f64>,
    /// Change of the conversion rate, in percentage points; null if one of the periods has no transactions.
    conversion_rate_change: Option<f64>,
    /// Change of the conversion rate, in percentage points; a period without transactions counts as 0 percent.
    conversion_change: f64,
    /// Change of the mean amount of a transaction, in the currency of both periods; null if they have several, or if one of them
    /// has no transactions.
    avg_ticket_change: Option<Money>,
    /// Change of the mean amount, in percent; of the mean in US dollars if the periods have several currencies.
    avg_ticket_change_percent: Option<f64>,
}

impl Changes {
    fn new(current: &Tally, previous: &Tally) -> Self {
        let counts = |count: fn(&Tally) -> i64| {
            let (current, previous) = (count(current), count(previous));
            (current - previous, percent_change(current.into(), previous.into()))
        };
        let (count_change, count_change_percent) = counts(Tally::count);
        let (success_count_change, success_count_change_percent) =
            counts(|tally| tally.measures(Status::Success).count);
        let (failed_count_change, failed_count_change_percent) = counts(|tally| tally.measures(Status::Failed).count);
        let (current_total, previous_total) = (current.total(), previous.total());
        let mut both = current.clone();
        both.merge(previous);
        let ticket = |tally: &Tally| {
            if both.is_in_one_currency() {
                tally.avg_ticket().map(|Money(mean)| mean)
            } else {
                tally.avg_ticket_usd().map(|Usd(mean)| mean)
            }
        };
        let tickets = ticket(current).zip(ticket(previous));
        Self {
            count_change,
            count_change_percent,
            amount_change: both.money(current_total.amount - previous_total.amount),
            amount_change_percent: current.amount_change_percent(previous),
            amount_usd_change: Usd(current_total.amount_usd - previous_total.amount_usd),
            amount_usd_change_percent: percent_change(current_total.amount_usd, previous_total.amount_usd),
            success_count_change,
            success_count_change_percent,
            failed_count_change,
            failed_count_change_percent,
            conversion_rate_change: percentage_points(conversion(current), conversion(previous)),
            conversion_change: percentage_points(shown_conversion(current), shown_conversion(previous))
                .unwrap_or_default(),
            avg_ticket_change: tickets
                .filter(|_| both.is_in_one_currency())
                .map(|(current, previous)| Money(current - previous)),
            avg_ticket_change_percent: tickets.and_then(|(current, previous)| percent_change(current, previous)),
        }
    }
}

/// The number of successful transactions, and of all.
fn conversion(tally: &Tally) -> (Decimal, Decimal) {
    (tally.measures(Status::Success).count.into(), tally.count().into())
}

/// The same, as pages of the replaced service show it: 0 of 1 without transactions.
fn shown_conversion(tally: &Tally) -> (Decimal, Decimal) {
    let (success, all) = conversion(tally);
    (success, all.max(Decimal::ONE))
}

/// A period compared with the one before.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct MetricsComparison {
    /// Which periods are compared.
    comparison_type: ComparisonType,
    /// The time zone of the days, weeks and months (IANA name).
    timezone: String,
    /// The current period, so far.
    current: ComparedPeriod,
    /// The same part of the previous period.
    previous: ComparedPeriod,
    /// The changes from `previous` to `current`.
    comparison: Changes,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
    #[oai(flatten)]
    summary: AnswerSummary,
}

impl MetricsComparison {
    fn new(
        comparison_type: ComparisonType,
        timezone: &str,
        periods: ComparedPeriods,
        rows: &[MetricRow],
        data_as_of: DataAsOf,
        context: &AnswerContext,
    ) -> Self {
        let tally = |bucket| Tally::from_rows(rows.iter().filter(|row| row.bucket == bucket));
        let (current, previous) = (tally(TimeBuckets::LATER), tally(TimeBuckets::EARLIER));
        let [current_name, previous_name] = period_names(comparison_type);
        Self {
            comparison_type,
            timezone: timezone.to_owned(),
            current: ComparedPeriod::new(periods.current, current_name, &current, context),
            previous: ComparedPeriod::new(periods.previous, previous_name, &previous, context),
            comparison: Changes::new(&current, &previous),
            data_as_of,
            summary: context.summary_of(&current),
        }
    }
}

pub(in crate::web) struct ComparisonApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl ComparisonApi {
    /// Compare metrics with the previous period
    ///
    /// A period that has not ended is compared up to the end of the current quarter of an hour, with the previous period up to
    /// the same local time; both periods in the response state where they end. A month is compared only up to the last day of
    /// a shorter previous month. `from_date` and `to_date` only apply to `custom`.
    #[oai(path = "/metrics/comparison", method = "get", operation_id = "getMetricsComparison")]
    async fn comparison(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<MetricsQuery>,
        comparison: Query<ComparisonQuery>,
    ) -> Result<Json<MetricsComparison>, Fails> {
        let comparison_type = comparison.0.comparison_type.unwrap_or_default();
        let days = query.0.days(&state)?;
        let periods = comparison_type.periods(days, state.clock.now());
        let buckets = TimeBuckets::two(periods.previous, periods.current);
        let (time, both) = (CountedTime::Instants(periods.current), |filter| MetricQuery::new(filter, buckets));
        let (answer, context) = answer(&state, &caller, &query.0, time, both).await?;
        let as_of = answer.as_of.into();
        Ok(Json(MetricsComparison::new(comparison_type, days.zone().name(), periods, &answer.rows, as_of, &context)))
    }
}

fn example_rows() -> [MetricRow; 2] {
    let mut current = MetricRow { bucket: TimeBuckets::LATER, ..MetricRow::example() };
    current.measures.count = 150;
    [MetricRow { bucket: TimeBuckets::EARLIER, ..MetricRow::example() }, current]
}

impl Example for MetricsComparison {
    fn example() -> Self {
        let ending = |until| TimeRange { from: until - chrono::TimeDelta::hours(10), until };
        let periods = ComparedPeriods {
            previous: ending(EXAMPLE_TIME - chrono::TimeDelta::days(1)),
            current: ending(EXAMPLE_TIME),
        };
        Self::new(ComparisonType::Day, "UTC", periods, &example_rows(), DataAsOf::example(), &AnswerContext::example())
    }
}

named_enum!(ComparisonType, "ComparisonType", ComparisonType::ALL, "The periods that are compared.");

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(current: &[MetricRow], previous: &[MetricRow]) -> Changes {
        Changes::new(&Tally::from_rows(current), &Tally::from_rows(previous))
    }

    #[test]
    fn changes_are_absolute_and_in_percent() {
        let [previous, current] = example_rows();
        let failed = MetricRow { status: Status::Failed, ..previous.clone() };
        let changes = changes(&[current], &[previous, failed]);
        assert_eq!((changes.count_change, changes.count_change_percent), (-90, Some(-37.5)));
        assert_eq!((changes.success_count_change, changes.success_count_change_percent), (30, Some(25.0)));
        assert_eq!((changes.failed_count_change, changes.failed_count_change_percent), (-120, Some(-100.0)));
        assert_eq!(changes.amount_change, Some(Money(Decimal::new(-18_510_000, 2))));
        assert_eq!((changes.amount_change_percent, changes.conversion_rate_change), (Some(-50.0), Some(50.0)));
        assert_eq!((changes.conversion_change, changes.avg_ticket_change_percent), (50.0, Some(-20.0)));
        assert_eq!(changes.avg_ticket_change, Some(Money(Decimal::new(-30_850, 2))));
    }

    #[test]
    fn amounts_of_two_currencies_are_compared_in_dollars() {
        let [mut previous, current] = example_rows();
        previous.currency = "EUR".to_owned();
        previous.measures.amount_usd = Decimal::from(4_442);
        let changes = changes(&[current], &[previous]);
        assert_eq!((changes.amount_change, changes.amount_change_percent), (None, Some(-50.0)));
        assert_eq!(changes.amount_usd_change, Usd(Decimal::new(-222_080, 2)));
        assert_eq!((changes.avg_ticket_change, changes.avg_ticket_change_percent), (None, Some(-59.99)));
    }

    #[test]
    fn empty_previous_period_has_no_percentages() {
        let [_, current] = example_rows();
        let changes = changes(&[current], &[]);
        assert_eq!((changes.count_change, changes.count_change_percent), (150, None));
        assert_eq!((changes.amount_change_percent, changes.conversion_rate_change), (None, None));
        assert_eq!((changes.conversion_change, changes.avg_ticket_change), (100.0, None));
    }
}
