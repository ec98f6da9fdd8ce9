//! How a day stands: what its last completed run found, whether that is final, and what is left to look into.

use std::sync::Arc;

use chrono::NaiveDate;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use super::day_figures::DayFigures;
use super::open_cases::OpenCases;
use super::runs::example_figures;
use crate::db::reconciliation::open_discrepancies::sum_unresolved;
use crate::db::reconciliation::runs::{self, ReconciliationRun};
use crate::domain::day::{day_before, day_of};
use crate::domain::reconciliation::RunStatus;
use crate::web::http::auth::Viewer;
use crate::web::http::fields::{Fields, FromFields};
use crate::web::http::openapi::{EXAMPLE_DAY, EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::problem::Problem;
use crate::web::http::query::Query;
use crate::web::http::schema::Time;
use crate::web::metrics::{DataAsOf, data_as_of};
use crate::web::state::State;

/// Which day is summed up.
#[derive(Debug, Clone, Object)]
struct SummaryQuery {
    /// The day, in `RECONCILIATION_TIMEZONE`; yesterday where nothing is said.
    date: Option<NaiveDate>,
}

impl FromFields for SummaryQuery {
    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self { date: fields.optional("date")? })
    }
}

/// How a day stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum DayStatus {
    /// No run of it has come to an end.
    NotRun,
    /// A run of it is at work; the figures are those of the last one that completed.
    Running,
    /// Its last run has completed.
    Completed,
    /// Its last run has failed; the figures are those of the last one that completed.
    Failed,
}

impl DayStatus {
    /// By the runs that tell, the newest first. One that waits to go on says nothing yet.
    fn of(runs: &[ReconciliationRun]) -> Self {
        if runs.iter().any(|run| run.status == RunStatus::Running) {
            return Self::Running;
        }
        let ended = runs.iter().find_map(|run| match run.status {
            RunStatus::Completed => Some(Self::Completed),
            RunStatus::Failed => Some(Self::Failed),
            RunStatus::Queued | RunStatus::Running | RunStatus::Cancelled => None,
        });
        ended.unwrap_or(Self::NotRun)
    }
}

/// How the reconciliation of a day stands.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct ReconciliationSummary {
    /// The day.
    date: NaiveDate,
    /// The zone whose day it is (IANA name).
    timezone: String,
    /// The run that the figures are of: the last one that completed; null where none has.
    run_id: Option<Uuid>,
    /// The time at which that run judged.
    run_at: Option<Time>,
    /// How the day stands.
    status: DayStatus,
    /// Whether a later run may say otherwise: something is pending, a side had not been read past the end of the day, or
    /// there was no run.
    provisional: bool,
    #[oai(flatten)]
    figures: DayFigures,
    /// What is left to look into, of this day and all before it.
    open_cases: OpenCases,
    /// Up to when each source has been synced.
    data_as_of: DataAsOf,
}

/// What a day's figures are made of.
struct Told<'a> {
    date: NaiveDate,
    timezone: &'a str,
    runs: &'a [ReconciliationRun],
    open_cases: OpenCases,
    data_as_of: DataAsOf,
}

impl From<Told<'_>> for ReconciliationSummary {
    fn from(told: Told<'_>) -> Self {
        let completed = told.runs.iter().find(|run| run.status == RunStatus::Completed);
        let (tally, amounts) = completed.map_or_else(Default::default, |run| (run.tally, run.amounts.clone()));
        Self {
            date: told.date,
            timezone: told.timezone.to_owned(),
            run_id: completed.map(|run| run.id),
            run_at: completed.map(|run| Time(run.run_at())),
            status: DayStatus::of(told.runs),
            provisional: completed.is_none_or(ReconciliationRun::is_provisional),
            figures: DayFigures::new(&tally, &amounts),
            open_cases: told.open_cases,
            data_as_of: told.data_as_of,
        }
    }
}

impl Example for ReconciliationSummary {
    fn example() -> Self {
        let (tally, amounts) = example_figures();
        Self {
            date: EXAMPLE_DAY,
            timezone: "Asia/Kolkata".to_owned(),
            run_id: Some(EXAMPLE_ID),
            run_at: Some(Time(EXAMPLE_TIME)),
            status: DayStatus::Completed,
            provisional: true,
            figures: DayFigures::new(&tally, &amounts),
            open_cases: OpenCases::of(&[], EXAMPLE_DAY),
            data_as_of: DataAsOf { vima: Some(Time(EXAMPLE_TIME)), payshack: Some(Time(EXAMPLE_TIME)) },
        }
    }
}

/// The endpoints.
pub(in crate::web) struct SummaryApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Reconciliation")]
impl SummaryApi {
    /// MetricRow up the reconciliation of a day
    ///
    /// What the last completed run of the day found, and whether that is final. Amounts of several currencies are never added
    /// up: `amount` is null then, and `amounts` tells each.
    #[oai(path = "/reconciliation/summary", method = "get", operation_id = "getReconciliationSummary")]
    async fn summary(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<SummaryQuery>,
    ) -> Result<Json<ReconciliationSummary>, Problem> {
        let (now, zone) = (state.clock.now(), state.reconciliation.zone);
        let date = query.0.date.unwrap_or_else(|| day_before(now, zone));
        let (runs, cases) =
            tokio::try_join!(runs::list_since_last_completed(&state.pool, date), sum_unresolved(&state.pool, date))?;
        let data_as_of = data_as_of(&state).await?;
        let open_cases = OpenCases::of(&cases, day_of(now, zone));
        Ok(Json(Told { date, timezone: zone.name(), runs: &runs, open_cases, data_as_of }.into()))
    }
}
