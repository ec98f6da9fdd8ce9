//! Ticks of the schedule: each is recorded once, whichever scheduler was first.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::domain::job::JobId;

/// How a tick stands, for whoever wants to record it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TickState {
    /// Nobody has recorded it; it is ours to record until the end of the transaction.
    Free,
    /// It is recorded.
    Recorded,
    /// Another scheduler records it at the moment.
    Busy,
}

/// Takes the right to record the tick of `schedule`, without waiting for anybody: ten schedulers that tick at the same
/// instant are not to queue up behind each other's inserts.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
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

/// Records that the tick of `schedule` became `job_id`; false where another scheduler was first.
///
/// # Errors
/// [`DbError`] where the database refuses.
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

/// The last tick of `schedule` until `now` that was recorded. (A clock that was ahead for a while has recorded later ones.)
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn find_last(pool: &PgPool, schedule: &str, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>, DbError> {
    let tick = sqlx::query_scalar!(
        "SELECT max(tick_at) FROM schedule_ticks WHERE schedule = $1 AND tick_at <= $2",
        schedule,
        now
    );
    Ok(tick.fetch_one(pool).await?)
}

/// Forgets ticks before `time`, but for the last of each schedule.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM schedule_ticks AS tick
            WHERE tick_at < $1
              AND tick_at < (SELECT max(tick_at) FROM schedule_ticks WHERE schedule = tick.schedule)"#,
        time
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
