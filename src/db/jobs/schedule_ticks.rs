//! Ticks of the schedule: each is recorded once, by the first scheduler.
//!
//! A scheduler whose clock is ahead records ticks before their time. They stay recorded until then, so that it does not
//! record them again and again; when their time has come by the clock of the database, they count as not recorded, and the
//! first scheduler enqueues a job for them. Otherwise an hour ahead would later be an hour without syncs.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::db::types::interval;
use crate::domain::job::JobId;

/// A tick that was recorded earlier than this before its time is enqueued again. Clocks differ by less.
const MAX_EARLY: Duration = Duration::from_mins(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TickState {
    /// Not recorded; this transaction holds the lock to record it.
    Free,
    Recorded,
    /// Another scheduler is recording it.
    Busy,
}

/// Locks the tick of `schedule` for recording. Never waits: several schedulers tick at the same instant, and must not queue up
/// behind each other's inserts.
pub async fn try_lock(
    connection: &mut PgConnection,
    schedule: &str,
    tick_at: DateTime<Utc>,
) -> Result<TickState, DbError> {
    let row = sqlx::query!(
        r#"SELECT EXISTS (SELECT 1 FROM schedule_ticks
                           WHERE schedule = $1 AND tick_at = $2
                             AND NOT (recorded_at < tick_at - $3::interval AND tick_at <= now())) AS "recorded!",
                  pg_try_advisory_xact_lock(hashtextextended('schedules:' || $1, 0)) AS "locked!""#,
        schedule,
        tick_at,
        interval(MAX_EARLY)
    )
    .fetch_one(connection)
    .await?;
    Ok(match (row.recorded, row.locked) {
        (true, _) => TickState::Recorded,
        (false, true) => TickState::Free,
        (false, false) => TickState::Busy,
    })
}

/// Records that the tick of `schedule` enqueued or joined `job_id`. Returns false if another scheduler was first.
pub async fn insert(
    connection: &mut PgConnection,
    schedule: &str,
    tick_at: DateTime<Utc>,
    job_id: JobId,
) -> Result<bool, DbError> {
    let inserted = sqlx::query!(
        r#"INSERT INTO schedule_ticks AS tick (schedule, tick_at, job_id) VALUES ($1, $2, $3)
               ON CONFLICT (schedule, tick_at) DO UPDATE SET job_id = excluded.job_id, recorded_at = now()
            WHERE tick.recorded_at < tick.tick_at - $4::interval AND tick.tick_at <= now()"#,
        schedule,
        tick_at,
        job_id.0,
        interval(MAX_EARLY)
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The last tick of `schedule` up to `now` that was recorded in time. (A clock that was ahead may have recorded later ones.)
pub async fn find_last(pool: &PgPool, schedule: &str, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, DbError> {
    let tick = sqlx::query_scalar!(
        r#"SELECT max(tick_at) FROM schedule_ticks
            WHERE schedule = $1 AND tick_at <= $2
              AND NOT (recorded_at < tick_at - $3::interval AND tick_at <= now())"#,
        schedule,
        now,
        interval(MAX_EARLY)
    );
    Ok(tick.fetch_one(pool).await?)
}

/// Deletes at most `limit` ticks before `time`, except the last of each schedule.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM schedule_ticks WHERE (schedule, tick_at) IN (
               SELECT schedule, tick_at FROM schedule_ticks AS tick
                WHERE tick_at < $1
                  AND tick_at < (SELECT max(tick_at) FROM schedule_ticks WHERE schedule = tick.schedule)
                LIMIT $2)"#,
        time,
        limit
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
