//! How far each list of a provider has been read.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::db::types::interval;
use crate::domain::sync::Stream;
use crate::domain::version::SequenceId;

/// How far one list has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamPosition {
    /// The highest id read.
    pub cursor: Option<SequenceId>,
    /// The start of the last complete read.
    pub watermark: Option<DateTime<Utc>>,
}

/// How far `stream` has been read; nowhere, if never.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn find_position(pool: &PgPool, stream: Stream) -> Result<StreamPosition, DbError> {
    let row = sqlx::query!(
        "SELECT cursor::text, watermark FROM sync_streams WHERE source = $1 AND stream = $2",
        stream.source().as_str(),
        stream.as_str()
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(StreamPosition::default()) };
    Ok(StreamPosition { cursor: parse_cursor(row.cursor)?, watermark: row.watermark })
}

/// Where the cursor of `stream` stood at `time`, if a mark is that old.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn find_cursor_at(pool: &PgPool, stream: Stream, time: DateTime<Utc>) -> Result<Option<SequenceId>, DbError> {
    let cursor = sqlx::query_scalar!(
        r#"SELECT cursor::text FROM sync_cursor_marks
            WHERE source = $1 AND stream = $2 AND reached_at <= $3 ORDER BY reached_at DESC LIMIT 1"#,
        stream.source().as_str(),
        stream.as_str(),
        time
    )
    .fetch_optional(pool)
    .await?;
    parse_cursor(cursor.flatten())
}

/// Where the cursor of `stream` stood first of all that is remembered.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn find_first_cursor(pool: &PgPool, stream: Stream) -> Result<Option<SequenceId>, DbError> {
    let cursor = sqlx::query_scalar!(
        r#"SELECT cursor::text FROM sync_cursor_marks
            WHERE source = $1 AND stream = $2 ORDER BY reached_at LIMIT 1"#,
        stream.source().as_str(),
        stream.as_str(),
    )
    .fetch_optional(pool)
    .await?;
    parse_cursor(cursor.flatten())
}

fn parse_cursor(text: Option<String>) -> Result<Option<SequenceId>, DbError> {
    text.map(|text| text.parse()).transpose().map_err(|error| DbError::impossible("cursor", format!("{error}")))
}

/// Moves the cursor of `stream`, never back, and marks when it got there.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn advance_cursor(
    connection: &mut PgConnection,
    stream: Stream,
    cursor: SequenceId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        r#"WITH moved AS (
               INSERT INTO sync_streams AS stored (source, stream, cursor) VALUES ($1, $2, $3::text::numeric)
                   ON CONFLICT (source, stream) DO UPDATE SET cursor = excluded.cursor
                WHERE stored.cursor IS NULL OR stored.cursor < excluded.cursor
               RETURNING cursor)
           INSERT INTO sync_cursor_marks (source, stream, reached_at, cursor) SELECT $1, $2, $4, cursor FROM moved
               ON CONFLICT (source, stream, reached_at) DO UPDATE SET cursor = excluded.cursor"#,
        stream.source().as_str(),
        stream.as_str(),
        cursor.to_string(),
        now
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Marks where the cursor of `stream` would have stood at `time`, had it been followed then.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn insert_mark(
    connection: &mut PgConnection,
    stream: Stream,
    cursor: SequenceId,
    time: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO sync_cursor_marks (source, stream, reached_at, cursor) VALUES ($1, $2, $3, $4::text::numeric)
               ON CONFLICT (source, stream, reached_at) DO NOTHING"#,
        stream.source().as_str(),
        stream.as_str(),
        time,
        cursor.to_string()
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves the watermark of `stream` to `watermark`, never back.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn set_watermark(
    connection: &mut PgConnection,
    stream: Stream,
    watermark: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO sync_streams AS stored (source, stream, watermark) VALUES ($1, $2, $3)
               ON CONFLICT (source, stream) DO UPDATE SET watermark = GREATEST(stored.watermark, excluded.watermark)"#,
        stream.source().as_str(),
        stream.as_str(),
        watermark
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets marks that no run will begin at: of each list all that are older than the newest one from `kept` before the
/// list was last read to its end. Not `kept` before now: after an outage the next run begins where the last one did.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn prune_marks(pool: &PgPool, kept: Duration) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM sync_cursor_marks AS mark
            USING (SELECT source, stream, max(reached_at) AS newest
                     FROM sync_cursor_marks JOIN sync_streams USING (source, stream)
                    WHERE reached_at <= watermark - $1::interval GROUP BY source, stream) AS kept
            WHERE mark.source = kept.source AND mark.stream = kept.stream AND mark.reached_at < kept.newest"#,
        interval(kept)
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
