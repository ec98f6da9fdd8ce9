//! The login lock of each account, and its last refused login.
//!
//! The lock is a row with an expiry. An advisory lock was rejected: its session would be held while the provider is waited
//! for.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::db::DbError;
use crate::db::types::interval;

/// Acquires the lock for `lease`; returns whether it was free. The lease is measured by the database's clock.
pub async fn try_lock(pool: &PgPool, account: &str, mark: &str, lease: Duration) -> Result<bool, DbError> {
    let locked = sqlx::query!(
        r#"INSERT INTO login_locks AS held (account, mark, expires_at) VALUES ($1, $2, now() + $3::interval)
               ON CONFLICT (account) DO UPDATE SET mark = excluded.mark, expires_at = excluded.expires_at
            WHERE held.expires_at <= now()"#,
        account,
        mark,
        interval(lease)
    )
    .execute(pool)
    .await?;
    Ok(locked.rows_affected() == 1)
}

/// Releases the lock if `mark` still holds it.
pub async fn unlock(pool: &PgPool, account: &str, mark: &str) -> Result<(), DbError> {
    sqlx::query!("DELETE FROM login_locks WHERE account = $1 AND mark = $2", account, mark).execute(pool).await?;
    Ok(())
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedLoginRow {
    pub until: DateTime<Utc>,
    pub message: String,
}

pub async fn find_refused(pool: &PgPool, account: &str) -> Result<Option<RefusedLoginRow>, DbError> {
    let refused =
        sqlx::query_as!(RefusedLoginRow, "SELECT until, message FROM refused_logins WHERE account = $1", account);
    Ok(refused.fetch_optional(pool).await?)
}

/// Replaces the refused login of `account`, and deletes those of others whose time is over, with their locks.
pub async fn upsert_refused(pool: &PgPool, account: &str, refused: &RefusedLoginRow) -> Result<(), DbError> {
    sqlx::query!(
        r#"WITH over AS (DELETE FROM refused_logins WHERE account <> $1 AND until < now()),
                dead AS (DELETE FROM login_locks WHERE account <> $1 AND expires_at < now())
           INSERT INTO refused_logins (account, until, message) VALUES ($1, $2, $3)
               ON CONFLICT (account) DO UPDATE SET until = excluded.until, message = excluded.message"#,
        account,
        refused.until,
        refused.message
    )
    .execute(pool)
    .await?;
    Ok(())
}
