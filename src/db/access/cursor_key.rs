//! The key that signs page cursors: all web processes share it, and the migration generates it.

use sqlx::PgPool;

use crate::db::DbError;

pub async fn get(pool: &PgPool) -> Result<Vec<u8>, DbError> {
    Ok(sqlx::query_scalar!("SELECT key FROM cursor_key").fetch_one(pool).await?)
}
