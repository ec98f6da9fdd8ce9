//! The metrics of payments.
//!
//! A file an endpoint, or a few that answer alike. Each says its question (`domain::metrics`), has it answered
//! (`operations::sum_payments`), gathers the sums into rows ([`tally`]) and writes them down; none knows how sums come about.

mod by_dimension;
mod comparison;
mod distributions;
mod heatmap;
mod live;
mod measures;
mod merchants;
mod overview;
mod projects;
mod tally;
mod trends;

use chrono::{DateTime, NaiveDate, Utc};
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

pub(in crate::web) use self::heatmap::{HeatmapDimension, HeatmapMetric};
pub(in crate::web) use self::merchants::MerchantSort;
pub(in crate::web) use super::filters::metrics::MetricsQuery;

use super::http::openapi::{EXAMPLE_DAY, EXAMPLE_TIME};
use super::http::schema::Time;
use super::state::State;
use crate::domain::day::DayRange;
use crate::domain::time_range::TimeRange;
use crate::operations::metrics_cache::MetricsError;

/// The operations.
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
    )
}

/// The days of the week, from Monday as 0.
const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// The days that an answer is about, both included.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct Period {
    /// The first day.
    pub(in crate::web) from: NaiveDate,
    /// The last day.
    pub(in crate::web) to: NaiveDate,
    /// The zone whose days they are.
    pub(in crate::web) timezone: String,
}

impl From<DayRange> for Period {
    fn from(days: DayRange) -> Self {
        Self { from: days.from(), to: days.to(), timezone: days.zone().name().to_owned() }
    }
}

impl Example for Period {
    fn example() -> Self {
        Self { from: EXAMPLE_DAY, to: EXAMPLE_DAY, timezone: "Asia/Kolkata".to_owned() }
    }
}

/// The time that an answer is about, where it is not of whole days.
#[derive(Debug, Clone, Object)]
struct Interval {
    /// From this instant, included.
    from: Time,
    /// To this one, excluded.
    until: Time,
}

impl From<TimeRange> for Interval {
    fn from(stretch: TimeRange) -> Self {
        Self { from: Time(stretch.from), until: Time(stretch.until) }
    }
}

/// Up to when each source has been synced; null before the first complete sync.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct DataAsOf {
    /// Vima.
    pub(in crate::web) vima: Option<Time>,
    /// PayShack.
    pub(in crate::web) payshack: Option<Time>,
}

impl From<[Option<DateTime<Utc>>; 2]> for DataAsOf {
    fn from([vima, payshack]: [Option<DateTime<Utc>>; 2]) -> Self {
        Self { vima: vima.map(Time), payshack: payshack.map(Time) }
    }
}

impl Example for DataAsOf {
    fn example() -> Self {
        Self { vima: Some(Time(EXAMPLE_TIME)), payshack: Some(Time(EXAMPLE_TIME)) }
    }
}

/// Up to when each source has been synced.
pub(in crate::web) async fn data_as_of(state: &State) -> Result<DataAsOf, MetricsError> {
    Ok(state.metrics.as_of().await?.into())
}
