//! The table of what runs when, as the schedulers that run now have it.
//!
//! Only schedulers know it: it follows from their settings and their release. So they write it down for whoever asks, and
//! an entry that none of them has any more is forgotten after a day.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::db::DbError;
use crate::db::types::interval;
use crate::domain::job::{JobId, JobState};

/// An entry that no scheduler has shown for so long is none.
const SHOWN_WITHIN: Duration = Duration::from_hours(24);

/// An entry of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleEntry {
    /// Its name, under which its ticks are recorded.
    pub name: String,
    /// The kind of job that a tick enqueues.
    pub kind: String,
    /// When it ticks: `every 60 s`, or a cron expression.
    pub expression: String,
    /// The zone of the expression (IANA name).
    pub timezone: String,
    /// The next tick, as of the last time that a scheduler looked.
    pub next_tick_at: Option<DateTime<Utc>>,
}

/// Shows the entries of a scheduler, and forgets those that none has shown for a day.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn upsert_all(pool: &PgPool, entries: &[ScheduleEntry]) -> Result<(), DbError> {
    let column = |value: fn(&ScheduleEntry) -> &str| entries.iter().map(value).collect::<Vec<_>>();
    let next_ticks: Vec<Option<DateTime<Utc>>> = entries.iter().map(|entry| entry.next_tick_at).collect();
    // In the order of their names, so that two schedulers at once do not wait for each other in a ring.
    sqlx::query!(
        r#"WITH forgotten AS (
               DELETE FROM schedules WHERE seen_at < now() - $6::interval AND name <> ALL($1))
           INSERT INTO schedules (name, kind, expression, timezone, next_tick_at, seen_at)
           SELECT *, now() FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[]) ORDER BY 1
               ON CONFLICT (name) DO UPDATE
              SET kind = excluded.kind, expression = excluded.expression, timezone = excluded.timezone,
                  next_tick_at = excluded.next_tick_at, seen_at = excluded.seen_at"#,
        &column(|entry| &entry.name) as &[&str],
        &column(|entry| &entry.kind) as &[&str],
        &column(|entry| &entry.expression) as &[&str],
        &column(|entry| &entry.timezone) as &[&str],
        &next_ticks as &[Option<DateTime<Utc>>],
        interval(SHOWN_WITHIN)
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// The last tick of an entry, and what became of its job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastTick {
    /// When.
    pub tick_at: DateTime<Utc>,
    /// The job that it enqueued or joined.
    pub job_id: JobId,
    /// Where the job stands; none where it was cleared away.
    pub state: Option<JobState>,
    /// When the job came to its end.
    pub finished_at: Option<DateTime<Utc>>,
}

/// An entry with its last tick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedEntry {
    /// The entry.
    pub entry: ScheduleEntry,
    /// Its last tick, where it has ever ticked.
    pub last: Option<LastTick>,
}

/// The entries that a scheduler has shown within a day, by their names.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn list(pool: &PgPool) -> Result<Vec<ListedEntry>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT name, schedules.kind, expression, timezone, next_tick_at, tick_at AS "tick_at?", job_id AS "job_id?",
                  state AS "state?", finished_at
             FROM schedules
                  LEFT JOIN LATERAL (SELECT tick_at, job_id FROM schedule_ticks
                                      WHERE schedule = name ORDER BY tick_at DESC LIMIT 1) AS last ON true
                  LEFT JOIN jobs ON jobs.id = last.job_id
            WHERE seen_at >= now() - $1::interval
            ORDER BY name"#,
        interval(SHOWN_WITHIN)
    )
    .fetch_all(pool)
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
                last: last.map(|(tick_at, id)| LastTick { tick_at, job_id: JobId(id), state, finished_at }),
            })
        })
        .collect()
}
