//! The history of the queues: a row per queue and minute.
//!
//! Any number of processes may record it. The depth is a sample, by whichever is first in a minute. Finished jobs are counted from
//! the jobs table once the minute is over, and counted again in the next minutes, because a transaction that ends a job has the
//! time of its start: the counts do not depend on which process counts, how often, or how late. Rejected: counters that every end
//! of a job increases (all ends of a queue would wait for one row), and counting when the history is read (it is read by charts
//! that refresh, and finished jobs may be deleted before).

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::db::jobs::queues::QueueDepth;
use crate::db::types::interval;

/// How long after its start a transaction may end a job. Sessions of the queue end statements after 10 s, and idle transactions too.
const SETTLING: Duration = Duration::from_mins(5);

/// Records this minute, unless another process has, for the queues in `known` and all others that a waiting or running job, a worker
/// or a pause names; counts the finished jobs of the last minutes; and deletes minutes that are older than `max_age`.
pub async fn record(pool: &PgPool, known: &[&str], max_age: Duration) -> Result<(), DbError> {
    if is_recorded(pool).await? {
        return Ok(());
    }
    let mut transaction = pool.begin().await?;
    if insert_depths(&mut transaction, known).await? > 0 {
        count_finished(&mut transaction).await?;
        prune(&mut transaction, max_age).await?;
    }
    transaction.commit().await?;
    Ok(())
}

async fn is_recorded(pool: &PgPool) -> Result<bool, DbError> {
    let recorded = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM queue_minutes WHERE minute = date_trunc('minute', now())) AS "recorded!""#
    );
    Ok(recorded.fetch_one(pool).await?)
}

async fn insert_depths(connection: &mut PgConnection, known: &[&str]) -> Result<u64, DbError> {
    let inserted = sqlx::query!(
        r#"WITH live AS (
               SELECT queue, count(*) FILTER (WHERE state = 'queued') AS queued,
                      count(*) FILTER (WHERE state = 'scheduled') AS scheduled,
                      count(*) FILTER (WHERE state = 'running') AS running,
                      count(*) FILTER (WHERE state = 'retrying') AS retrying
                 FROM (SELECT queue, state FROM jobs WHERE state IN ('queued', 'scheduled', 'retrying')
                        UNION ALL
                       SELECT queue, state FROM job_leases JOIN jobs ON jobs.id = job_id WHERE state = 'running') AS live
                GROUP BY queue),
           named AS (
               SELECT unnest($1::text[]) AS queue UNION SELECT queue FROM live UNION SELECT queue FROM queue_pauses
                UNION SELECT unnest(queues) FROM processes WHERE role = 'worker')
           INSERT INTO queue_minutes (minute, queue, queued, scheduled, running, retrying)
           SELECT date_trunc('minute', now()), queue, COALESCE(queued, 0), COALESCE(scheduled, 0), COALESCE(running, 0),
                  COALESCE(retrying, 0)
             FROM named LEFT JOIN live USING (queue)
            ORDER BY queue
               ON CONFLICT DO NOTHING"#,
        known as &[&str]
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected())
}

