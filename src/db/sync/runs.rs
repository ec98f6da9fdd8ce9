//! Sync runs: their trigger, counts and outcome.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{FromRow, PgConnection, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::page::{PageWindow, TimeCursor};
use crate::db::types::{names, read_name, to_bigint};
use crate::domain::job::attempt::WORKER_DIED;
use crate::domain::job::{JobId, Trigger};
use crate::domain::sync::{Counts, RunStatus, SyncArgs, SyncMode};
use crate::domain::transaction::Source;

#[derive(Debug, Clone, Copy)]
pub struct NewSyncRun {
    pub id: Uuid,
    pub source: Source,
    pub args: SyncArgs,
    pub trigger: Trigger,
    pub job_id: JobId,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SyncRun {
    pub id: Uuid,
    pub source: Source,
    pub mode: SyncMode,
    pub trigger: Trigger,
    pub job_id: JobId,
    /// The first requested day, if days were requested.
    pub from_date: Option<NaiveDate>,
    pub to_date: Option<NaiveDate>,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub status: RunStatus,
    /// Pages read.
    pub pages: u64,
    pub counts: Counts,
    /// Open payments that were requested again and that the provider no longer knew.
    pub not_found: u64,
    /// Why it failed or is incomplete.
    pub error: Option<String>,
}

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

pub async fn add_pages(connection: &mut PgConnection, id: Uuid, pages: u64, counts: &Counts) -> Result<(), DbError> {
    sqlx::query!(
        r#"UPDATE sync_runs
              SET pages = pages + $7, records_seen = records_seen + $2, inserted = inserted + $3,
                  updated = updated + $4, unchanged = unchanged + $5, quarantined = quarantined + $6,
                  replaced = replaced + $8
            WHERE id = $1"#,
        id,
        to_bigint(counts.seen()),
        to_bigint(counts.inserted),
        to_bigint(counts.updated),
        to_bigint(counts.unchanged),
        to_bigint(counts.quarantined),
        to_bigint(pages),
        to_bigint(counts.replaced),
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn add_not_found(connection: &mut PgConnection, id: Uuid, not_found: u64) -> Result<(), DbError> {
    sqlx::query!("UPDATE sync_runs SET not_found = not_found + $2 WHERE id = $1", id, to_bigint(not_found))
        .execute(connection)
        .await?;
    Ok(())
}

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

/// Ends the unfinished runs of a job whose worker died, whose attempt failed or which was cancelled. Returns their sources.
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

#[derive(FromRow)]
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
    replaced: i64,
    not_found: i64,
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
                replaced: row.replaced.unsigned_abs(),
            },
            not_found: row.not_found.unsigned_abs(),
            error: row.error,
        })
    }
}

/// An empty list matches every value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SyncRunFilter {
    pub source: Option<Source>,
    pub statuses: Vec<RunStatus>,
    pub modes: Vec<SyncMode>,
}

impl SyncRunFilter {
    #[must_use]
    pub fn of_source(source: Source) -> Self {
        Self { source: Some(source), ..Self::default() }
    }

    fn push(&self, query: &mut QueryBuilder<Postgres>) {
        push_names(query, "source", &names(self.source.as_slice(), Source::as_str));
        push_names(query, "mode", &names(&self.modes, SyncMode::as_str));
        if !self.statuses.is_empty() {
            let shown = names(&self.statuses, RunStatus::as_str);
            // For the index: the stored statuses that can be shown as one of these.
            let abandoned = self.statuses.contains(&RunStatus::Failed).then_some(RunStatus::Running.as_str());
            let stored: Vec<&str> = shown.iter().copied().chain(abandoned).collect();
            push_names(query, "status", &stored);
            push_names(query, SHOWN_STATUS, &shown);
        }
    }
}

fn push_names(query: &mut QueryBuilder<Postgres>, column: &str, values: &[&'static str]) {
    if !values.is_empty() {
        query.push(format!(" AND {column} = ANY(")).push_bind(values.to_vec()).push(")");
    }
}

/// A run that is still `running` although no worker has its job has failed: its worker died, and no other one has taken the job
/// over yet.
const SHOWN_STATUS: &str = "CASE WHEN abandoned THEN 'failed' ELSE status END";

const FROM_RUNS: &str = " FROM sync_runs CROSS JOIN LATERAL (
    SELECT status = 'running' AND NOT EXISTS (
        SELECT 1 FROM job_leases WHERE job_leases.job_id = sync_runs.job_id AND expires_at > now()) AS abandoned) AS job
    WHERE true";

/// Newest first. The statement is planned for each call: one plan for any status would read all runs to find the few that failed.
pub async fn list(
    pool: &PgPool,
    filter: &SyncRunFilter,
    window: &PageWindow<TimeCursor>,
) -> Result<Vec<SyncRun>, DbError> {
    let mut query = QueryBuilder::new(
        "SELECT id, source, mode, trigger, job_id, from_date, to_date, started_at, finished_at, pages, inserted, updated,
                unchanged, quarantined, replaced, not_found, ",
    );
    query.push(SHOWN_STATUS).push(" AS status, CASE WHEN abandoned THEN ").push_bind(WORKER_DIED);
    query.push(" ELSE error END AS error").push(FROM_RUNS);
    filter.push(&mut query);
    window.push_newest_first(&mut query, "started_at");
    let rows: Vec<RunRow> = query.build_query_as().persistent(false).fetch_all(pool).await?;
    rows.into_iter().map(SyncRun::try_from).collect()
}

pub async fn count(pool: &PgPool, filter: &SyncRunFilter) -> Result<u64, DbError> {
    let mut query = QueryBuilder::new("SELECT count(*)");
    query.push(FROM_RUNS);
    filter.push(&mut query);
    let count: i64 = query.build_query_scalar().persistent(false).fetch_one(pool).await?;
    Ok(count.unsigned_abs())
}

/// The end of the last successful run of `source`.
pub async fn find_last_success(pool: &PgPool, source: Source) -> Result<Option<DateTime<Utc>>, DbError> {
    let finished = sqlx::query_scalar!(
        "SELECT max(finished_at) FROM sync_runs WHERE source = $1 AND status = 'succeeded'",
        source.as_str()
    )
    .fetch_one(pool)
    .await?;
    Ok(finished)
}

/// Deletes at most `limit` runs that started before `time`, except the last one and the last successful one of each source.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM sync_runs WHERE id IN (
               SELECT id FROM sync_runs AS run
                WHERE started_at < $1
                  AND EXISTS (SELECT 1 FROM sync_runs AS later
                               WHERE later.source = run.source AND later.started_at > run.started_at)
                  AND (status <> 'succeeded'
                       OR EXISTS (SELECT 1 FROM sync_runs AS later
                                   WHERE later.source = run.source AND later.status = 'succeeded'
                                     AND later.finished_at > run.finished_at))
                LIMIT $2)"#,
        time,
        limit
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
