//! Events, with ids in commit order.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::DbError;
use crate::domain::event::{Event, RecordedEvent};
use crate::observability::traces;

/// Records events in the transaction that caused them. Call it last: until this transaction ends no other one can record
/// events, which keeps ids in commit order.
pub async fn insert(
    connection: &mut PgConnection,
    events: Vec<Event>,
    now: DateTime<Utc>,
) -> Result<Vec<RecordedEvent>, DbError> {
    if events.is_empty() {
        return Ok(vec![]);
    }
    let bodies: Vec<serde_json::Value> = events.iter().map(|event| serde_json::json!(event)).collect();
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('events', 0))").execute(&mut *connection).await?;
    let trace_id = traces::current().map(|trace| trace.trace_id);
    let mut ids = sqlx::query_scalar!(
        r#"INSERT INTO events (created_at, body, trace_id)
           SELECT $1, body, $3 FROM UNNEST($2::jsonb[]) WITH ORDINALITY AS event (body, ordinal) ORDER BY ordinal
           RETURNING id"#,
        now,
        &bodies,
        trace_id.map(|id| id.to_string())
    )
    .fetch_all(connection)
    .await?;
    ids.sort_unstable();
    Ok(ids.into_iter().zip(events).map(|(id, event)| RecordedEvent { id, timestamp: now, trace_id, event }).collect())
}

/// Events in the order of their ids.
#[derive(Debug, Default)]
pub struct EventPage {
    /// Without those of a type that only a newer release knows, which may run beside this one during a deployment.
    pub events: Vec<RecordedEvent>,
    /// The id of the last one that was read, also if it is left out; `None` if there is none.
    pub last: Option<i64>,
    /// Whether there may be more.
    pub is_full: bool,
}

/// Reads at most `limit` events after `id`, oldest first.
pub async fn list_after(pool: &PgPool, id: i64, limit: i64) -> Result<EventPage, DbError> {
    let rows =
        sqlx::query!("SELECT id, created_at, body, trace_id FROM events WHERE id > $1 ORDER BY id LIMIT $2", id, limit)
            .fetch_all(pool)
            .await?;
    let last = rows.last().map(|row| row.id);
    let is_full = i64::try_from(rows.len()).is_ok_and(|count| count == limit);
    let events =
        rows.into_iter().filter_map(|row| read(row.id, row.created_at, row.trace_id.as_deref(), row.body)).collect();
    Ok(EventPage { events, last, is_full })
}

/// Lists the events after the id `after`, up to `through`, oldest first. Skips what [`list_after`] skips.
pub async fn list_between(
    connection: &mut PgConnection,
    after: i64,
    through: i64,
) -> Result<Vec<RecordedEvent>, DbError> {
    let rows = sqlx::query!(
        "SELECT id, created_at, body, trace_id FROM events WHERE id > $1 AND id <= $2 ORDER BY id",
        after,
        through
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().filter_map(|row| read(row.id, row.created_at, row.trace_id.as_deref(), row.body)).collect())
}

fn read(id: i64, timestamp: DateTime<Utc>, trace_id: Option<&str>, body: serde_json::Value) -> Option<RecordedEvent> {
    let trace_id = trace_id.and_then(|trace_id| trace_id.parse().ok());
    match serde_json::from_value(body) {
        Ok(event) => Some(RecordedEvent { id, timestamp, trace_id, event }),
        Err(error) => {
            tracing::warn!(%error, id, "skipped an event that this release cannot read");
            None
        }
    }
}

/// The ids of the oldest and the newest stored event; zeros if there are none.
pub async fn get_bounds(pool: &PgPool) -> Result<(i64, i64), DbError> {
    let row =
        sqlx::query!(r#"SELECT COALESCE(min(id), 0) AS "oldest!", COALESCE(max(id), 0) AS "newest!" FROM events"#)
            .fetch_one(pool)
            .await?;
    Ok((row.oldest, row.newest))
}

/// Deletes at most `limit` events from before `time`, except the newest: its id shows where new subscribers start.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM events WHERE id IN (
               SELECT id FROM events WHERE created_at < $1 AND id < (SELECT max(id) FROM events) LIMIT $2)"#,
        time,
        limit
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
