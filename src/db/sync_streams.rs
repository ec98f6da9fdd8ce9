//! How far each list of a provider has been read.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};

use super::DbError;
use crate::domain::sync::Stream;
use crate::domain::transaction::Source;
use crate::domain::version::SequenceId;

/// How far one list has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// The highest id read.
    pub cursor: Option<SequenceId>,
    /// The first day that has not been read to its end.
    pub day: Option<NaiveDate>,
    /// The start of the last complete read.
    pub watermark: Option<DateTime<Utc>>,
    /// How far back the reads reach without a hole.
    pub covered_from: Option<DateTime<Utc>>,
}

/// How far `stream` has been read; nowhere, if never.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn find_place(pool: &PgPool, stream: Stream) -> Result<Place, DbError> {
    let row = sqlx::query!(
        "SELECT cursor::text, day, watermark, covered_from FROM sync_streams WHERE source = $1 AND stream = $2",
        stream.source().as_str(),
        stream.as_str()
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(Place::default()) };
    Ok(Place {
        cursor: parse_cursor(row.cursor)?,
        day: row.day,
        watermark: row.watermark,
        covered_from: row.covered_from,
    })
}

/// Where the cursor of `stream` stood at `time`: at the last mark until then, else at the first there is.
///
/// # Errors
/// [`DbError`] where the database cannot be asked, or holds an impossible row.
pub async fn find_cursor_at(pool: &PgPool, stream: Stream, time: DateTime<Utc>) -> Result<Option<SequenceId>, DbError> {
    let cursor = sqlx::query_scalar!(
        r#"(SELECT cursor::text FROM sync_cursor_marks
             WHERE source = $1 AND stream = $2 AND reached_at <= $3 ORDER BY reached_at DESC LIMIT 1)
           UNION ALL
           (SELECT cursor::text FROM sync_cursor_marks
             WHERE source = $1 AND stream = $2 AND reached_at > $3 ORDER BY reached_at LIMIT 1)
           LIMIT 1"#,
        stream.source().as_str(),
        stream.as_str(),
        time
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

/// Sets the place within the days of `stream`: the day that is being read, and the cursor within it.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn set_day(
    connection: &mut PgConnection,
    stream: Stream,
    day: Option<NaiveDate>,
    cursor: Option<SequenceId>,
) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO sync_streams (source, stream, day, cursor) VALUES ($1, $2, $3, $4::text::numeric)
               ON CONFLICT (source, stream) DO UPDATE SET day = excluded.day, cursor = excluded.cursor"#,
        stream.source().as_str(),
        stream.as_str(),
        day,
        cursor.map(|cursor| cursor.to_string()),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes how far back the read of `stream` that begins is to reach.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn set_coverage(
    connection: &mut PgConnection,
    stream: Stream,
    covered_from: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO sync_streams (source, stream, covered_from) VALUES ($1, $2, $3)
               ON CONFLICT (source, stream) DO UPDATE SET covered_from = excluded.covered_from"#,
        stream.source().as_str(),
        stream.as_str(),
        covered_from
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves the watermark of `stream` to `watermark`, never back, and its coverage to `covered_from`, never forth.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn complete(
    connection: &mut PgConnection,
    stream: Stream,
    watermark: DateTime<Utc>,
    covered_from: Option<DateTime<Utc>>,
) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO sync_streams AS stored (source, stream, watermark, covered_from) VALUES ($1, $2, $3, $4)
               ON CONFLICT (source, stream) DO UPDATE
              SET watermark = GREATEST(stored.watermark, excluded.watermark),
                  covered_from = LEAST(stored.covered_from, excluded.covered_from)"#,
        stream.source().as_str(),
        stream.as_str(),
        watermark,
        covered_from
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Forgets marks that no overlap will ask for: all but the newest of those until `time`.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn prune_marks(pool: &PgPool, time: DateTime<Utc>) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM sync_cursor_marks AS mark
            USING (SELECT source, stream, max(reached_at) AS newest FROM sync_cursor_marks
                    WHERE reached_at <= $1 GROUP BY source, stream) AS kept
            WHERE mark.source = kept.source AND mark.stream = kept.stream AND mark.reached_at < kept.newest"#,
        time
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}

/// Up to when `source` has been read completely: the oldest watermark of the lists that tell what is new. None before
/// every one of them has been read once.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn find_watermark(pool: &PgPool, source: Source) -> Result<Option<DateTime<Utc>>, DbError> {
    let streams: &[Stream] = match source {
        Source::Vima => &[Stream::VimaCreations, Stream::VimaUpdates],
        Source::Payshack => &[Stream::PayshackPayins, Stream::PayshackPayouts],
    };
    let names: Vec<String> = streams.iter().map(|stream| stream.as_str().to_owned()).collect();
    let watermark = sqlx::query_scalar!(
        r#"SELECT CASE WHEN count(watermark) = cardinality($2::text[]) THEN min(watermark) END
             FROM sync_streams WHERE source = $1 AND stream = ANY($2)"#,
        source.as_str(),
        &names
    )
    .fetch_one(pool)
    .await?;
    Ok(watermark)
}
