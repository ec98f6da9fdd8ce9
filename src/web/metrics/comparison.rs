//! What there is of a period so far, beside as much of the one before.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use rust_decimal::Decimal;

use super::Interval;
use super::measures::PaymentMeasures;
use super::tally::Tally;
use crate::domain::metrics::comparison::{ComparedPeriods, ComparisonType};
use crate::domain::metrics::query::{MetricQuery, MetricRow};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::rate::{percent_change, percentage_points};
use crate::domain::status::Status;
use crate::domain::time_range::TimeRange;
use crate::web::filters::metrics::MetricsQuery;
use crate::web::http::auth::Viewer;
use crate::web::http::fails::Fails;
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::query::Query;
use crate::web::http::schema::{Money, named_enum};
use crate::web::responses::period::DataAsOf;
use crate::web::state::State;

request_fields! {
    /// What is held against what.
    struct ComparisonQuery {
        /// Today, this week or this month so far against as much of the one before, or with `custom` the days of `from_date` and
        /// `to_date` against as many right before them; `day` where nothing is said.
        comparison_type: Option<ComparisonType>,
    }
}

/// One of two periods.
#[derive(Debug, Clone, Object)]
struct ComparedPeriod {
    /// The time it is about.
    period: Interval,
    #[oai(flatten)]
    measures: PaymentMeasures,
}

/// How much more there is than before; below zero where it is less. Percents are of what was before, and null where that was 0.
#[derive(Debug, Clone, Object)]
struct Changes {
    /// Of payments.
    count_change: i64,
    /// The same in percent.
    count_change_percent: Option<f64>,
    /// Of money, in the currency of both periods; null where they have several.
    amount_change: Option<Money>,
    /// The same in percent; of US dollars where both periods have several currencies.
    amount_change_percent: Option<f64>,
    /// Of money in US dollars, of payments that have a rate.
    amount_usd_change: Money,
    /// The same in percent.
    amount_usd_change_percent: Option<f64>,
    /// Of successful payments.
    success_count_change: i64,
    /// The same in percent.
    success_count_change_percent: Option<f64>,
    /// Of failed payments.
    failed_count_change: i64,
    /// The same in percent.
    failed_count_change_percent: Option<f64>,
    /// Of conversion, in percentage points; null where a period has no payments.
    conversion_rate_change: Option<f64>,
}

impl Changes {
    fn of(current: &Tally, previous: &Tally) -> Self {
        let counts = |count: fn(&Tally) -> i64| {
            let (now, before) = (count(current), count(previous));
            (now - before, percent_change(now.into(), before.into()))
        };
        let (count_change, count_change_percent) = counts(Tally::count);
        let (success_count_change, success_count_change_percent) =
            counts(|tally| tally.in_state(Status::Success).count);
        let (failed_count_change, failed_count_change_percent) = counts(|tally| tally.in_state(Status::Failed).count);
        let (now, before) = (current.all(), previous.all());
        let mut both = current.clone();
        both.join(previous);
        Self {
            count_change,
            count_change_percent,
            amount_change: both.money(now.amount - before.amount),
            amount_change_percent: current.amount_change_percent(previous),
            amount_usd_change: Money(now.amount_usd - before.amount_usd),
            amount_usd_change_percent: percent_change(now.amount_usd, before.amount_usd),
            success_count_change,
            success_count_change_percent,
            failed_count_change,
            failed_count_change_percent,
            conversion_rate_change: percentage_points(conversion(current), conversion(previous)),
        }
    }
}

/// How many succeeded, of how many.
fn conversion(tally: &Tally) -> (Decimal, Decimal) {
    (tally.in_state(Status::Success).count.into(), tally.count().into())
}

