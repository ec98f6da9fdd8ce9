//! Files that are kept in the database, piece by piece, so that neither writing nor reading one holds more than a piece.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::db::DbError;

/// How many bytes each piece of a file has, but for the last.
pub const PIECE_BYTES: usize = 1 << 20;

/// Adds a piece to a file; their numbers count from 0.
///
/// # Errors
/// [`DbError`] where the database refuses.
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

/// So many bytes of a piece from `offset` on; none where there is no such piece.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
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

/// Deletes a file.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn delete(pool: &PgPool, file: &str) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM export_pieces WHERE file = $1", file).execute(pool).await?;
    Ok(())
}

/// Deletes pieces that were written before `time`, and says how many.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>) -> Result<u64, DbError> {
    let pruned = sqlx::query!("DELETE FROM export_pieces WHERE created_at < $1", time).execute(pool).await?;
    Ok(pruned.rows_affected())
}
