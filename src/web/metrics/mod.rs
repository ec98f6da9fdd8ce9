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
mod query;
mod tally;
mod trends;

use chrono::{DateTime, NaiveDate, Utc};
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

pub(super) use self::heatmap::{HeatmapDimension, HeatmapMetric};
pub(super) use self::merchants::MerchantSort;
pub(super) use self::query::MetricsQuery;

use super::app::State;
use super::document::{EXAMPLE_DAY, EXAMPLE_TIME};
use super::schema::Time;
use crate::domain::day::DayRange;
use crate::domain::metrics::rollup_plan::Stretch;
use crate::operations::metrics_cache::SumError;

/// The operations.
pub(super) fn operations() -> impl OpenApi + 'static {
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
pub(super) struct Period {
    /// The first day.
    pub(super) from: NaiveDate,
    /// The last day.
    pub(super) to: NaiveDate,
    /// The zone whose days they are.
    pub(super) timezone: String,
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

impl From<Stretch> for Interval {
    fn from(stretch: Stretch) -> Self {
        Self { from: Time(stretch.from), until: Time(stretch.until) }
    }
}

/// Up to when each source has been synced; null before the first complete sync.
#[derive(Debug, Clone, Object)]
pub(super) struct DataAsOf {
    /// Vima.
    pub(super) vima: Option<Time>,
    /// PayShack.
    pub(super) payshack: Option<Time>,
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
pub(super) async fn data_as_of(state: &State) -> Result<DataAsOf, SumError> {
    Ok(state.sums.as_of().await?.into())
}
