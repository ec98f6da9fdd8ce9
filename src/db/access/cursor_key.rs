//! The key that page cursors are signed with: one for all web processes, made by the migration.

use sqlx::PgPool;

use crate::db::DbError;

/// The key.
///
/// # Errors
/// [`DbError`] where the database cannot be asked.
pub async fn get(pool: &PgPool) -> Result<Vec<u8>, DbError> {
    Ok(sqlx::query_scalar!("SELECT key FROM cursor_key").fetch_one(pool).await?)
}
