//! Whether the server accepts writes.

use sqlx::postgres::PgPool;

use super::DbError;

/// Fails if the server accepts no writes, or has no space left on its disk.
///
/// A full disk is noticed with a temporary file: whether a row can be written depends on the free space in the pages of its
/// table, and writing one with every check would let the log of the server grow.
pub async fn check_writable(pool: &PgPool) -> Result<(), DbError> {
    let mut transaction = pool.begin().await?;
    sqlx::query!("DELETE FROM processes WHERE false").execute(&mut *transaction).await?;
    sqlx::query!("SELECT set_config('work_mem', '64kB', true)").fetch_one(&mut *transaction).await?;
    // About 600 kB, which do not fit into the memory allowed above.
    sqlx::query!("SELECT count(*) FROM generate_series(1, 20000)").fetch_one(&mut *transaction).await?;
    transaction.rollback().await?;
    Ok(())
}
