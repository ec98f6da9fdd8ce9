//! The facts that decide why a job waits ([`crate::domain::job::waiting`]).
//!
//! The conditions on other jobs are those of the statement that claims (`claims`): what it would claim first comes first here.

use sqlx::PgPool;

use crate::db::DbError;
use crate::db::jobs::processes::PROCESS_TIMEOUT;
use crate::db::providers::pauses;
use crate::db::types::interval;
use crate::domain::job::waiting::{MAX_COUNTED, QueueFacts, WaitFacts};
use crate::domain::job::{JobId, JobState};

/// The facts about an unfinished job; `None` if it has finished, or does not exist. `long_keys` is what
/// [`crate::domain::job::JobKind::long_keys`] returns.
pub async fn find(pool: &PgPool, job_id: JobId, long_keys: &[String]) -> Result<Option<WaitFacts>, DbError> {
    let Some((job, rank)) = find_job(pool, job_id).await? else { return Ok(None) };
    let is_running = job.state == JobState::Running;
    let ahead = match job.is_suspect {
        _ if is_running || !job.is_due => 0,
        true => count_suspects_before(pool, &job, &rank, long_keys).await?,
        false => count_before(pool, &job, &rank).await?,
    };
    let pauses = if is_running { pauses::list(pool).await? } else { vec![] };
    Ok(Some(WaitFacts { ahead, pauses, queue: find_queue(pool, &job.queue.name).await?, ..job }))
}

/// What the order of claims depends on, besides the due time and the id.
struct Rank {
    priority: i16,
    /// Of a suspect: its limit, or its kind.
    key: String,
}

