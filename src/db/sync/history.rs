//! How far back each source has been read, and how far the first run must read.
//!
//! One row of `sync_streams` per source, next to the rows of its streams.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::domain::reconciliation::Coverage;
use crate::domain::sync::{History, Stream, day_start};
use crate::domain::transaction::{Kind, Source};

/// The name of the row in `sync_streams`; no stream has it.
pub(in crate::db) const HISTORY: &str = "history";

/// `None` before the first run of `source`.
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

/// Records that a whole day has been read. Ignored if it leaves a gap before the days read so far.
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

/// The time range in which the pay-ins of `source` have been read completely, which a reconciliation can rely on. Days that the
/// first run has not read yet are outside of it.
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
