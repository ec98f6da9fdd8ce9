//! Reconciliation runs as the API lists and shows them.
//!
//! A run lasts as long as its job, over all attempts. So its status combines its row with the job and the lease: the row alone may
//! say `running` after the worker died, or `failed` although another attempt follows.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::types::Json;
use sqlx::{FromRow, PgExecutor, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::count::{Count, MAX_VISITED};
use crate::db::page::{PageWindow, TimeCursor};
use crate::db::types::{names, read_name};
use crate::domain::job::Trigger;
use crate::domain::reconciliation::tally::{AmountsByCurrency, BySide, Tally};
use crate::domain::reconciliation::{Coverage, Coverages, Parameters, RunStatus};

#[derive(Debug, Clone, PartialEq)]
pub struct ReconciliationRun {
    /// The same as its job's.
    pub id: Uuid,
    pub recon_date: NaiveDate,
    /// 1 for the first completed run of the day; `None` until it is completed.
    pub version: Option<u32>,
    pub status: RunStatus,
    pub trigger: Trigger,
    pub requested_by: Option<String>,
    pub started_at: DateTime<Utc>,
    /// `None` while it waits for another attempt.
    pub finished_at: Option<DateTime<Utc>>,
    /// Why it, or its last attempt, failed.
    pub error: Option<String>,
    pub parameters: Parameters,
    /// The first instant of the day.
    pub day_from: DateTime<Utc>,
    /// The first instant of the next day.
    pub day_until: DateTime<Utc>,
    /// The time as of which everything was judged.
    pub as_of: Option<DateTime<Utc>>,
    /// How far each side had been read.
    pub coverages: Coverages,
    pub tally: Tally,
    pub amounts: AmountsByCurrency,
    /// When its results were deleted, because a later run has superseded it.
    pub results_deleted_at: Option<DateTime<Utc>>,
}

/// An empty list matches every value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunFilter {
    pub from_date: Option<NaiveDate>,
    pub to_date: Option<NaiveDate>,
    pub statuses: Vec<RunStatus>,
    pub triggers: Vec<Trigger>,
}

impl ReconciliationRun {
    #[must_use]
    pub fn cursor(&self) -> TimeCursor {
        (self.started_at, self.id)
    }

    /// The time as of which it judged, or its start if it has not judged yet.
    #[must_use]
    pub fn run_at(&self) -> DateTime<Utc> {
        self.as_of.unwrap_or(self.started_at)
    }

    /// Whether a later run may have other results: something is pending, or a side was not read past the end of the day.
    #[must_use]
    pub fn is_provisional(&self) -> bool {
        let spanned = |coverage: Coverage| coverage.spans(self.day_from, self.day_until);
        self.tally.pending > 0 || !spanned(self.coverages.vima) || !spanned(self.coverages.payshack)
    }
}

/// Runs with their combined status; a `WHERE` follows.
const RUNS: &str = " FROM (SELECT runs.*, COALESCE(runs.error, job.error) AS last_error, \
        CASE WHEN status IN ('completed', 'cancelled') THEN status WHEN job.leased THEN 'running' \
             WHEN job.state = 'cancelled' THEN 'cancelled' WHEN job.unfinished THEN 'queued' ELSE 'failed' END AS run_status \
   FROM reconciliation_runs AS runs \
        LEFT JOIN LATERAL (SELECT state, error, finished_at IS NULL AS unfinished, \
                                  EXISTS (SELECT 1 FROM job_leases WHERE job_id = jobs.id AND expires_at > now()) AS leased \
                             FROM jobs WHERE jobs.id = runs.id AND runs.status IN ('running', 'failed')) AS job \
               ON true) AS run";

const SELECT: &str = "SELECT id, recon_date, version, run_status, trigger, requested_by, started_at, \
    CASE WHEN run_status NOT IN ('queued', 'running') THEN finished_at END AS finished_at, last_error, \
    parameters, day_from, day_until, as_of, vima_watermark, vima_covered_from, payshack_watermark, payshack_covered_from, \
    total_vima, total_payshack, matched, amount_discrepancies, status_discrepancies, missing_vima, missing_payshack, pending, \
    pending_vima, pending_payshack, duplicate_vima, duplicate_payshack, unmatchable_vima, unmatchable_payshack, amounts, \
    results_deleted_at";

/// Newest first.
pub async fn list(
    pool: &PgPool,
    filter: &RunFilter,
    window: &PageWindow<TimeCursor>,
) -> Result<Vec<ReconciliationRun>, DbError> {
    let mut query = QueryBuilder::new(SELECT);
    filter.push_from(&mut query);
    window.push_newest_first(&mut query, "started_at");
    fetch(query, pool).await
}

pub async fn count(pool: &PgPool, filter: &RunFilter) -> Result<Count, DbError> {
    let mut query = QueryBuilder::new("SELECT count(*) FROM (SELECT");
    filter.push_from(&mut query);
    query.push(" LIMIT ").push_bind(MAX_VISITED + 1).push(") AS visited");
    let found: i64 = query.build_query_scalar().persistent(false).fetch_one(pool).await?;
    Ok(Count::from_visited(found, found))
}

/// `None` if the run has not started.
pub async fn find(pool: &PgPool, id: Uuid) -> Result<Option<ReconciliationRun>, DbError> {
    let mut query = QueryBuilder::new(SELECT);
    query.push(RUNS).push(" WHERE id = ").push_bind(id);
    Ok(fetch(query, pool).await?.pop())
}