/// The job itself, its limit and its lease.
async fn find_job(pool: &PgPool, job_id: JobId) -> Result<Option<(WaitFacts, Rank)>, DbError> {
    let row = sqlx::query!(
        r#"SELECT kind, queue, state, priority, due_at, due_at <= now() AS "is_due!", error, suspect,
                  COALESCE(jobs.limit_key, kind) AS "key!",
                  holder.job_id AS "held_by?", lease.expires_at AS "lease_ended_at?"
             FROM jobs
                  LEFT JOIN job_leases AS holder ON holder.limit_key = jobs.limit_key AND holder.job_id <> jobs.id
                  LEFT JOIN job_leases AS lease ON lease.job_id = jobs.id AND lease.expires_at < now()
            WHERE jobs.id = $1 AND state IN ('queued', 'scheduled', 'running', 'retrying')"#,
        job_id.0
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let rank = Rank { priority: row.priority, key: row.key };
    let facts = WaitFacts {
        job_id,
        kind: row.kind,
        state: JobState::try_from(row.state)?,
        due_at: row.due_at,
        is_due: row.is_due,
        error: row.error,
        is_suspect: row.suspect,
        queue: QueueFacts { name: row.queue, ..QueueFacts::default() },
        limit_held_by: row.held_by.map(JobId),
        ahead: 0,
        lease_ended_at: row.lease_ended_at,
        pauses: vec![],
    };
    Ok(Some((facts, rank)))
}

/// Counts the due jobs that the workers of the job's queue, which may serve others too, claim before it.
async fn count_before(pool: &PgPool, job: &WaitFacts, rank: &Rank) -> Result<u64, DbError> {
    let ahead = sqlx::query_scalar!(
        r#"SELECT count(*) AS "ahead!"
             FROM (SELECT FROM (SELECT DISTINCT unnest(queues) AS queue FROM processes
                                 WHERE role = 'worker' AND last_seen_at > now() - $5::interval AND $1 = ANY(queues)) AS served
                          CROSS JOIN LATERAL (
                              SELECT FROM jobs
                               WHERE queue = served.queue AND suspect = false AND (priority, due_at, id) < ($2, $3, $4)
                                 AND state IN ('queued', 'scheduled', 'retrying') AND due_at <= now()
                                 AND NOT EXISTS (SELECT 1 FROM job_leases WHERE job_leases.limit_key = jobs.limit_key)
                               LIMIT $6) AS due
                    WHERE NOT EXISTS (SELECT 1 FROM queue_pauses WHERE queue_pauses.queue = served.queue)
                    LIMIT $6) AS ahead"#,
        job.queue.name,
        rank.priority,
        job.due_at,
        job.job_id.0,
        interval(PROCESS_TIMEOUT),
        MAX_COUNTED
    )
    .fetch_one(pool)
    .await?;
    Ok(ahead.unsigned_abs())
}

/// Counts the due suspects of the same length that come first; there are few suspects.
async fn count_suspects_before(
    pool: &PgPool,
    job: &WaitFacts,
    rank: &Rank,
    long_keys: &[String],
) -> Result<u64, DbError> {
    let ahead = sqlx::query_scalar!(
        r#"SELECT count(*) AS "ahead!"
             FROM jobs CROSS JOIN LATERAL (
                      SELECT COALESCE(array_position($2::text[], COALESCE(limit_key, kind)), 0) AS its,
                             COALESCE(array_position($2::text[], $3), 0) AS own) AS rank
            WHERE queue IN (SELECT unnest(queues) FROM processes
                             WHERE role = 'worker' AND last_seen_at > now() - $6::interval AND $1 = ANY(queues))
              AND suspect AND state IN ('queued', 'scheduled', 'retrying') AND due_at <= now()
              AND (its = 0) = (own = 0) AND (its, due_at, id) < (own, $4, $5)
              AND NOT EXISTS (SELECT 1 FROM job_leases WHERE job_leases.limit_key = jobs.limit_key)
              AND NOT EXISTS (SELECT 1 FROM queue_pauses WHERE queue_pauses.queue = jobs.queue)"#,
        job.queue.name,
        long_keys,
        rank.key,
        job.due_at,
        job.job_id.0,
        interval(PROCESS_TIMEOUT)
    )
    .fetch_one(pool)
    .await?;
    Ok(ahead.unsigned_abs())
}

/// The facts about a queue, which need not exist.
pub async fn find_queue(pool: &PgPool, queue: &str) -> Result<QueueFacts, DbError> {
    let row = sqlx::query!(
        r#"WITH worker AS (
               SELECT name, slots FROM processes
                WHERE role = 'worker' AND last_seen_at > now() - $2::interval AND $1 = ANY(queues))
           SELECT (SELECT count(*) FROM worker) AS "workers!",
                  (SELECT sum(slots) FROM worker HAVING count(slots) = count(*)) AS slots,
                  (SELECT count(*) FROM job_leases JOIN worker ON worker.name = job_leases.worker) AS "claimed!",
                  (SELECT paused_at FROM queue_pauses WHERE queue = $1) AS paused_at,
                  (SELECT paused_by FROM queue_pauses WHERE queue = $1) AS paused_by"#,
        queue,
        interval(PROCESS_TIMEOUT)
    )
    .fetch_one(pool)
    .await?;
    Ok(QueueFacts {
        name: queue.to_owned(),
        paused_at: row.paused_at,
        paused_by: row.paused_by,
        workers: row.workers.unsigned_abs(),
        slots: row.slots.map(i64::unsigned_abs),
        claimed: row.claimed.unsigned_abs(),
    })
}

/// The running job of a limit, else the one of `queue` that is claimed next.
pub async fn find_next(pool: &PgPool, queue: &str, limit_key: &str) -> Result<Option<JobId>, DbError> {
    let job_id = sqlx::query_scalar!(
        r#"SELECT COALESCE(
               (SELECT job_id FROM job_leases WHERE limit_key = $2),
               (SELECT id FROM jobs
                 WHERE queue = $1 AND limit_key = $2 AND state IN ('queued', 'scheduled', 'retrying')
                 ORDER BY priority, due_at, id LIMIT 1)) AS job_id"#,
        queue,
        limit_key
    )
    .fetch_one(pool)
    .await?;
    Ok(job_id.map(JobId))
}