/// Two periods held against each other.
#[derive(Debug, Clone, Object)]
#[oai(rename = "MetricsComparison", example)]
struct ComparisonAnswer {
    /// What is held against what.
    comparison_type: ComparisonType,
    /// The zone whose days, weeks and months they are.
    timezone: String,
    /// The later period: what there is of it so far.
    current: ComparedPeriod,
    /// The earlier one: as much of it.
    previous: ComparedPeriod,
    /// How much more there is in the later one.
    comparison: Changes,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

impl ComparisonAnswer {
    fn of(
        comparison_type: ComparisonType,
        timezone: &str,
        periods: ComparedPeriods,
        sums: &[MetricRow],
        data_as_of: DataAsOf,
    ) -> Self {
        let tally = |slot| Tally::of(sums.iter().filter(|sum| sum.bucket == slot));
        let (current, previous) = (tally(TimeBuckets::LATER), tally(TimeBuckets::EARLIER));
        Self {
            comparison_type,
            timezone: timezone.to_owned(),
            current: ComparedPeriod { period: periods.current.into(), measures: (&current).into() },
            previous: ComparedPeriod { period: periods.previous.into(), measures: (&previous).into() },
            comparison: Changes::of(&current, &previous),
            data_as_of,
        }
    }
}

/// The endpoint.
pub(in crate::web) struct ComparisonApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl ComparisonApi {
    /// Compare a period with the one before
    ///
    /// Of a period that is still running, `current` ends with the running quarter of an hour, and `previous` at the same time by
    /// the clocks of the zone, so that whole quarters are compared; both say where they end. A month is cut at the end of a
    /// shorter one before. `from_date` and `to_date` matter to `custom` alone.
    #[oai(path = "/metrics/comparison", method = "get", operation_id = "getMetricsComparison")]
    async fn comparison(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<MetricsQuery>,
        comparison: Query<ComparisonQuery>,
    ) -> Result<Json<ComparisonAnswer>, Fails> {
        let comparison_type = comparison.0.comparison_type.unwrap_or_default();
        let days = query.0.days(&state)?;
        let periods = comparison_type.periods(days, state.clock.now());
        let slots = TimeBuckets::two(periods.previous, periods.current);
        let answer = state.metrics.query(&MetricQuery::new(query.0.filter(), slots)).await?;
        let as_of = answer.as_of.into();
        Ok(Json(ComparisonAnswer::of(comparison_type, days.zone().name(), periods, &answer.rows, as_of)))
    }
}

fn example_sums() -> [MetricRow; 2] {
    let mut current = MetricRow { bucket: TimeBuckets::LATER, ..MetricRow::example() };
    current.measures.count = 150;
    [MetricRow { bucket: TimeBuckets::EARLIER, ..MetricRow::example() }, current]
}

impl Example for ComparisonAnswer {
    fn example() -> Self {
        let ending = |until| TimeRange { from: until - chrono::TimeDelta::hours(10), until };
        let periods = ComparedPeriods {
            previous: ending(EXAMPLE_TIME - chrono::TimeDelta::days(1)),
            current: ending(EXAMPLE_TIME),
        };
        Self::of(ComparisonType::Day, "UTC", periods, &example_sums(), DataAsOf::example())
    }
}

named_enum!(ComparisonType, "ComparisonType", ComparisonType::ALL, "The periods that are compared.");

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(current: &[MetricRow], previous: &[MetricRow]) -> Changes {
        Changes::of(&Tally::of(current), &Tally::of(previous))
    }

    #[test]
    fn changes_are_absolute_and_in_percent() {
        let [previous, current] = example_sums();
        let failed = MetricRow { status: Status::Failed, ..previous.clone() };
        let changes = changes(&[current], &[previous, failed]);
        assert_eq!((changes.count_change, changes.count_change_percent), (-90, Some(-37.5)));
        assert_eq!((changes.success_count_change, changes.success_count_change_percent), (30, Some(25.0)));
        assert_eq!((changes.failed_count_change, changes.failed_count_change_percent), (-120, Some(-100.0)));
        assert_eq!(changes.amount_change, Some(Money(Decimal::new(-18_510_000, 2))));
        assert_eq!((changes.amount_change_percent, changes.conversion_rate_change), (Some(-50.0), Some(50.0)));
    }

    #[test]
    fn amounts_of_two_currencies_are_compared_in_dollars() {
        let [mut previous, current] = example_sums();
        previous.currency = "EUR".to_owned();
        previous.measures.amount_usd = Decimal::from(4_442);
        let changes = changes(&[current], &[previous]);
        assert_eq!((changes.amount_change, changes.amount_change_percent), (None, Some(-50.0)));
        assert_eq!(changes.amount_usd_change, Money(Decimal::new(-222_080, 2)));
    }

    #[test]
    fn nothing_before_is_no_hundred_percent() {
        let [_, current] = example_sums();
        let changes = changes(&[current], &[]);
        assert_eq!((changes.count_change, changes.count_change_percent), (150, None));
        assert_eq!((changes.amount_change_percent, changes.conversion_rate_change), (None, None));
    }
}
