//! The filters of metrics, for their endpoints and for their export.

use chrono::NaiveDate;

use crate::domain::day::{DayRange, DayRangeError};
use crate::domain::metrics::query::MetricFilter;
use crate::domain::money::Currency;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};
use crate::web::http::auth::Caller;
use crate::web::http::fields::request_fields;
use crate::web::http::problem::Problem;
use crate::web::http::schema::Zone;
use crate::web::state::State;

/// Without dates, the period is today and the six days before.
const DEFAULT_DAYS: u64 = 7;

request_fields! {
    /// Which payments are counted.
    pub(in crate::web) struct MetricsQuery {
        /// The first day of creation. Without dates, the period is the last seven days.
        from_date: Option<NaiveDate>,
        /// The last day of creation.
        to_date: Option<NaiveDate>,
        /// The time zone of the days (IANA name); default: the server's `REPORT_TIMEZONE`.
        timezone: Option<Zone>,
        /// Filter by provider.
        source: Vec<Source>,
        /// Filter by kind.
        kind: Vec<Kind>,
        /// Filter by project.
        project: Vec<String>,
        /// Filter by status.
        status: Vec<Status>,
        /// Filter by currency (ISO 4217 code).
        currency: Vec<Currency>,
    }
}

impl MetricsQuery {
    /// Without `to_date`, the last day is today; without `from_date`, the period has seven days.
    pub(in crate::web) fn days(&self, state: &State) -> Result<DayRange, Problem> {
        let zone = self.timezone.map_or(state.report_timezone, |Zone(zone)| zone);
        let default = DayRange::last(DEFAULT_DAYS, state.clock.now(), zone);
        let span = default.to() - default.from();
        let days = match (self.from_date, self.to_date) {
            (None, None) => return Ok(default),
            (Some(from), to) => DayRange::new(from, to.unwrap_or(default.to()), zone),
            (None, Some(to)) => DayRange::new(to.checked_sub_signed(span).unwrap_or(to), to, zone),
        };
        days.map_err(|error| match error {
            DayRangeError::Reversed { .. } | DayRangeError::TooLong { .. } => {
                Problem::field("from_date", error.to_string())
            }
        })
    }

    pub(in crate::web) fn filter(&self, caller: &Caller) -> Result<MetricFilter, Problem> {
        Ok(MetricFilter {
            sources: self.source.clone(),
            kinds: self.kind.clone(),
            projects: caller.projects(&self.project)?,
            statuses: self.status.clone(),
            currencies: self.currency.iter().map(|currency| currency.as_str().to_owned()).collect(),
            ..MetricFilter::default()
        })
    }
}

request_fields! {
    /// Which payments of a merchant are counted.
    pub(in crate::web) struct MerchantMetricsQuery {
        /// The first day of creation. Without dates, the period is the last seven days.
        from_date: Option<NaiveDate>,
        /// The last day of creation.
        to_date: Option<NaiveDate>,
        /// The time zone of the days (IANA name); default: the server's `REPORT_TIMEZONE`.
        timezone: Option<Zone>,
        /// Filter by provider.
        source: Vec<Source>,
        /// Filter by kind.
        kind: Vec<Kind>,
        /// Filter by status.
        status: Vec<Status>,
        /// Filter by currency (ISO 4217 code).
        currency: Vec<Currency>,
    }
}

impl MerchantMetricsQuery {
    /// The same for a project.
    pub(in crate::web) fn of_project(self, project: &str) -> MetricsQuery {
        let Self { from_date, to_date, timezone, source, kind, status, currency } = self;
        MetricsQuery { from_date, to_date, timezone, source, kind, project: vec![project.to_owned()], status, currency }
    }
}
