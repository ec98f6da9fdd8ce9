//! The runs there were: listed, and shown with everything they went by.

use std::sync::Arc;

use chrono::NaiveDate;
use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use super::figures::{CurrencyAmounts, ReconciliationCounts, ReconciliationShares, by_currency};
use crate::db::DbError;
use crate::db::jobs::listing;
use crate::db::jobs::listing::ShownJob;
use crate::db::page::TimeCursor;
use crate::db::reconciliation::runs::{self, RunFilter};
use crate::domain::job::{JobId, JobState, RECONCILE, Trigger};
use crate::domain::reconciliation::tally::{Amounts, AmountsByCurrency, BySide, Tally};
use crate::domain::reconciliation::{Coverage, Parameters, ReconcileArgs, RunStatus};
use crate::web::http::auth::Viewer;
use crate::web::http::fields::{Fields, FromFields};
use crate::web::http::openapi::{EXAMPLE_DAY, EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::pagination;
use crate::web::http::pagination::{Page, PageQuery};
use crate::web::http::path::Path;
use crate::web::http::problem::Problem;
use crate::web::http::query::Query;
use crate::web::http::schema::{Money, Time};
use crate::web::state::State;

/// What cursors are signed for.
const LISTING: &str = "reconciliation runs";

/// Which runs are listed. Lists take one value or several by commas.
#[derive(Debug, Clone, Default, Object)]
struct RunsQuery {
    /// Of this day; not together with `from_date` or `to_date`.
    date: Option<NaiveDate>,
    /// Of this day or later.
    from_date: Option<NaiveDate>,
    /// Of this day or before.
    to_date: Option<NaiveDate>,
    /// Standing so.
    status: Vec<RunStatus>,
    /// Made by this.
    trigger: Vec<Trigger>,
}

impl FromFields for RunsQuery {
    fn read(fields: &mut Fields) -> Option<Self> {
        let date = fields.optional::<NaiveDate>("date")?;
        let from_date = fields.optional::<NaiveDate>("from_date")?;
        let to_date = fields.optional::<NaiveDate>("to_date")?;
        let status = fields.list("status");
        let trigger = fields.list("trigger");
        if date.is_some() && from_date.or(to_date).is_some() {
            fields.error("date", "says which day: leave from_date and to_date out, or date");
        }
        if let (Some(from), Some(to)) = (from_date, to_date)
            && from > to
        {
            fields.error("from_date", format!("{from} is after to_date {to}: swap them"));
        }
        Some(Self { date, from_date, to_date, status: status?, trigger: trigger? })
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

/// The rules that a run went by; settings that change later do not change them.
#[derive(Debug, Clone, Object)]
struct RunParameters {
    /// The zone whose day it was (IANA name).
    timezone: String,
    /// Whose payments; `*` is everybody's.
    projects: Vec<String>,
    /// How many hours apart the two records of a payment may have come to be.
    window_hours: u32,
    /// Amounts that differ by no more are equal.
    amount_tolerance: Money,
    /// Nor by more than so many percent of Vima's amount.
    amount_tolerance_percent: Money,
    /// How many minutes one side may know of the end of a payment before the other does.
    pending_grace_minutes: u32,
    /// How many minutes after a payment the absent side must have been read, to say that it is missing there.
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

/// How far a side had been read when the run judged.
#[derive(Debug, Clone, Default, Object)]
struct RunWatermark {
    /// Up to when; null before its first complete read.
    watermark: Option<Time>,
    /// From when on; null before its first read.
    covered_from: Option<Time>,
}

/// How far both sides had been read when the run judged.
#[derive(Debug, Clone, Default, Object)]
struct RunWatermarks {
    /// Vima.
    vima: RunWatermark,
    /// PayShack.
    payshack: RunWatermark,
}

/// A reconciliation of one day. What a completed run says never changes.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct ReconciliationRun {
    /// Its id, which is its job's.
    id: Uuid,
    /// The job that does it; finished jobs are forgotten after a while, runs are not.
    job_id: Uuid,
    /// The day.
    date: NaiveDate,
    /// How it stands. `queued`: it waits for a worker, for its first attempt or for the next.
    status: RunStatus,
    /// The how-manieth completed run of its day it is; null where it has not completed.
    version: Option<u32>,
    /// What made the job.
    trigger: Trigger,
    /// Who asked for it, where somebody did.
    requested_by: Option<String>,
    /// When it began; null before.
    started_at: Option<Time>,
    /// When it ended.
    finished_at: Option<Time>,
    /// How long it took, in milliseconds.
    duration_ms: Option<u64>,
    /// Why it failed, or why its last attempt did.
    error: Option<String>,
    /// The one time at which everything was judged; null before.
    as_of: Option<Time>,
    /// The first instant of its day; null before it began.
    day_from: Option<Time>,
    /// The first instant after its day; null before it began.
    day_until: Option<Time>,
    /// The rules it went by; null before it began.
    parameters: Option<RunParameters>,
    /// How far both sides had been read.
    watermarks: RunWatermarks,
    /// What became of the rows; all 0 before it has completed.
    counts: ReconciliationCounts,
    /// The shares of all payments.
    percentages: ReconciliationShares,
    /// What the payments come to, by currency.
    amounts: Vec<CurrencyAmounts>,
}

impl From<runs::ReconciliationRun> for ReconciliationRun {
    fn from(run: runs::ReconciliationRun) -> Self {
        let watermark = |coverage: Coverage| RunWatermark {
            watermark: coverage.watermark.map(Time),
            covered_from: coverage.covered_from.map(Time),
        };
        let took = run.finished_at.map(|finished| (finished - run.started_at).num_milliseconds());
        Self {
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
        }
    }
}

impl ReconciliationRun {
    /// A run that has not begun: all that is known of it is its job's. None where the job runs no single day.
    fn not_begun(job: ShownJob) -> Option<Self> {
        let listed = job.listed;
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
            percentages: (&nothing).into(),
            amounts: vec![],
        })
    }
}

/// The run of this id, whether or not it has begun.
async fn find_run(state: &State, id: Uuid) -> Result<Option<ReconciliationRun>, DbError> {
    // The job is looked at first: a run that begins in between is found by its row.
    let job = listing::find(&state.pool, JobId(id)).await?;
    let run = runs::find(&state.pool, id).await?;
    Ok(run.map(ReconciliationRun::from).or_else(|| ReconciliationRun::not_begun(job?)))
}

/// Makes sure that there is a run of this id.
pub(in crate::web) async fn require_run(state: &State, id: Uuid) -> Result<(), Problem> {
    find_run(state, id).await?.map(|_| ()).ok_or_else(|| Problem::not_found("run"))
}

/// The endpoints.
pub(in crate::web) struct RunsApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Reconciliation")]
impl RunsApi {
    /// List the runs of reconciliations
    ///
    /// Those that have begun, the newest first. One whose worker died is not shown as running: it is `queued` until it goes
    /// on.
    #[oai(path = "/reconciliation/runs", method = "get", operation_id = "listReconciliationRuns")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        query: Query<RunsQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<ReconciliationRun>>, Problem> {
        let filter = RunFilter::from(query.0);
        let asked: pagination::Window<TimeCursor> = state.cursors.window(LISTING, &page.0)?;
        let window = asked.to_db();
        let (found, count) =
            tokio::try_join!(runs::list(&state.pool, &filter, &window), runs::count(&state.pool, &filter))?;
        let page = state.cursors.page(LISTING, &asked, count, found, runs::ReconciliationRun::cursor);
        Ok(Json(page.map(ReconciliationRun::from)))
    }

    /// Show a run of a reconciliation
    ///
    /// With the rules it went by, how far each side had been read, and what it found in figures. One that has not begun yet
    /// is told by its job.
    #[oai(path = "/reconciliation/runs/:id", method = "get", operation_id = "getReconciliationRun")]
    async fn show(
        &self,
        state: Data<&Arc<State>>,
        _viewer: Viewer,
        /// The run's id.
        id: Path<Uuid>,
    ) -> Result<Json<ReconciliationRun>, Problem> {
        find_run(&state, id.0).await?.map(Json).ok_or_else(|| Problem::not_found("run"))
    }
}

/// What examples of runs and of summaries count.
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
            percentages: (&tally).into(),
            amounts: by_currency(&amounts),
        }
    }
}
