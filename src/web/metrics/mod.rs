//! The metrics of payments.
//!
//! A file an endpoint, or a few that answer alike. Each says its question (`domain::metrics`), has it answered
//! (`operations::sum_payments`), gathers the sums into rows ([`tally`]) and writes them down; none knows how sums come about.

mod overview;
mod projects;
mod query;
mod tally;
mod trends;
mod written;

use chrono::{DateTime, NaiveDate, Utc};
use poem_openapi::{Object, OpenApi};

pub(super) use written::WrittenAnswers;

use super::app::State;
use super::schema::Time;
use crate::db::{DbError, freshness};
use crate::domain::day::DayRange;

/// The operations.
pub(super) fn operations() -> impl OpenApi + 'static {
    (overview::OverviewApi, projects::ProjectsApi, trends::TrendsApi)
}

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

/// Up to when each source has been synced.
pub(super) async fn data_as_of(state: &State) -> Result<DataAsOf, DbError> {
    Ok(freshness::look(&state.pool).await?.as_of.into())
}
