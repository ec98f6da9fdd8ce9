//! Events, in the order of commits.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::DbError;
use crate::domain::event::{Event, RecordedEvent};

/// Records events as part of the transaction that made them true. To be called last: from here on no other transaction
/// can record any until this one ends, so that ids grow in the order of commits.
///
/// # Errors
/// [`DbError`] where the database refuses.
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
    let mut ids = sqlx::query_scalar!(
        r#"INSERT INTO events (created_at, body)
           SELECT $1, body FROM UNNEST($2::jsonb[]) WITH ORDINALITY AS event (body, place) ORDER BY place
           RETURNING id"#,
        now,
        &bodies
    )
    .fetch_all(connection)
    .await?;
    ids.sort_unstable();
    Ok(ids.into_iter().zip(events).map(|(id, event)| RecordedEvent { id, timestamp: now, event }).collect())
}

/// Events after `id`, oldest first, at most `limit`. One that this release does not know was recorded by a newer one that
/// runs beside it: it is passed over, so that those after it are still told.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn list_after(pool: &PgPool, id: i64, limit: i64) -> Result<Vec<RecordedEvent>, DbError> {
    let rows = sqlx::query!("SELECT id, created_at, body FROM events WHERE id > $1 ORDER BY id LIMIT $2", id, limit)
        .fetch_all(pool)
        .await?;
    let known = rows.into_iter().filter_map(|row| match serde_json::from_value(row.body) {
        Ok(event) => Some(RecordedEvent { id: row.id, timestamp: row.created_at, event }),
        Err(error) => {
            tracing::warn!(%error, id = row.id, "an event of a newer release is passed over");
            None
        }
    });
    Ok(known.collect())
}

/// The ids of the oldest and of the newest event that are kept; zeros where there are none.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn get_bounds(pool: &PgPool) -> Result<(i64, i64), DbError> {
    let row =
        sqlx::query!(r#"SELECT COALESCE(min(id), 0) AS "oldest!", COALESCE(max(id), 0) AS "newest!" FROM events"#)
            .fetch_one(pool)
            .await?;
    Ok((row.oldest, row.newest))
}

/// Forgets events from before `time`, but for the newest, which says how far the count has come.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>) -> Result<u64, DbError> {
    let pruned = sqlx::query!("DELETE FROM events WHERE created_at < $1 AND id < (SELECT max(id) FROM events)", time)
        .execute(pool)
        .await?;
    Ok(pruned.rows_affected())
}
