//! Reconciliation runs.

use std::sync::Arc;

use chrono::NaiveDate;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use super::figures::{CurrencyAmounts, ReconciliationCounts, ReconciliationShares, ResultsUrls, by_currency};
use crate::db::DbError;
use crate::db::jobs::listing;
use crate::db::jobs::listing::JobDetails;
use crate::db::page::TimeCursor;
use crate::db::reconciliation::runs::{self, RunFilter};
use crate::domain::job::{JobId, JobState, RECONCILE, Trigger};
use crate::domain::masking::PiiAccess;
use crate::domain::reconciliation::tally::{Amounts, AmountsByCurrency, BySide, Tally};
use crate::domain::reconciliation::{Coverage, Parameters, ReconcileArgs, RunStatus};
use crate::web::http::auth::Caller;
use crate::web::http::fails::{Fails, NotFound};
use crate::web::http::fields::{Fields, request_fields};
use crate::web::http::openapi::{EXAMPLE_DAY, EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::pagination;
use crate::web::http::pagination::{Page, PageQuery};
use crate::web::http::path::Path;
use crate::web::http::problem::{Problem, ProblemCode};
use crate::web::http::query::Query;
use crate::web::http::schema::{Money, Time, named_enum};
use crate::web::state::State;

/// Cursors are signed for this list.
const LISTING: &str = "reconciliation runs";

request_fields! {
    /// Which runs are listed.
    struct RunsQuery {
        /// Only runs of this day. Cannot be combined with `from_date` or `to_date`.
        date: Option<NaiveDate>,
        /// The first day of the reconciled days.
        from_date: Option<NaiveDate>,
        /// The last day of the reconciled days.
        to_date: Option<NaiveDate>,
        /// Filter by status.
        status: Vec<RunStatus>,
        /// Filter by what created the job.
        trigger: Vec<Trigger>,
    }
    check: RunsQuery::check
}

impl RunsQuery {
    fn check(&self, fields: &mut Fields) {
        if self.date.is_some() && self.from_date.or(self.to_date).is_some() {
            fields.error("date", "cannot be combined with from_date or to_date");
        }
        fields.check_days(self.from_date, self.to_date);
    }
}

impl From<RunsQuery> for RunFilter {
    fn from(query: RunsQuery) -> Self {
        Self {
            from_date: query.date.or(query.from_date),
            to_date: query.date.or(query.to_date),
            statuses: query.status,
            triggers: query.trigger,
        }
    }
}

/// The rules of a run, as they were set when it started.
#[derive(Debug, Clone, Object)]
struct RunParameters {
    /// The time zone of the day (IANA name).
    timezone: String,
    /// The reconciled projects; `*` means all.
    projects: Vec<String>,
    /// The most hours between the creation times of a payment's two records.
    window_hours: u32,
    /// Amounts that differ by at most this much are equal.
    amount_tolerance: Money,
    /// Amounts that differ by at most this many percent of Vima's amount are equal. The larger of both tolerances
    /// applies.
    amount_tolerance_percent: Money,
    /// How many minutes one provider may report a final status before the other does; until then the payment is
    /// pending.
    pending_grace_minutes: u32,
    /// A payment is missing at a provider only if that provider has been read up to this many minutes after the
    /// payment.
    settle_minutes: u32,
}

impl From<Parameters> for RunParameters {
    fn from(parameters: Parameters) -> Self {
        Self {
            timezone: parameters.timezone,
            projects: parameters.projects.into(),
            window_hours: parameters.window_hours,
            amount_tolerance: Money(parameters.amount_tolerance),
            amount_tolerance_percent: Money(parameters.amount_tolerance_percent),
            pending_grace_minutes: parameters.pending_grace_minutes,
            settle_minutes: parameters.settle_minutes,
        }
    }
}

/// The time range that had been read from a provider when the run judged.
#[derive(Debug, Clone, Default, Object)]
struct RunWatermark {
    /// The end of the range; null before the first complete sync.
    watermark: Option<Time>,
    /// The start of the range; null before the first sync.
    covered_from: Option<Time>,
}

/// How far both providers had been read when the run judged.
#[derive(Debug, Clone, Default, Object)]
struct RunWatermarks {
    vima: RunWatermark,
    payshack: RunWatermark,
}

/// A reconciliation of one day. A completed run never changes.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct ReconciliationRun {
    /// The id of the run, which is the id of its job.
    id: Uuid,
    /// The id of the job. Finished jobs are deleted after `JOB_RETENTION_DAYS`, runs are not.
    job_id: Uuid,
    /// The reconciled day, in `RECONCILIATION_TIMEZONE`.
    date: NaiveDate,
    /// The status. `queued` means that it waits for a worker, for its first attempt or the next one.
    status: RunStatus,
    /// The number of this run among the completed runs of its day, from 1; null until it is completed.
    version: Option<u32>,
    /// What created the job.
    trigger: Trigger,
    /// The name of the API key that requested the run; null if no person requested it.
    requested_by: Option<String>,
    /// When it started; null before that.
    started_at: Option<Time>,
    /// When it finished; null before that.
    finished_at: Option<Time>,
    /// The duration in milliseconds.
    duration_ms: Option<u64>,
    /// The error of the run, or of its last attempt.
    error: Option<String>,
    /// The time as of which all payments were judged; null before that.
    as_of: Option<Time>,
    /// The start of the day; null until the run starts.
    day_from: Option<Time>,
    /// The end of the day (exclusive); null until the run starts.
    day_until: Option<Time>,
    /// The rules; null until the run starts.
    parameters: Option<RunParameters>,
    /// How far both providers had been read.
    watermarks: RunWatermarks,
    /// The counts; all 0 until the run is completed.
    counts: ReconciliationCounts,
    /// The lists of what was counted.
    rows_urls: ResultsUrls,
    /// The shares of all payments, in percent.
    percentages: ReconciliationShares,
    /// The amounts by currency.
    amounts: Vec<CurrencyAmounts>,
    /// When the results were deleted: 30 days after a later run of the day was completed. Null while they are kept.
    results_deleted_at: Option<Time>,
}

