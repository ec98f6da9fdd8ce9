//! Workers as the API lists them, with the jobs that they run.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::db::DbError;
use crate::db::page::PageWindow;
use crate::db::types::{column, interval};
use crate::domain::job::JobId;

/// How many running jobs of a worker are listed.
const MAX_LISTED: i64 = 100;

/// The position of a worker in the list: its start and its name.
pub type WorkerCursor = (DateTime<Utc>, String);

#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    pub name: String,
    /// `None` for a worker of a release that did not record it, as for `version` and `slots`.
    pub host: Option<String>,
    pub version: Option<String>,
    pub slots: Option<u32>,
    pub queues: Vec<String>,
    pub started_at: DateTime<Utc>,
    /// Its last heartbeat.
    pub last_seen_at: DateTime<Utc>,
    pub is_alive: bool,
}

impl Worker {
    #[must_use]
    pub fn cursor(&self) -> WorkerCursor {
        (self.started_at, self.name.clone())
    }
}

/// Lists workers, the one that started last first; only those that are alive, or not, if `alive` says so. One is alive whose last
/// heartbeat is within `window`. Those that ended properly are not known any more, and the others for a day.
pub async fn list(
    pool: &PgPool,
    alive: Option<bool>,
    window: Duration,
    page: &PageWindow<WorkerCursor>,
) -> Result<Vec<Worker>, DbError> {
    let (after_start, after_name) = page.after.clone().unzip();
    let rows = sqlx::query!(
        r#"SELECT name, host, version, slots, queues, started_at, last_seen_at, seen.recently AS "is_alive!"
             FROM processes CROSS JOIN LATERAL (SELECT last_seen_at > now() - $2::interval AS recently) AS seen
            WHERE role = 'worker' AND ($1::boolean IS NULL OR seen.recently = $1)
              AND ($3::timestamptz IS NULL OR (started_at, name) < ($3, $4::text))
            ORDER BY started_at DESC, name DESC OFFSET $5 LIMIT $6"#,
        alive,
        interval(window),
        after_start,
        after_name,
        page.offset,
        page.limit
    )
    .fetch_all(pool)
    .await?;
    let workers = rows.into_iter().map(|row| Worker {
        name: row.name,
        host: row.host,
        version: row.version,
        slots: row.slots.map(i32::unsigned_abs),
        queues: row.queues,
        started_at: row.started_at,
        last_seen_at: row.last_seen_at,
        is_alive: row.is_alive,
    });
    Ok(workers.collect())
}

pub async fn count(pool: &PgPool, alive: Option<bool>, window: Duration) -> Result<u64, DbError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM processes
            WHERE role = 'worker' AND ($1::boolean IS NULL OR (last_seen_at > now() - $2::interval) = $1)"#,
        alive,
        interval(window)
    )
    .fetch_one(pool)
    .await?;
    Ok(count.unsigned_abs())
}

/// A job that a worker has claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedByWorker {
    /// The name of the worker.
    pub worker: String,
    /// How many jobs it has claimed, those included that are not listed.
    pub claimed: u64,
    pub job_id: JobId,
    pub kind: String,
    pub queue: String,
    /// When it was claimed.
    pub started_at: DateTime<Utc>,
    /// Whether it runs alone in a process that the worker has started, because an earlier worker died while it ran the job.
    pub is_isolated: bool,
}

/// The jobs that these workers have claimed, the first one first, at most [`MAX_LISTED`] per worker.
pub async fn list_claimed(pool: &PgPool, workers: &[Worker]) -> Result<Vec<ClaimedByWorker>, DbError> {
    let rows = sqlx::query!(
        r#"WITH claimed AS (
               SELECT split_part(job_leases.worker, '/', 1) AS worker, job_leases.job_id, kind, queue,
                      job_attempts.started_at, position('/' IN job_leases.worker) > 0 AS is_isolated
                 FROM job_leases JOIN jobs ON jobs.id = job_leases.job_id
                      JOIN job_attempts ON job_attempts.job_id = job_leases.job_id AND job_attempts.epoch = job_leases.epoch),
           numbered AS (
               SELECT *, count(*) OVER (PARTITION BY worker) AS claimed,
                      row_number() OVER (PARTITION BY worker ORDER BY started_at, job_id) AS number
                 FROM claimed WHERE worker = ANY($1))
           SELECT worker AS "worker!", claimed AS "claimed!", job_id, kind, queue, started_at, is_isolated AS "is_isolated!"
             FROM numbered WHERE number <= $2 ORDER BY worker, number"#,
        &column(workers, |worker| worker.name.clone()),
        MAX_LISTED
    )
    .fetch_all(pool)
    .await?;
    let claimed = rows.into_iter().map(|row| ClaimedByWorker {
        worker: row.worker,
        claimed: row.claimed.unsigned_abs(),
        job_id: JobId(row.job_id),
        kind: row.kind,
        queue: row.queue,
        started_at: row.started_at,
        is_isolated: row.is_isolated,
    });
    Ok(claimed.collect())
}
