//! Files stored in the database in pieces, so that writing and reading need memory for one piece only.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::db::DbError;

/// The size of every piece except the last.
pub const PIECE_BYTES: usize = 1 << 20;

/// Numbers of pieces start at 0.
pub async fn insert(pool: &PgPool, file: &str, number: i32, bytes: &[u8], now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO export_pieces (file, number, bytes, created_at) VALUES ($1, $2, $3, $4)",
        file,
        number,
        bytes,
        now
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// `length` bytes of a piece from `offset`; `None` if there is no such piece.
pub async fn read(
    pool: &PgPool,
    file: &str,
    number: i32,
    offset: i32,
    length: i32,
) -> Result<Option<Vec<u8>>, DbError> {
    let bytes = sqlx::query_scalar!(
        r#"SELECT substring(bytes FROM $3 + 1 FOR $4) AS "bytes!" FROM export_pieces WHERE file = $1 AND number = $2"#,
        file,
        number,
        offset,
        length
    );
    Ok(bytes.fetch_optional(pool).await?)
}

pub async fn delete(pool: &PgPool, file: &str) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM export_pieces WHERE file = $1", file).execute(pool).await?;
    Ok(())
}

/// Deletes at most `limit` pieces written before `time`.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM export_pieces WHERE (file, number) IN (
               SELECT file, number FROM export_pieces WHERE created_at < $1 LIMIT $2)"#,
        time,
        limit
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
