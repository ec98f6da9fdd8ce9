//! How far each stream (a list of a provider) has been read.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool};

use super::history::HISTORY;
use crate::db::DbError;
use crate::db::types::interval;
use crate::domain::sync::{Stream, day_start};
use crate::domain::transaction::Source;
use crate::domain::version::SequenceId;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StreamPosition {
    /// The highest id read.
    pub cursor: Option<SequenceId>,
    /// The start of the last complete read.
    pub watermark: Option<DateTime<Utc>>,
}

/// A row of `sync_streams`: a stream, or the history of the source.
#[derive(Debug, Clone)]
pub(in crate::db) struct StreamRow {
    pub stream: String,
    pub watermark: Option<DateTime<Utc>>,
    /// The first day that the first run must read.
    pub day: Option<NaiveDate>,
    pub covered_from: Option<DateTime<Utc>>,
}

/// The rows of `source`.
pub(in crate::db) async fn list(executor: impl PgExecutor<'_>, source: Source) -> Result<Vec<StreamRow>, DbError> {
    let rows = sqlx::query_as!(
        StreamRow,
        "SELECT stream, watermark, day, covered_from FROM sync_streams WHERE source = $1",
        source.as_str()
    );
    Ok(rows.fetch_all(executor).await?)
}

/// Up to when each stream of `source` has been read completely, given the rows of the source.
pub(in crate::db) fn watermarks(source: Source, rows: &[StreamRow]) -> Vec<(Stream, DateTime<Utc>)> {
    let watermark = |stream: &Stream| rows.iter().find(|row| row.stream == stream.as_str())?.watermark;
    Stream::all_of(source).into_iter().filter_map(|stream| Some((stream, watermark(&stream)?))).collect()
}

/// Up to when the whole source has been read, given its rows: the oldest of its watermarks. `None` before each stream, and the
/// history that the first run must read, has been read once.
pub(in crate::db) fn complete_until(source: Source, rows: &[StreamRow]) -> Option<DateTime<Utc>> {
    let history = rows.iter().find(|row| row.stream == HISTORY)?;
    let watermarks = watermarks(source, rows);
    let complete = history.covered_from? <= day_start(history.day?) && watermarks.len() == Stream::all_of(source).len();
    watermarks.into_iter().map(|(_, watermark)| watermark).min().filter(|_| complete)
}

/// The default position if `stream` was never read.
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

/// The cursor of `stream` at `time`, from its newest mark up to then.
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

/// The cursor of the oldest mark of `stream`.
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

/// Moves the cursor of `stream` forward, never back, and adds a mark with the time.
pub async fn advance_cursor(
    connection: &mut PgConnection,
    stream: Stream,
    cursor: SequenceId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        r#"WITH moved AS (
               INSERT INTO sync_streams AS existing (source, stream, cursor) VALUES ($1, $2, $3::text::numeric)
                   ON CONFLICT (source, stream) DO UPDATE SET cursor = excluded.cursor
                WHERE existing.cursor IS NULL OR existing.cursor < excluded.cursor
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

/// Adds a mark for a `time` before the stream was followed.
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

/// Moves the watermark of `stream` forward, never back.
pub async fn set_watermark(
    connection: &mut PgConnection,
    stream: Stream,
    watermark: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO sync_streams AS existing (source, stream, watermark) VALUES ($1, $2, $3)
               ON CONFLICT (source, stream) DO UPDATE SET watermark = GREATEST(existing.watermark, excluded.watermark)"#,
        stream.source().as_str(),
        stream.as_str(),
        watermark
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes marks that no run can start from: for each stream, those older than its newest mark that is at least `overlap` before
/// the watermark. It does not count from now: after an outage the next run starts where the last one did.
pub async fn prune_marks(pool: &PgPool, overlap: Duration) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM sync_cursor_marks AS mark
            USING (SELECT source, stream, max(reached_at) AS newest
                     FROM sync_cursor_marks JOIN sync_streams USING (source, stream)
                    WHERE reached_at <= watermark - $1::interval GROUP BY source, stream) AS start
            WHERE mark.source = start.source AND mark.stream = start.stream AND mark.reached_at < start.newest"#,
        interval(overlap)
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