/// The last completed run of a day and all that started after it, newest first.
pub async fn list_since_last_completed(pool: &PgPool, day: NaiveDate) -> Result<Vec<ReconciliationRun>, DbError> {
    let mut query = QueryBuilder::new(SELECT);
    query.push(RUNS).push(" WHERE recon_date = ").push_bind(day);
    query.push(" AND started_at >= COALESCE((SELECT started_at FROM reconciliation_runs WHERE recon_date = ");
    query.push_bind(day).push(" AND version IS NOT NULL ORDER BY version DESC LIMIT 1), '-infinity')");
    query.push(" ORDER BY started_at DESC, id DESC");
    fetch(query, pool).await
}

/// The last completed run of each day of the range, oldest day first.
pub async fn list_last_completed(
    executor: impl PgExecutor<'_>,
    (from, to): (Option<NaiveDate>, Option<NaiveDate>),
) -> Result<Vec<ReconciliationRun>, DbError> {
    let mut query = QueryBuilder::new(SELECT);
    RunFilter { from_date: from, to_date: to, ..RunFilter::default() }.push_from(&mut query);
    query.push(
        " AND version = (SELECT max(version) FROM reconciliation_runs AS same WHERE same.recon_date = run.recon_date)",
    );
    query.push(" ORDER BY recon_date");
    fetch(query, executor).await
}

async fn fetch(
    mut query: QueryBuilder<Postgres>,
    executor: impl PgExecutor<'_>,
) -> Result<Vec<ReconciliationRun>, DbError> {
    let rows: Vec<RunRow> = query.build_query_as().persistent(false).fetch_all(executor).await?;
    rows.into_iter().map(ReconciliationRun::try_from).collect()
}

impl RunFilter {
    fn push_from(&self, query: &mut QueryBuilder<Postgres>) {
        query.push(RUNS).push(" WHERE true");
        for (condition, day) in [("recon_date >= ", self.from_date), ("recon_date <= ", self.to_date)] {
            if let Some(day) = day {
                query.push(" AND ").push(condition).push_bind(day);
            }
        }
        let statuses = ("run_status", names(&self.statuses, RunStatus::as_str));
        let triggers = ("trigger", names(&self.triggers, Trigger::as_str));
        for (column, values) in [statuses, triggers] {
            if !values.is_empty() {
                query.push(format!(" AND {column} = ANY(")).push_bind(values).push(")");
            }
        }
    }
}

#[derive(FromRow)]
struct RunRow {
    id: Uuid,
    recon_date: NaiveDate,
    version: Option<i32>,
    run_status: String,
    trigger: String,
    requested_by: Option<String>,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    last_error: Option<String>,
    parameters: Json<Parameters>,
    day_from: DateTime<Utc>,
    day_until: DateTime<Utc>,
    as_of: Option<DateTime<Utc>>,
    vima_watermark: Option<DateTime<Utc>>,
    vima_covered_from: Option<DateTime<Utc>>,
    payshack_watermark: Option<DateTime<Utc>>,
    payshack_covered_from: Option<DateTime<Utc>>,
    #[sqlx(flatten)]
    counts: CountsRow,
    amounts: Json<AmountsByCurrency>,
    results_deleted_at: Option<DateTime<Utc>>,
}

#[derive(FromRow)]
struct CountsRow {
    total_vima: i64,
    total_payshack: i64,
    matched: i64,
    amount_discrepancies: i64,
    status_discrepancies: i64,
    missing_vima: i64,
    missing_payshack: i64,
    pending: i64,
    pending_vima: i64,
    pending_payshack: i64,
    duplicate_vima: i64,
    duplicate_payshack: i64,
    unmatchable_vima: i64,
    unmatchable_payshack: i64,
}

impl TryFrom<RunRow> for ReconciliationRun {
    type Error = DbError;

    fn try_from(row: RunRow) -> Result<Self, DbError> {
        Ok(Self {
            id: row.id,
            recon_date: row.recon_date,
            version: row.version.map(i32::unsigned_abs),
            status: read_name("reconciliation_runs.status", row.run_status, RunStatus::from_name)?,
            trigger: Trigger::try_from(row.trigger)?,
            requested_by: row.requested_by,
            started_at: row.started_at,
            finished_at: row.finished_at,
            error: row.last_error,
            parameters: row.parameters.0,
            day_from: row.day_from,
            day_until: row.day_until,
            as_of: row.as_of,
            coverages: Coverages {
                vima: Coverage { covered_from: row.vima_covered_from, watermark: row.vima_watermark },
                payshack: Coverage { covered_from: row.payshack_covered_from, watermark: row.payshack_watermark },
            },
            tally: row.counts.into(),
            amounts: row.amounts.0,
            results_deleted_at: row.results_deleted_at,
        })
    }
}

impl From<CountsRow> for Tally {
    fn from(row: CountsRow) -> Self {
        let by_side =
            |vima: i64, payshack: i64| BySide { vima: vima.unsigned_abs(), payshack: payshack.unsigned_abs() };
        Self {
            total: by_side(row.total_vima, row.total_payshack),
            matched: row.matched.unsigned_abs(),
            amount_discrepancies: row.amount_discrepancies.unsigned_abs(),
            status_discrepancies: row.status_discrepancies.unsigned_abs(),
            missing_vima: row.missing_vima.unsigned_abs(),
            missing_payshack: row.missing_payshack.unsigned_abs(),
            pending: row.pending.unsigned_abs(),
            pending_rows: by_side(row.pending_vima, row.pending_payshack),
            duplicates: by_side(row.duplicate_vima, row.duplicate_payshack),
            unmatchable: by_side(row.unmatchable_vima, row.unmatchable_payshack),
        }
    }
}
