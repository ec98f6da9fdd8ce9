//! Which payments the metrics are asked of, and of which days.

use chrono::NaiveDate;
use chrono_tz::Tz;
use poem_openapi::Object;

use crate::domain::day::{DayRange, DayRangeError};
use crate::domain::metrics::query::MetricFilter;
use crate::domain::money::Currency;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};
use crate::web::http::fields::{Fields, FromFields};
use crate::web::http::problem::Problem;
use crate::web::state::State;

/// Without dates: today, and the six days before.
const DAYS_BY_HABIT: u64 = 7;

/// Which payments are counted.
#[derive(Debug, Clone, Default, Object)]
pub(in crate::web) struct MetricsQuery {
    /// Created on this day or later; without dates, the last seven days.
    from_date: Option<NaiveDate>,
    /// Created on this day or before.
    to_date: Option<NaiveDate>,
    /// The zone whose days they are (IANA name); the server's `REPORT_TIMEZONE` where nothing is said.
    timezone: Option<String>,
    /// Of these sources.
    source: Vec<Source>,
    /// Of these kinds.
    kind: Vec<Kind>,
    /// Of these projects.
    project: Vec<String>,
    /// In these states.
    status: Vec<Status>,
    /// In these currencies.
    currency: Vec<String>,
}

impl FromFields for MetricsQuery {
    fn read(fields: &mut Fields) -> Option<Self> {
        let from_date = fields.optional("from_date");
        let to_date = fields.optional("to_date");
        let zone = fields.optional::<Tz>("timezone");
        let source = fields.list("source");
        let kind = fields.list("kind");
        let project = fields.list("project");
        let status = fields.list("status");
        let currency = fields.list::<Currency>("currency");
        Some(Self {
            from_date: from_date?,
            to_date: to_date?,
            timezone: zone?.map(|zone| zone.name().to_owned()),
            source: source?,
            kind: kind?,
            project: project?,
            status: status?,
            currency: currency?.into_iter().map(String::from).collect(),
        })
    }
}

impl MetricsQuery {
    /// The zone whose days are asked for.
    pub(in crate::web) fn zone(&self, state: &State) -> Tz {
        self.timezone.as_deref().and_then(|name| name.parse().ok()).unwrap_or(state.report_timezone)
    }

    /// The days that are asked for; where only one end is given, the other is today, or a week from it.
    pub(in crate::web) fn days(&self, state: &State) -> Result<DayRange, Problem> {
        let zone = self.zone(state);
        let habit = DayRange::last(DAYS_BY_HABIT, state.clock.now(), zone);
        let span = habit.to() - habit.from();
        let days = match (self.from_date, self.to_date) {
            (None, None) => return Ok(habit),
            (Some(from), to) => DayRange::new(from, to.unwrap_or(habit.to()), zone),
            (None, Some(to)) => DayRange::new(to.checked_sub_signed(span).unwrap_or(to), to, zone),
        };
        days.map_err(|error| match error {
            DayRangeError::Reversed { .. } | DayRangeError::TooLong { .. } => {
                Problem::field("from_date", error.to_string())
            }
        })
    }

    /// Which payments are counted.
    pub(in crate::web) fn filter(&self) -> MetricFilter {
        MetricFilter {
            sources: self.source.clone(),
            kinds: self.kind.clone(),
            projects: self.project.clone(),
            statuses: self.status.clone(),
            currencies: self.currency.clone(),
            ..MetricFilter::default()
        }
    }
}