impl From<runs::ReconciliationRun> for ReconciliationRun {
    fn from(run: runs::ReconciliationRun) -> Self {
        let watermark = |coverage: Coverage| RunWatermark {
            watermark: coverage.watermark.map(Time),
            covered_from: coverage.covered_from.map(Time),
        };
        let took = run.finished_at.map(|finished| (finished - run.started_at).num_milliseconds());
        Self {
            rows_urls: (&run).into(),
            id: run.id,
            job_id: run.id,
            date: run.recon_date,
            status: run.status,
            version: run.version,
            trigger: run.trigger,
            requested_by: run.requested_by,
            started_at: Some(Time(run.started_at)),
            finished_at: run.finished_at.map(Time),
            duration_ms: took.map(|milliseconds| u64::try_from(milliseconds).unwrap_or(0)),
            error: run.error,
            as_of: run.as_of.map(Time),
            day_from: Some(Time(run.day_from)),
            day_until: Some(Time(run.day_until)),
            parameters: Some(run.parameters.into()),
            watermarks: RunWatermarks {
                vima: watermark(run.coverages.vima),
                payshack: watermark(run.coverages.payshack),
            },
            counts: (&run.tally).into(),
            percentages: (&run.tally).into(),
            amounts: by_currency(&run.amounts),
            results_deleted_at: run.results_deleted_at.map(Time),
        }
    }
}

impl ReconciliationRun {
    fn shown_with(mut self, pii_access: PiiAccess) -> Self {
        self.error = self.error.map(|error| pii_access.text(error));
        self
    }

    /// A run that has not started is known only by its job. `None` if the job does not reconcile a single day.
    fn from_job(job: JobDetails) -> Option<Self> {
        let listed = job.job;
        let args = (listed.kind == RECONCILE.name).then(|| serde_json::from_value(listed.args).ok()).flatten();
        let Some(ReconcileArgs::Day(day)) = args else { return None };
        let status = match listed.state {
            JobState::Queued | JobState::Scheduled | JobState::Retrying => RunStatus::Queued,
            JobState::Running | JobState::Succeeded => RunStatus::Running,
            JobState::Failed => RunStatus::Failed,
            JobState::Cancelled => RunStatus::Cancelled,
        };
        let nothing = Tally::default();
        Some(Self {
            id: listed.id,
            job_id: listed.id,
            date: day.date,
            status,
            version: None,
            trigger: listed.trigger,
            requested_by: job.requested_by,
            started_at: None,
            finished_at: listed.finished_at.map(Time),
            duration_ms: None,
            error: listed.error,
            as_of: None,
            day_from: None,
            day_until: None,
            parameters: None,
            watermarks: RunWatermarks::default(),
            counts: (&nothing).into(),
            rows_urls: ResultsUrls::default(),
            percentages: (&nothing).into(),
            amounts: vec![],
            results_deleted_at: None,
        })
    }
}

/// Also finds a run that has not started.
async fn find_run(state: &State, id: Uuid) -> Result<Option<ReconciliationRun>, DbError> {
    // The job is read first: a run that starts in between is found by its row.
    let job = listing::find(&state.pool, JobId(id)).await?;
    let run = runs::find(&state.pool, id).await?;
    Ok(run.map(ReconciliationRun::from).or_else(|| ReconciliationRun::from_job(job?)))
}

