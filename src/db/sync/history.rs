//! How far back each source has been read: what its first run owes, and what has been read of it since.
//!
//! A row of `sync_streams` beside those of the source's lists, under a name that no list has.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::domain::reconciliation::Coverage;
use crate::domain::sync::{History, Stream, day_start};
use crate::domain::transaction::{Kind, Source};

const HISTORY: &str = "history";

/// How far back `source` has been read; none before its first run.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn find(pool: &PgPool, source: Source) -> Result<Option<History>, DbError> {
    let row = sqlx::query!(
        r#"SELECT day, covered_from, coalesce(followed_from, covered_from) AS followed_from
             FROM sync_streams WHERE source = $1 AND stream = $2"#,
        source.as_str(),
        HISTORY
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.and_then(|row| {
        Some(History { backlog_from: row.day?, covered_from: row.covered_from?, followed_from: row.followed_from? })
    }))
}

/// Notes what the first run of `source` owes, and from when on it reads by itself.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn upsert(connection: &mut PgConnection, source: Source, history: History) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO sync_streams (source, stream, day, covered_from, followed_from) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (source, stream) DO UPDATE
               SET day = excluded.day, covered_from = excluded.covered_from, followed_from = excluded.followed_from"#,
        source.as_str(),
        HISTORY,
        history.backlog_from,
        history.covered_from,
        history.followed_from
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that a whole day has been read. It counts where no hole is left between it and what was read before.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn extend(connection: &mut PgConnection, source: Source, day: NaiveDate) -> Result<(), DbError> {
    let end = day.succ_opt().map_or(DateTime::<Utc>::MAX_UTC, day_start);
    sqlx::query!(
        r#"UPDATE sync_streams SET covered_from = $3
            WHERE source = $1 AND stream = $2 AND covered_from > $3 AND covered_from <= $4"#,
        source.as_str(),
        HISTORY,
        day_start(day),
        end
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// From when on, and up to when, the pay-ins of `source` have been read: what a reconciliation may rely on. Days that the
/// first run still owes are not counted, and keep nothing else from being so.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn find_coverage(connection: &mut PgConnection, source: Source) -> Result<Coverage, DbError> {
    let streams = Stream::all_of(source).into_iter().filter(|stream| stream.kind() == Kind::Payin);
    let names: Vec<String> = streams.map(|stream| stream.as_str().to_owned()).collect();
    let coverage = sqlx::query_as!(
        Coverage,
        r#"SELECT min(covered_from) FILTER (WHERE stream = $3) AS covered_from,
                  CASE WHEN count(watermark) FILTER (WHERE stream = ANY($2)) = cardinality($2::text[])
                       THEN min(watermark) FILTER (WHERE stream = ANY($2)) END AS watermark
             FROM sync_streams WHERE source = $1"#,
        source.as_str(),
        &names,
        HISTORY
    );
    Ok(coverage.fetch_one(connection).await?)
}
