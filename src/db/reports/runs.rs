//! The runs of schedules: each time of a schedule once, and those that people request.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::page::{PageWindow, TimeCursor};
use crate::db::types::read_name;
use crate::domain::job::JobId;
use crate::domain::reports::schedule::ReportState;

#[derive(Debug, Clone, PartialEq)]
pub struct ReportRun {
    pub id: Uuid,
    pub schedule_id: Uuid,
    /// The time of the schedule that it is for, or when a person requested it.
    pub due_at: DateTime<Utc>,
    /// `None` if the schedule did.
    pub requested_by: Option<String>,
    pub state: ReportState,
    /// The job that creates and delivers it.
    pub job_id: JobId,
    pub export_id: Option<Uuid>,
    /// What was delivered where.
    pub result: Option<Value>,
    pub error: Option<String>,
    pub created_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
}

impl ReportRun {
    #[must_use]
    pub fn cursor(&self) -> TimeCursor {
        (self.created_at, self.id)
    }
}

struct RunRow {
    id: Uuid,
    schedule_id: Uuid,
    due_at: DateTime<Utc>,
    requested_by: Option<String>,
    state: String,
    job_id: Uuid,
    export_id: Option<Uuid>,
    result: Option<Value>,
    error: Option<String>,
    created_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
}

impl TryFrom<RunRow> for ReportRun {
    type Error = DbError;

    fn try_from(row: RunRow) -> Result<Self, DbError> {
        Ok(Self {
            id: row.id,
            schedule_id: row.schedule_id,
            due_at: row.due_at,
            requested_by: row.requested_by,
            state: read_name("report_runs.state", row.state, ReportState::from_name)?,
            job_id: JobId(row.job_id),
            export_id: row.export_id,
            result: row.result,
            error: row.error,
            created_at: row.created_at,
            finished_at: row.finished_at,
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRun<'a> {
    pub id: Uuid,
    pub schedule_id: Uuid,
    pub due_at: DateTime<Utc>,
    pub requested_by: Option<&'a str>,
    pub job_id: JobId,
}

pub async fn insert(connection: &mut PgConnection, run: &NewRun<'_>, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO report_runs (id, schedule_id, due_at, requested_by, state, job_id, created_at)
           VALUES ($1, $2, $3, $4, 'pending', $5, $6)"#,
        run.id,
        run.schedule_id,
        run.due_at,
        run.requested_by,
        run.job_id.0,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether the schedule has a run for this time.
pub async fn exists(connection: &mut PgConnection, schedule_id: Uuid, due_at: DateTime<Utc>) -> Result<bool, DbError> {
    let exists = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM report_runs WHERE schedule_id = $1 AND due_at = $2 AND requested_by IS NULL) AS "exists!""#,
        schedule_id,
        due_at
    );
    Ok(exists.fetch_one(connection).await?)
}

pub async fn find(executor: impl PgExecutor<'_>, id: Uuid) -> Result<Option<ReportRun>, DbError> {
    let row = sqlx::query_as!(
        RunRow,
        r#"SELECT id, schedule_id, due_at, requested_by, state, job_id, export_id, result, error, created_at, finished_at
             FROM report_runs WHERE id = $1"#,
        id
    )
    .fetch_optional(executor)
    .await?;
    row.map(ReportRun::try_from).transpose()
}

/// The newest first.
pub async fn list(
    pool: &PgPool,
    schedule_id: Uuid,
    window: &PageWindow<TimeCursor>,
) -> Result<Vec<ReportRun>, DbError> {
    let (after_time, after_id) = window.after.unzip();
    let rows = sqlx::query_as!(
        RunRow,
        r#"SELECT id, schedule_id, due_at, requested_by, state, job_id, export_id, result, error, created_at, finished_at
             FROM report_runs
            WHERE schedule_id = $1 AND (created_at, id) < (COALESCE($2::timestamptz, 'infinity'), $3::uuid)
            ORDER BY created_at DESC, id DESC
           OFFSET $4 LIMIT $5"#,
        schedule_id,
        after_time,
        after_id,
        window.offset,
        window.limit
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(ReportRun::try_from).collect()
}

pub async fn count(pool: &PgPool, schedule_id: Uuid) -> Result<u64, DbError> {
    let count =
        sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM report_runs WHERE schedule_id = $1"#, schedule_id);
    Ok(count.fetch_one(pool).await?.unsigned_abs())
}

/// Records the export of a run. Returns false if it has one already.
pub async fn set_export(connection: &mut PgConnection, id: Uuid, export_id: Uuid) -> Result<bool, DbError> {
    let set = sqlx::query!("UPDATE report_runs SET export_id = $2 WHERE id = $1 AND export_id IS NULL", id, export_id);
    Ok(set.execute(connection).await?.rows_affected() == 1)
}

/// The run that an export was made for, unless it is delivered.
pub async fn find_of_export(connection: &mut PgConnection, export_id: Uuid) -> Result<Option<Uuid>, DbError> {
    let id = sqlx::query_scalar!("SELECT id FROM report_runs WHERE export_id = $1 AND state <> 'delivered'", export_id);
    Ok(id.fetch_optional(connection).await?)
}

/// Records the job that works on a run.
pub async fn set_job(connection: &mut PgConnection, id: Uuid, job_id: JobId) -> Result<(), DbError> {
    sqlx::query!("UPDATE report_runs SET job_id = $2 WHERE id = $1", id, job_id.0).execute(connection).await?;
    Ok(())
}

/// Records that a run was delivered, also one that had failed before a person retried its job. Returns false if it was before.
pub async fn deliver(
    connection: &mut PgConnection,
    id: Uuid,
    result: &Value,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let delivered = sqlx::query!(
        r#"UPDATE report_runs SET state = 'delivered', result = $2, error = NULL, finished_at = $3
            WHERE id = $1 AND state <> 'delivered'"#,
        id,
        result,
        now
    );
    Ok(delivered.execute(connection).await?.rows_affected() == 1)
}

/// Ends the runs whose job, or the job of whose export, has failed or was cancelled. Returns how many.
pub async fn fail_abandoned(pool: &PgPool, now: DateTime<Utc>) -> Result<u64, DbError> {
    let failed = sqlx::query!(
        r#"UPDATE report_runs SET state = 'failed', finished_at = $1, error = COALESCE(jobs.error, jobs.state)
             FROM report_runs AS pending
                  LEFT JOIN exports ON exports.id = pending.export_id AND exports.finished_at IS NULL
                  JOIN jobs ON jobs.id IN (pending.job_id, exports.job_id)
            WHERE report_runs.id = pending.id AND pending.state = 'pending' AND report_runs.state = 'pending'
              AND jobs.state IN ('failed', 'cancelled')"#,
        now
    );
    Ok(failed.execute(pool).await?.rows_affected())
}

/// Deletes at most `limit` runs from before `time`.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        "DELETE FROM report_runs WHERE id IN (SELECT id FROM report_runs WHERE created_at < $1 LIMIT $2)",
        time,
        limit
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