/// Fails unless the run exists and its results are kept.
pub(in crate::web) async fn require_results(state: &State, id: Uuid) -> Result<(), Problem> {
    let run = find_run(state, id).await?.ok_or(NotFound("run"))?;
    let Some(deleted_at) = run.results_deleted_at else { return Ok(()) };
    let detail = format!(
        "the results of this run were deleted on {}, because a later run of {} has superseded it: read those of the last \
         one, see GET /api/v1/reconciliation/runs?date={}",
        deleted_at.0.date_naive(),
        run.date,
        run.date
    );
    Err(Problem::new(ProblemCode::NotFound, detail))
}

pub(in crate::web) struct RunsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Reconciliation")]
impl RunsApi {
    /// List reconciliation runs
    ///
    /// Runs that have started, newest first. A run whose worker died is `queued` until another worker takes it.
    #[oai(path = "/reconciliation/runs", method = "get", operation_id = "listReconciliationRuns")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        query: Query<RunsQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<ReconciliationRun>>, Fails> {
        let filter = RunFilter::from(query.0);
        let window: pagination::Window<TimeCursor> = state.cursors.window(LISTING, &page.0)?;
        let db_window = window.to_db();
        let (found, count) =
            tokio::try_join!(runs::list(&state.pool, &filter, &db_window), runs::count(&state.pool, &filter))?;
        let page = state.cursors.page(LISTING, &window, count, found, runs::ReconciliationRun::cursor);
        let pii_access = caller.pii_access();
        Ok(Json(page.map(|run| ReconciliationRun::from(run).shown_with(pii_access))))
    }

    /// Get a reconciliation run
    ///
    /// Returns the run with its rules, how far each provider had been read, and its totals. A run that has not started
    /// yet has only the fields of its job.
    #[oai(path = "/reconciliation/runs/:id", method = "get", operation_id = "getReconciliationRun")]
    async fn get(
        &self,
        state: Data<&Arc<State>>,
        caller: Caller,
        /// The id of the run.
        id: Path<Uuid>,
    ) -> Result<Json<ReconciliationRun>, Fails<NotFound>> {
        let run = find_run(&state, id.0).await?.ok_or(NotFound("run"))?;
        Ok(Json(run.shown_with(caller.pii_access())))
    }
}

pub(in crate::web) fn example_figures() -> (Tally, AmountsByCurrency) {
    let tally = Tally {
        total: BySide { vima: 1203, payshack: 1199 },
        matched: 1180,
        amount_discrepancies: 4,
        status_discrepancies: 6,
        missing_vima: 3,
        missing_payshack: 7,
        pending: 5,
        pending_rows: BySide { vima: 4, payshack: 4 },
        duplicates: BySide { vima: 2, payshack: 1 },
        unmatchable: BySide { vima: 0, payshack: 1 },
    };
    let amounts = Amounts {
        matched: 1_542_000.into(),
        amount: 130.into(),
        status: 7200.into(),
        missing_vima: 2400.into(),
        missing_payshack: 9100.into(),
        duplicate: 1500.into(),
        pending: 6000.into(),
    };
    (tally, AmountsByCurrency::from([("INR".to_owned(), amounts)]))
}

impl Example for ReconciliationRun {
    fn example() -> Self {
        let read = RunWatermark { watermark: Some(Time(EXAMPLE_TIME)), covered_from: Some(Time(EXAMPLE_TIME)) };
        let (tally, amounts) = example_figures();
        Self {
            id: EXAMPLE_ID,
            job_id: EXAMPLE_ID,
            date: EXAMPLE_DAY,
            status: RunStatus::Completed,
            version: Some(2),
            trigger: Trigger::Api,
            requested_by: Some("otto".to_owned()),
            started_at: Some(Time(EXAMPLE_TIME)),
            finished_at: Some(Time(EXAMPLE_TIME + chrono::Duration::milliseconds(1850))),
            duration_ms: Some(1850),
            error: None,
            as_of: Some(Time(EXAMPLE_TIME)),
            day_from: Some(Time(EXAMPLE_TIME)),
            day_until: Some(Time(EXAMPLE_TIME)),
            parameters: Some(Parameters::default().into()),
            watermarks: RunWatermarks { vima: read.clone(), payshack: read },
            counts: (&tally).into(),
            rows_urls: ResultsUrls::new(EXAMPLE_ID, &tally),
            percentages: (&tally).into(),
            amounts: by_currency(&amounts),
            results_deleted_at: None,
        }
    }
}

named_enum!(RunStatus, "ReconciliationRunStatus", RunStatus::ALL, "The status of a reconciliation run.");
