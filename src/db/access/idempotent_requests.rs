//! Requests that must be carried out once, however often they are sent.
//!
//! The row is written in the transaction that does the work, so that a crash leaves neither, and so that of two at once
//! the second waits for the first and then finds its answer.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::db::types::interval;

/// How long a request is remembered.
pub const REMEMBERED: Duration = Duration::from_hours(24);

/// A request that bears an `Idempotency-Key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentRequest {
    /// SHA-256 over who asked, the path and the key.
    pub key_hash: [u8; 32],
    /// SHA-256 over the body.
    pub body_hash: [u8; 32],
}

/// What is known of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Claimed {
    /// Nothing: it is to be carried out, and its answer noted, in this transaction.
    New,
    /// It was carried out, and this was the answer.
    Answered(Value),
    /// Its key was used for another body.
    OtherBody,
}

/// Claims a request for this transaction, waiting for another one that is at it.
///
/// # Errors
/// [`DbError`] where the database refuses, or holds an impossible row.
pub async fn claim(
    connection: &mut PgConnection,
    request: &IdempotentRequest,
    now: DateTime<Utc>,
) -> Result<Claimed, DbError> {
    let claimed = sqlx::query!(
        r#"INSERT INTO idempotent_requests AS known (key_hash, body_hash, created_at) VALUES ($1, $2, $3)
               ON CONFLICT (key_hash) DO UPDATE
              SET body_hash = excluded.body_hash, answer = NULL, created_at = excluded.created_at
            WHERE known.created_at < $3::timestamptz - $4::interval"#,
        &request.key_hash,
        &request.body_hash,
        now,
        interval(REMEMBERED)
    )
    .execute(&mut *connection)
    .await?;
    if claimed.rows_affected() == 1 {
        return Ok(Claimed::New);
    }
    let known =
        sqlx::query!("SELECT body_hash, answer FROM idempotent_requests WHERE key_hash = $1", &request.key_hash)
            .fetch_one(connection)
            .await?;
    match known.answer {
        _ if known.body_hash != request.body_hash => Ok(Claimed::OtherBody),
        Some(answer) => Ok(Claimed::Answered(answer)),
        None => Err(DbError::impossible("idempotent_requests.answer", "nothing")),
    }
}

/// Notes the answer of a claimed request.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn set_response(
    connection: &mut PgConnection,
    request: &IdempotentRequest,
    answer: &Value,
) -> Result<(), DbError> {
    sqlx::query!("UPDATE idempotent_requests SET answer = $2 WHERE key_hash = $1", &request.key_hash, answer)
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets requests from before `time`.
///
/// # Errors
/// [`DbError`] where the database refuses.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>) -> Result<u64, DbError> {
    let pruned = sqlx::query!("DELETE FROM idempotent_requests WHERE created_at < $1", time).execute(pool).await?;
    Ok(pruned.rows_affected())
}
