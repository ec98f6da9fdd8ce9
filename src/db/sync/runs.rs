//! The record of every run: when, why, what it counted, how it ended.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::page::{PageWindow, TimeCursor};
use crate::db::types::read_name;
use crate::db::types::to_bigint;
use crate::domain::job::attempt::WORKER_DIED;
use crate::domain::job::{JobId, Trigger};
use crate::domain::sync::{Counts, RunStatus, SyncArgs, SyncMode};
use crate::domain::transaction::Source;

/// A run that begins.
#[derive(Debug, Clone, Copy)]
pub struct NewSyncRun {
    /// Its id.
    pub id: Uuid,
    /// What is read.
    pub source: Source,
    /// How much of it.
    pub args: SyncArgs,
    /// What made the job.
    pub trigger: Trigger,
    /// The job.
    pub job_id: JobId,
}

/// A run as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct SyncRun {
    /// Its id.
    pub id: Uuid,
    /// What was read.
    pub source: Source,
    /// How much of it.
    pub mode: SyncMode,
    /// What made the job.
    pub trigger: Trigger,
    /// The job.
    pub job_id: JobId,
    /// The first day it was asked for, where it was asked for days.
    pub from_date: Option<NaiveDate>,
    /// The last day it was asked for.
    pub to_date: Option<NaiveDate>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
    /// How it stands.
    pub status: RunStatus,
    /// Pages read.
    pub pages: u64,
    /// What became of the records.
    pub counts: Counts,
    /// Why it failed or is incomplete.
    pub error: Option<String>,
}

/// Records that a run begins.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn insert(connection: &mut PgConnection, run: &NewSyncRun, now: DateTime<Utc>) -> Result<(), DbError> {
    let (from, to) = run.args.days().unzip();
    sqlx::query!(
        r#"INSERT INTO sync_runs (id, source, mode, trigger, job_id, from_date, to_date, started_at, status)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'running')"#,
        run.id,
        run.source.as_str(),
        run.args.mode().as_str(),
        run.trigger.as_str(),
        run.job_id.0,
        from,
        to,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds pages to a run, and what became of their records.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn add_pages(connection: &mut PgConnection, id: Uuid, pages: u64, counts: &Counts) -> Result<(), DbError> {
    sqlx::query!(
        r#"UPDATE sync_runs
              SET pages = pages + $7, records_seen = records_seen + $2, inserted = inserted + $3,
                  updated = updated + $4, unchanged = unchanged + $5, quarantined = quarantined + $6
            WHERE id = $1"#,
        id,
        to_bigint(counts.seen()),
        to_bigint(counts.inserted),
        to_bigint(counts.updated),
        to_bigint(counts.unchanged),
        to_bigint(counts.quarantined),
        to_bigint(pages),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends a run.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn finish(
    connection: &mut PgConnection,
    id: Uuid,
    status: RunStatus,
    error: Option<&str>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE sync_runs SET status = $2, error = $3, finished_at = $4 WHERE id = $1 AND status = 'running'",
        id,
        status.as_str(),
        error,
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Ends the runs that a job has left behind: its worker died, its attempt failed, or it was told to stop. Says of which
/// source they were.
///
/// # Errors
/// [`DbError`] where the database refuses, or holds an impossible row.
pub async fn finish_abandoned(
    connection: &mut PgConnection,
    job: JobId,
    status: RunStatus,
    error: &str,
    now: DateTime<Utc>,
) -> Result<Vec<Source>, DbError> {
    let sources = sqlx::query_scalar!(
        r#"UPDATE sync_runs SET status = $2, error = $3, finished_at = $4
            WHERE job_id = $1 AND status = 'running'
           RETURNING source"#,
        job.0,
        status.as_str(),
        error,
        now
    )
    .fetch_all(connection)
    .await?;
    sources.into_iter().map(|name| read_name("sync_runs.source", name, Source::from_name)).collect()
}

struct RunRow {
    id: Uuid,
    source: String,
    mode: String,
    trigger: String,
    job_id: Uuid,
    from_date: Option<NaiveDate>,
    to_date: Option<NaiveDate>,
    started_at: DateTime<Utc>,
    finished_at: Option<DateTime<Utc>>,
    status: String,
    pages: i64,
    inserted: i64,
    updated: i64,
    unchanged: i64,
    quarantined: i64,
    error: Option<String>,
}

impl TryFrom<RunRow> for SyncRun {
    type Error = DbError;

    fn try_from(row: RunRow) -> Result<Self, DbError> {
        Ok(Self {
            id: row.id,
            source: read_name("sync_runs.source", row.source, Source::from_name)?,
            mode: read_name("sync_runs.mode", row.mode, SyncMode::from_name)?,
            trigger: read_name("sync_runs.trigger", row.trigger, Trigger::from_name)?,
            job_id: JobId(row.job_id),
            from_date: row.from_date,
            to_date: row.to_date,
            started_at: row.started_at,
            finished_at: row.finished_at,
            status: read_name("sync_runs.status", row.status, RunStatus::from_name)?,
            pages: row.pages.unsigned_abs(),
            counts: Counts {
                inserted: row.inserted.unsigned_abs(),
                updated: row.updated.unsigned_abs(),
                unchanged: row.unchanged.unsigned_abs(),
                quarantined: row.quarantined.unsigned_abs(),
            },
            error: row.error,
        })
    }
}

/// Runs, the newest first, of one source or of all; `offset` runs are passed over. One whose job nobody holds any more is not
/// at work, whatever its row says: its worker died, and nobody has taken the job over yet.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn list(
    pool: &PgPool,
    source: Option<Source>,
    window: &PageWindow<TimeCursor>,
) -> Result<Vec<SyncRun>, DbError> {
    let (after_start, after_id) = window.after.unzip();
    let rows = sqlx::query_as!(
        RunRow,
        r#"SELECT id, source, mode, trigger, job_id, from_date, to_date, started_at, finished_at,
                  CASE WHEN left_behind THEN 'failed' ELSE status END AS "status!", pages, inserted, updated, unchanged,
                  quarantined, CASE WHEN left_behind THEN $6 ELSE error END AS error
             FROM sync_runs
                  CROSS JOIN LATERAL (
                      SELECT status = 'running' AND NOT EXISTS (
                          SELECT 1 FROM job_leases WHERE job_leases.job_id = sync_runs.job_id AND expires_at > now()
                      ) AS left_behind) AS judged
            WHERE ($1::text IS NULL OR source = $1)
              AND ($2::timestamptz IS NULL OR (started_at, id) < ($2, $3::uuid))
            ORDER BY started_at DESC, id DESC
           OFFSET $4 LIMIT $5"#,
        source.map(Source::as_str),
        after_start,
        after_id,
        window.offset,
        window.limit,
        WORKER_DIED
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter().map(SyncRun::try_from).collect()
}

/// How many runs there are, of one source or of all.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn count(pool: &PgPool, source: Option<Source>) -> Result<u64, DbError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM sync_runs WHERE $1::text IS NULL OR source = $1"#,
        source.map(Source::as_str)
    )
    .fetch_one(pool)
    .await?;
    Ok(count.unsigned_abs())
}

/// When the last successful run of `source` ended.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn find_last_success(pool: &PgPool, source: Source) -> Result<Option<DateTime<Utc>>, DbError> {
    let finished = sqlx::query_scalar!(
        "SELECT max(finished_at) FROM sync_runs WHERE source = $1 AND status = 'succeeded'",
        source.as_str()
    )
    .fetch_one(pool)
    .await?;
    Ok(finished)
}
