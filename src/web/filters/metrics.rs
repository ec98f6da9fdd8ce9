//! The filters of metrics, for their endpoints and for their export.

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::rows_link::{CountedTime, RowsLink};
use crate::domain::day::{DayRange, DayRangeError};
use crate::domain::metrics::counting::Counting;
use crate::domain::metrics::query::MetricFilter;
use crate::domain::money::Currency;
use crate::domain::reconciliation::Projects;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};
use crate::web::http::auth::Caller;
use crate::web::http::fields::request_fields;
use crate::web::http::problem::Problem;
use crate::web::http::schema::{Zone, named_enum};
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
        /// Whether a payment that both providers report counts as two records or as one payment; default: `records`. `payments`
        /// leaves out PayShack's pay-ins of `RECONCILED_PROJECTS`, because Vima reports the same payments.
        count: Option<Counting>,
    }
}

impl MetricsQuery {
    /// Without `to_date`, the last day is today; without `from_date`, the period has seven days.
    pub(in crate::web) fn days(&self, state: &State) -> Result<DayRange, Problem> {
        let zone = self.zone(state);
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

    /// The same of payments with one of `statuses`. If the request names none of them, it stays as it is: there are no such payments.
    pub(in crate::web) fn of_statuses(&self, statuses: &[Status]) -> Self {
        let named: Vec<Status> = statuses.iter().copied().filter(|status| self.status.contains(status)).collect();
        let status = match (self.status.is_empty(), named.is_empty()) {
            (true, _) => statuses.to_vec(),
            (false, true) => self.status.clone(),
            (false, false) => named,
        };
        Self { status, ..self.clone() }
    }

    /// The same of payments with this status, whichever the request names.
    pub(in crate::web) fn of_status(&self, status: Status) -> Self {
        Self { status: vec![status], ..self.clone() }
    }

    pub(in crate::web) fn counting(&self) -> Counting {
        self.count.unwrap_or_default()
    }

    /// `reconciled` are the projects whose payments both sources report.
    pub(in crate::web) fn filter(&self, reconciled: &Projects, caller: &Caller) -> Result<MetricFilter, Problem> {
        let filter = self.records(caller)?;
        Ok(match self.counting() {
            Counting::Records => filter,
            Counting::Payments => filter.without_payshack_payins(reconciled),
        })
    }

    /// To what the request counts in `time`.
    pub(in crate::web) fn rows_link(&self, state: &State, time: CountedTime) -> RowsLink {
        let counting = Some(self.counting()).filter(|counting| *counting != Counting::default());
        let filters: [(&'static str, Vec<String>); 6] = [
            ("source", self.source.iter().map(|source| source.as_str().to_owned()).collect()),
            ("kind", self.kind.iter().map(|kind| kind.as_str().to_owned()).collect()),
            ("project", self.project.clone()),
            ("status", self.status.iter().map(|status| status.as_str().to_owned()).collect()),
            ("currency", self.currency.iter().map(|currency| currency.as_str().to_owned()).collect()),
            ("count", counting.iter().map(|counting| counting.as_str().to_owned()).collect()),
        ];
        RowsLink::new(filters, (time, self.zone(state)), state.clock.now())
    }

    fn zone(&self, state: &State) -> Tz {
        self.timezone.map_or(state.report_timezone, |Zone(zone)| zone)
    }

    /// The filter of all records, even if they are counted by payment.
    pub(in crate::web) fn records(&self, caller: &Caller) -> Result<MetricFilter, Problem> {
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

named_enum!(
    Counting,
    "Counting",
    Counting::ALL,
    "What is counted: stored records, or payments, of which some have two."
);

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
        /// Whether a payment that both providers report counts as two records or as one payment; default: `records`. `payments`
        /// leaves out PayShack's pay-ins of `RECONCILED_PROJECTS`, because Vima reports the same payments.
        count: Option<Counting>,
    }
}

impl MerchantMetricsQuery {
    /// The same for a project.
    pub(in crate::web) fn of_project(self, project: &str) -> MetricsQuery {
        let Self { from_date, to_date, timezone, source, kind, status, currency, count } = self;
        let project = vec![project.to_owned()];
        MetricsQuery { from_date, to_date, timezone, source, kind, project, status, currency, count }
    }
}
