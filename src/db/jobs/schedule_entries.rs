//! The entries of the schedule, as the running schedulers have it.
//!
//! Only schedulers know the schedule: it follows from their settings and their release. They write it here for the API. An entry
//! that no scheduler has written for a day is deleted.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgExecutor, PgPool};

use crate::db::DbError;
use crate::db::types::{column, interval};
use crate::domain::job::{JobId, JobState};

/// An entry that no scheduler has written for this long is outdated.
const MAX_AGE: Duration = Duration::from_hours(24);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleEntry {
    /// Its ticks are recorded under this name.
    pub name: String,
    /// The kind of job that a tick enqueues.
    pub kind: String,
    /// `every 60 s`, or a cron expression.
    pub expression: String,
    /// The IANA time zone of the expression.
    pub timezone: String,
    /// As of the scheduler's last write.
    pub next_tick_at: Option<DateTime<Utc>>,
}

/// Writes the entries of a scheduler, and deletes those that no scheduler has written for a day.
pub async fn upsert_all(pool: &PgPool, entries: &[ScheduleEntry]) -> Result<(), DbError> {
    // In the order of names, so that two schedulers do not deadlock.
    sqlx::query!(
        r#"WITH outdated AS (
               DELETE FROM schedules WHERE seen_at < now() - $6::interval AND name <> ALL($1))
           INSERT INTO schedules (name, kind, expression, timezone, next_tick_at, seen_at)
           SELECT *, now() FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[]) ORDER BY 1
               ON CONFLICT (name) DO UPDATE
              SET kind = excluded.kind, expression = excluded.expression, timezone = excluded.timezone,
                  next_tick_at = excluded.next_tick_at, seen_at = excluded.seen_at"#,
        &column(entries, |entry| entry.name.as_str()) as &[&str],
        &column(entries, |entry| entry.kind.as_str()) as &[&str],
        &column(entries, |entry| entry.expression.as_str()) as &[&str],
        &column(entries, |entry| entry.timezone.as_str()) as &[&str],
        &column(entries, |entry| entry.next_tick_at) as &[Option<DateTime<Utc>>],
        interval(MAX_AGE)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The last tick of an entry whose time has come, and its job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastTick {
    pub tick_at: DateTime<Utc>,
    /// The job that it enqueued or joined.
    pub job_id: JobId,
    /// `None` if the job was deleted since.
    pub state: Option<JobState>,
    pub finished_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEntry {
    pub entry: ScheduleEntry,
    pub last_tick: Option<LastTick>,
}

/// Lists the entries that a scheduler has written within a day, by name.
pub async fn list(executor: impl PgExecutor<'_>) -> Result<Vec<ListedEntry>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT name, schedules.kind, expression, timezone, next_tick_at, tick_at AS "tick_at?", job_id AS "job_id?",
                  state AS "state?", finished_at
             FROM schedules
                  LEFT JOIN LATERAL (SELECT tick_at, job_id FROM schedule_ticks
                                      WHERE schedule = name AND tick_at <= now()
                                      ORDER BY tick_at DESC LIMIT 1) AS last ON true
                  LEFT JOIN jobs ON jobs.id = last.job_id
            WHERE seen_at >= now() - $1::interval
            ORDER BY name"#,
        interval(MAX_AGE)
    )
    .fetch_all(executor)
    .await?;
    rows.into_iter()
        .map(|row| {
            let (state, finished_at) = (row.state.map(JobState::try_from).transpose()?, row.finished_at);
            let last = row.tick_at.zip(row.job_id);
            Ok(ListedEntry {
                entry: ScheduleEntry {
                    name: row.name,
                    kind: row.kind,
                    expression: row.expression,
                    timezone: row.timezone,
                    next_tick_at: row.next_tick_at,
                },
                last_tick: last.map(|(tick_at, id)| LastTick { tick_at, job_id: JobId(id), state, finished_at }),
            })
        })
        .collect()
}
