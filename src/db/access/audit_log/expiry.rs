//! Removes expired entries from the start of the chain. The anchor keeps the hash of the last one, from which the rest can still
//! be verified.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::chain::ChainHead;
use crate::db::DbError;

/// The last of the entries before `time`, at most `limit` after the first one. `None` if none has expired.
///
/// Entries are numbered in the order in which they were written, which is almost that of their times: an entry stays as long as
/// any before it.
pub async fn find_last_expired(
    connection: &mut PgConnection,
    time: DateTime<Utc>,
    limit: i64,
) -> Result<Option<ChainHead>, DbError> {
    let last = sqlx::query_as!(
        ChainHead,
        r#"SELECT sequence, hash FROM (
               SELECT sequence, hash, recorded_at, bool_and(recorded_at < $1) OVER (ORDER BY sequence) AS expired
                 FROM (SELECT sequence, hash, recorded_at FROM audit_log ORDER BY sequence LIMIT $2) AS first) AS prefix
            WHERE expired ORDER BY sequence DESC LIMIT 1"#,
        time,
        limit
    );
    Ok(last.fetch_optional(connection).await?)
}

/// Anchors `last` and deletes the entries up to it. Returns how many.
pub async fn delete_through(
    connection: &mut PgConnection,
    last: &ChainHead,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    sqlx::query!(
        r#"INSERT INTO audit_anchors (sequence, hash, removed, anchored_at)
           SELECT $1, $2, count(*), $3 FROM audit_log WHERE sequence <= $1"#,
        last.sequence,
        &last.hash,
        now
    )
    .execute(&mut *connection)
    .await?;
    let deleted = sqlx::query!("DELETE FROM audit_log WHERE sequence <= $1", last.sequence).execute(connection).await?;
    Ok(deleted.rows_affected())
}