/// Counts the jobs that finished in minutes that are over and not counted yet, or counted while transactions of that time may
/// still have been open.
async fn count_finished(connection: &mut PgConnection) -> Result<(), DbError> {
    sqlx::query!(
        r#"WITH open AS (
               SELECT minute, queue FROM queue_minutes
                WHERE minute < date_trunc('minute', now()) AND (finished IS NULL OR minute > now() - $1::interval)),
           ended AS (
               SELECT minute, queue, count(*) AS finished, count(*) FILTER (WHERE state = 'failed') AS failed,
                      COALESCE(sum(milliseconds), 0)::bigint AS run_time, max(milliseconds) AS longest_run
                 FROM (SELECT DISTINCT minute FROM open) AS open_minute
                      JOIN jobs ON jobs.finished_at >= minute AND jobs.finished_at < minute + interval '1 minute'
                           AND state IN ('succeeded', 'failed')
                      LEFT JOIN LATERAL (
                          SELECT (extract(epoch FROM finished_at - started_at) * 1000)::bigint AS milliseconds
                            FROM job_attempts WHERE job_id = jobs.id AND epoch = jobs.epoch) AS last_attempt ON true
                GROUP BY minute, queue)
           INSERT INTO queue_minutes (minute, queue, finished, failed, run_time, longest_run)
           SELECT minute, queue, COALESCE(finished, 0), COALESCE(failed, 0), COALESCE(run_time, 0), longest_run
             FROM (SELECT minute, queue FROM open UNION SELECT minute, queue FROM ended) AS counted
                  LEFT JOIN ended USING (minute, queue)
            ORDER BY minute, queue
               ON CONFLICT (minute, queue) DO UPDATE
              SET finished = excluded.finished, failed = excluded.failed, run_time = excluded.run_time,
                  longest_run = excluded.longest_run
            WHERE (queue_minutes.finished, queue_minutes.failed, queue_minutes.run_time)
                  IS DISTINCT FROM (excluded.finished, excluded.failed, excluded.run_time)"#,
        interval(SETTLING)
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn prune(connection: &mut PgConnection, max_age: Duration) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM queue_minutes WHERE minute < now() - $1::interval", interval(max_age))
        .execute(connection)
        .await?;
    Ok(())
}

/// What is known of the minutes of a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueBucket {
    pub queue: String,
    pub start: DateTime<Utc>,
    /// The largest number of each state; `None` if no minute has a sample.
    pub depth: Option<QueueDepth>,
    /// `None` if the jobs of no minute have been counted.
    pub finished: Option<FinishedJobs>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinishedJobs {
    /// Jobs that succeeded or failed.
    pub finished: u64,
    pub failed: u64,
    /// The duration of their last attempts together.
    pub run_time: Duration,
    /// The longest one; `None` if there was none.
    pub longest_run: Option<Duration>,
}

/// Which history to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueHistory {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
    /// The length of a bucket; buckets are aligned to the Unix epoch.
    pub step: Duration,
    /// An empty list matches every queue.
    pub queues: Vec<&'static str>,
}

/// The buckets of which something is known, by queue and time.
pub async fn list(pool: &PgPool, history: &QueueHistory) -> Result<Vec<QueueBucket>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT queue, date_bin($1::interval, minute, 'epoch') AS "start!", max(queued) AS queued,
                  max(scheduled) AS scheduled, max(running) AS running, max(retrying) AS retrying,
                  sum(finished)::bigint AS finished, sum(failed)::bigint AS failed, sum(run_time)::bigint AS run_time,
                  max(longest_run) AS longest_run
             FROM queue_minutes
            WHERE minute >= $2 AND minute < $3 AND (cardinality($4::text[]) = 0 OR queue = ANY($4))
            GROUP BY 1, 2 ORDER BY 1, 2"#,
        interval(history.step),
        history.from,
        history.until,
        &history.queues as &[&str]
    )
    .fetch_all(pool)
    .await?;
    let buckets = rows.into_iter().map(|row| QueueBucket {
        queue: row.queue,
        start: row.start,
        depth: depth([row.queued, row.scheduled, row.running, row.retrying]),
        finished: row.finished.map(|finished| FinishedJobs {
            finished: finished.unsigned_abs(),
            failed: row.failed.unwrap_or_default().unsigned_abs(),
            run_time: Duration::from_millis(row.run_time.unwrap_or_default().unsigned_abs()),
            longest_run: row.longest_run.map(|millis| Duration::from_millis(millis.unsigned_abs())),
        }),
    });
    Ok(buckets.collect())
}

/// All are recorded together.
fn depth(by_state: [Option<i64>; 4]) -> Option<QueueDepth> {
    let [Some(queued), Some(scheduled), Some(running), Some(retrying)] = by_state else { return None };
    let [queued, scheduled, running, retrying] = [queued, scheduled, running, retrying].map(i64::unsigned_abs);
    Some(QueueDepth { queued, scheduled, running, retrying })
}
