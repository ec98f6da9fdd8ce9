//! How new what is stored is: a number for each source that grows with every commit which wrote payments of it.
//!
//! Whoever keeps an answer keeps it with these numbers, and asks for them again before giving it away: what is as new as it was
//! still holds. The events were rejected for this: they come a moment after the commit they tell of, and may be lost.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use super::DbError;
use crate::domain::sync::Stream;
use crate::domain::transaction::Source;

/// How new what is stored is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// The version of the payments of each source, in the order of [`Source::ALL`].
    pub versions: [i64; 2],
    /// Up to when each source has been read completely: the oldest watermark of the lists that tell what is new. None before
    /// every one of them has been read once, and everything that the first run owed.
    pub as_of: [Option<DateTime<Utc>>; 2],
}

/// Says that payments of `source` were written. The caller has the turn of the source, so nobody waits for the row.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn raise(connection: &mut PgConnection, source: Source) -> Result<(), DbError> {
    sqlx::query!("UPDATE payment_versions SET version = version + 1 WHERE source = $1", source.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// Looks how new what is stored is, in one view of the database.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn look(pool: &PgPool) -> Result<Freshness, DbError> {
    let lists = Source::ALL.into_iter().flat_map(|source| Stream::all_of(source).map(|stream| (source, stream)));
    let (sources, streams): (Vec<&str>, Vec<&str>) =
        lists.map(|(source, stream)| (source.as_str(), stream.as_str())).unzip();
    let rows = sqlx::query!(
        r#"SELECT versions.source, version, as_of
             FROM payment_versions AS versions
                  CROSS JOIN LATERAL (
                  SELECT CASE WHEN bool_and(watermark IS NOT NULL)
                               AND EXISTS (SELECT FROM sync_streams AS history
                                            WHERE history.source = versions.source AND history.stream = 'history'
                                              AND history.covered_from <= history.day::timestamp AT TIME ZONE 'UTC')
                              THEN min(watermark) END AS as_of
                    FROM UNNEST($1::text[], $2::text[]) AS lists (source, stream)
                         LEFT JOIN sync_streams AS read ON read.source = lists.source AND read.stream = lists.stream
                   WHERE lists.source = versions.source) AS reading"#,
        &sources as &[&str],
        &streams as &[&str]
    )
    .fetch_all(pool)
    .await?;
    let of = |source: Source| rows.iter().find(|row| row.source == source.as_str());
    Ok(Freshness {
        versions: Source::ALL.map(|source| of(source).map_or(0, |row| row.version)),
        as_of: Source::ALL.map(|source| of(source).and_then(|row| row.as_of)),
    })
}
