//! The period that a response covers, and how current its data is.

use chrono::{DateTime, NaiveDate, Utc};
use poem_openapi::Object;
use poem_openapi::types::Example;

use crate::domain::day::DayRange;
use crate::web::http::openapi::{EXAMPLE_DAY, EXAMPLE_TIME};
use crate::web::http::schema::Time;

/// The days that a response covers, both included.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct Period {
    /// The first day.
    pub(in crate::web) from: NaiveDate,
    /// The last day.
    pub(in crate::web) to: NaiveDate,
    /// The time zone of the days (IANA name).
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

/// Up to when each source has been synced; null before its first complete sync.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct DataAsOf {
    /// Up to when Vima has been synced.
    pub(in crate::web) vima: Option<Time>,
    /// Up to when PayShack has been synced.
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
