//! The session of each account. A row contains a token: no row may be logged or exported.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgPool;

use crate::db::DbError;

pub async fn find(pool: &PgPool, account: &str) -> Result<Option<Value>, DbError> {
    let session = sqlx::query_scalar!("SELECT session FROM provider_sessions WHERE account = $1", account);
    Ok(session.fetch_optional(pool).await?)
}

/// Replaces the session of `account`, and deletes the expired ones of others.
pub async fn upsert(pool: &PgPool, account: &str, session: &Value, expires_at: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        r#"WITH expired AS (DELETE FROM provider_sessions WHERE account <> $1 AND expires_at < now())
           INSERT INTO provider_sessions (account, session, expires_at) VALUES ($1, $2, $3)
               ON CONFLICT (account) DO UPDATE SET session = excluded.session, expires_at = excluded.expires_at"#,
        account,
        session,
        expires_at
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Deletes the session if it still has this token.
pub async fn delete(pool: &PgPool, account: &str, token: &str) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM provider_sessions WHERE account = $1 AND session->>'token' = $2", account, token)
        .execute(pool)
        .await?;
    Ok(())
}
