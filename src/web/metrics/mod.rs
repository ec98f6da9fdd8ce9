//! The metrics of transactions.
//!
//! Each endpoint builds a [`MetricQuery`], has it answered by `operations::metrics_cache`, and adds the rows up to the items of
//! its response ([`tally`]).

mod answer;
mod bars;
mod by_dimension;
mod comparison;
mod currency_metrics;
mod distributions;
mod failure_report;
mod failures;
mod final_times;
mod group_metrics;
mod heatmap;
mod heatmap_axes;
mod live;
mod merchant;
mod merchant_comparison;
mod merchant_list;
mod merchants;
mod original_statuses;
mod overview;
mod pending;
mod projects;
mod shown_status;
mod tally;
mod trends;

use poem_openapi::{Object, OpenApi};

use self::answer::{AnswerContext, answer};
use super::filters::metrics::MetricsQuery;
use super::filters::rows_link::CountedTime;
use super::http::auth::Caller;
use super::http::problem::Problem;
use super::http::schema::Time;
use super::responses::period::{DataAsOf, Period};
use super::state::State;
use crate::domain::day::DayRange;
use crate::domain::metrics::query::{Dimension, MetricQuery};
use crate::domain::metrics::time_buckets::{HOURS, TimeBuckets};
use crate::domain::time_range::TimeRange;
use crate::operations::metrics_cache::MetricsAnswer;

pub(in crate::web) fn operations() -> impl OpenApi + 'static {
    (
        overview::OverviewApi,
        projects::ProjectsApi,
        trends::TrendsApi,
        by_dimension::DimensionsApi,
        merchants::MerchantsApi,
        comparison::ComparisonApi,
        heatmap::HeatmapApi,
        distributions::DistributionsApi,
        live::LiveApi,
        bars::BarsApi,
        merchant::MerchantApi,
        (
            original_statuses::OriginalStatusesApi,
            failures::FailuresApi,
            final_times::FinalTimesApi,
            pending::PendingApi,
        ),
    )
}

/// The days of the week, from Monday as 0.
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The key of an hour of the week in [`TimeBuckets::hours`].
fn hour_of_week(weekday: i32, hour: i32) -> i32 {
    weekday * HOURS + hour
}

/// The time that a response covers, if it is not made of whole days.
#[derive(Debug, Clone, Object)]
struct Interval {
    /// The start, included.
    from: Time,
    /// The end, excluded.
    until: Time,
}

impl From<TimeRange> for Interval {
    fn from(range: TimeRange) -> Self {
        Self { from: Time(range.from), until: Time(range.until) }
    }
}

/// Refuses more than `most` days, for what is counted payment by payment.
fn check_length(days: DayRange, most: i64) -> Result<(), Problem> {
    if (days.to() - days.from()).num_days() >= most {
        return Err(Problem::field("from_date", format!("must be at most {most} days before to_date")));
    }
    Ok(())
}

/// The metrics of the days of a request, by source, status and currency alone or also by `dimension`.
async fn query_period(
    state: &State,
    caller: &Caller,
    query: &MetricsQuery,
    dimension: Option<Dimension>,
) -> Result<(Period, MetricsAnswer, AnswerContext), Problem> {
    let days = query.days(state)?;
    let by_dimension =
        |filter| MetricQuery { by: dimension, ..MetricQuery::new(filter, TimeBuckets::one(days.time_range())) };
    let (answer, context) = answer(state, caller, query, CountedTime::Days(days), by_dimension).await?;
    Ok((days.into(), answer, context))
}
