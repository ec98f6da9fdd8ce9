//! The metrics of payments, answered from the rollup cells.

use std::sync::Arc;

use chrono::NaiveDate;
use chrono_tz::Tz;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::{Object, OpenApi};

use super::app::State;
use super::auth::Viewer;
use super::document::Tag;
use super::error::Problem;
use super::fields::{Fields, FromFields};
use super::overview::Overview;
use super::query::Query;
use super::schema::Time;
use crate::db::overview::{CellFilter, list_sums};
use crate::db::{DbError, sync_history};
use crate::domain::day::{DayRange, DayRangeError};
use crate::domain::money::Currency;
use crate::domain::status::Status;
use crate::domain::transaction::{Kind, Source};

/// Without dates: today, and the six days before.
const DAYS_BY_HABIT: u64 = 7;

/// Which payments are counted.
#[derive(Debug, Clone, Default, Object)]
pub(super) struct MetricsQuery {
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
    /// The days that are asked for; where only one end is given, the other is today, or a week from it.
    fn days(&self, state: &State) -> Result<DayRange, Problem> {
        let zone = self.timezone.as_deref().and_then(|name| name.parse().ok()).unwrap_or(state.report_timezone);
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

    fn filter(self) -> CellFilter {
        CellFilter {
            sources: self.source,
            kinds: self.kind,
            projects: self.project,
            statuses: self.status,
            currencies: self.currency,
        }
    }
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

/// Up to when each source has been synced.
pub(super) async fn data_as_of(state: &State) -> Result<DataAsOf, DbError> {
    let [vima, payshack] = Source::ALL.map(|source| sync_history::find_watermark(&state.pool, source));
    let (vima, payshack) = tokio::try_join!(vima, payshack)?;
    Ok(DataAsOf { vima: vima.map(Time), payshack: payshack.map(Time) })
}

/// The endpoints.
pub(super) struct MetricsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Metrics")]
impl MetricsApi {
    /// Sum up a period
    ///
    /// Counts and sums of the payments created in the period, by status and by source, beside the change against as many
    /// days right before it. Amounts of several currencies are never added up: `total_amount` is null then, and
    /// `total_amount_usd` carries the sum.
    #[oai(path = "/metrics/overview", method = "get", operation_id = "getMetricsOverview")]
    async fn overview(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<MetricsQuery>,
    ) -> Result<Json<Overview>, Problem> {
        let days = query.0.days(&state)?;
        let (previous_start, _) = days.previous().instants();
        let (start, end) = days.instants();
        let filter = query.0.filter();
        let (sums, data_as_of) =
            tokio::try_join!(list_sums(&state.pool, &filter, previous_start, start, end), data_as_of(&state))?;
        Ok(Json(Overview::of(days.into(), &sums, data_as_of)))
    }
}
