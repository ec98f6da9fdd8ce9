//! The summary of a day.

use std::sync::Arc;

use chrono::NaiveDate;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object, OpenApi};
use uuid::Uuid;

use super::day_figures::DayFigures;
use super::figures::ResultsUrls;
use super::open_discrepancies::OpenDiscrepancies;
use super::runs::example_figures;
use crate::db::reconciliation::open_discrepancies;
use crate::db::reconciliation::runs::{self, ReconciliationRun};
use crate::domain::day::{day_before, day_of};
use crate::domain::reconciliation::RunStatus;
use crate::web::http::fails::Fails;
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::{EXAMPLE_DAY, EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::query::Query;
use crate::web::http::schema::Time;
use crate::web::responses::period::DataAsOf;
use crate::web::state::State;

request_fields! {
    /// The day of the summary.
    struct SummaryQuery {
        /// The day, in `RECONCILIATION_TIMEZONE`; default: yesterday.
        date: Option<NaiveDate>,
    }
}

/// The reconciliation status of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "snake_case")]
enum DayStatus {
    /// No run of the day has finished.
    NotRun,
    /// A run is in progress; the figures are those of the last completed run.
    Running,
    /// The last run is completed.
    Completed,
    /// The last run failed; the figures are those of the last completed run.
    Failed,
}

impl DayStatus {
    /// `runs` are ordered newest first. A queued run does not decide the status yet.
    fn from_runs(runs: &[ReconciliationRun]) -> Self {
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

/// The reconciliation of a day.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct ReconciliationSummary {
    /// The reconciled day.
    date: NaiveDate,
    /// The time zone of the day (IANA name).
    timezone: String,
    /// The last completed run, which the figures are of; null if there is none.
    run_id: Option<Uuid>,
    /// The time as of which that run judged.
    run_at: Option<Time>,
    /// The status of the day.
    status: DayStatus,
    /// Whether a later run may have other results: payments are pending, a provider had not been read past the end of
    /// the day, or there is no completed run.
    provisional: bool,
    #[oai(flatten)]
    figures: DayFigures,
    /// The lists of what was counted.
    rows_urls: ResultsUrls,
    /// Unresolved discrepancies of this day and all days before it.
    open_cases: OpenDiscrepancies,
    /// The time up to which each source has been synced.
    data_as_of: DataAsOf,
}

struct SummaryParts<'a> {
    date: NaiveDate,
    timezone: &'a str,
    runs: &'a [ReconciliationRun],
    open_cases: OpenDiscrepancies,
    data_as_of: DataAsOf,
}

impl From<SummaryParts<'_>> for ReconciliationSummary {
    fn from(parts: SummaryParts<'_>) -> Self {
        let completed = parts.runs.iter().find(|run| run.status == RunStatus::Completed);
        let (tally, amounts) = completed.map_or_else(Default::default, |run| (run.tally, run.amounts.clone()));
        Self {
            date: parts.date,
            timezone: parts.timezone.to_owned(),
            run_id: completed.map(|run| run.id),
            run_at: completed.map(|run| Time(run.run_at())),
            status: DayStatus::from_runs(parts.runs),
            provisional: completed.is_none_or(ReconciliationRun::is_provisional),
            figures: DayFigures::new(&tally, &amounts),
            rows_urls: completed.map(ResultsUrls::from).unwrap_or_default(),
            open_cases: parts.open_cases,
            data_as_of: parts.data_as_of,
        }
    }
}

fn example_open() -> open_discrepancies::OpenDiscrepancies {
    open_discrepancies::OpenDiscrepancies {
        recon_date: EXAMPLE_DAY,
        currency: Some("INR".to_owned()),
        count: 3,
        at_risk: 2_400.into(),
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
            rows_urls: ResultsUrls::new(EXAMPLE_ID, &tally),
            open_cases: OpenDiscrepancies::new(&[example_open()], EXAMPLE_DAY, EXAMPLE_DAY),
            data_as_of: DataAsOf { vima: Some(Time(EXAMPLE_TIME)), payshack: Some(Time(EXAMPLE_TIME)) },
        }
    }
}

pub(in crate::web) struct SummaryApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Reconciliation")]
impl SummaryApi {
    /// Get the reconciliation summary of a day
    ///
    /// Returns the totals of the last completed run of the day, and whether they are final. Amounts in different
    /// currencies are never added: `amount` is null then, and `amounts` has them by currency.
    #[oai(path = "/reconciliation/summary", method = "get", operation_id = "getReconciliationSummary")]
    async fn summary(
        &self,
        state: Data<&Arc<State>>,
        query: Query<SummaryQuery>,
    ) -> Result<Json<ReconciliationSummary>, Fails> {
        let (now, zone) = (state.clock.now(), state.reconciliation.zone);
        let date = query.0.date.unwrap_or_else(|| day_before(now, zone));
        let (runs, unresolved) = tokio::try_join!(
            runs::list_since_last_completed(&state.pool, date),
            open_discrepancies::sum_unresolved(&state.pool, date)
        )?;
        let data_as_of = state.metrics.current().await?.as_of().into();
        let open_cases = OpenDiscrepancies::new(&unresolved, date, day_of(now, zone));
        Ok(Json(SummaryParts { date, timezone: zone.name(), runs: &runs, open_cases, data_as_of }.into()))
    }
}
