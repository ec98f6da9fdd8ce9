//! The metrics of payments.
//!
//! A file an endpoint, or a few that answer alike. Each says its question (`domain::metrics`), has it answered
//! (`operations::metrics_cache`), gathers the sums into rows ([`tally`]) and writes them down; none knows how sums come about.

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

use poem_openapi::{Object, OpenApi};

use super::http::schema::Time;
use crate::domain::time_range::TimeRange;

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
