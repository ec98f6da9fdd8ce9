//! Ticks of the schedule: each is recorded once, by the first scheduler.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::domain::job::JobId;

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
        r#"SELECT EXISTS (SELECT 1 FROM schedule_ticks WHERE schedule = $1 AND tick_at = $2) AS "recorded!",
                  pg_try_advisory_xact_lock(hashtextextended('schedules:' || $1, 0)) AS "locked!""#,
        schedule,
        tick_at
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
        "INSERT INTO schedule_ticks (schedule, tick_at, job_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        schedule,
        tick_at,
        job_id.0
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The last recorded tick of `schedule` up to `now`. (A clock that ran ahead may have recorded later ones.)
pub async fn find_last(pool: &PgPool, schedule: &str, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, DbError> {
    let tick = sqlx::query_scalar!(
        "SELECT max(tick_at) FROM schedule_ticks WHERE schedule = $1 AND tick_at <= $2",
        schedule,
        now
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
