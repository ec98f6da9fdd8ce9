//! Requests with an `Idempotency-Key`, which are carried out once even if they are sent several times.
//!
//! The row is written in the transaction that does the work. A crash leaves neither, and of two concurrent requests the second
//! waits for the first and then finds its response.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::db::types::interval;
use crate::domain::retention::IDEMPOTENT_REQUEST_AGE;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotentRequest {
    /// SHA-256 over the principal, the path and the key.
    pub key_hash: [u8; 32],
    /// SHA-256 of the body.
    pub body_hash: [u8; 32],
}

#[derive(Debug, Clone, PartialEq)]
pub enum Claimed {
    /// The caller must carry the request out, and store its response, in this transaction.
    New,
    /// The request was carried out before, with this response.
    Answered(Value),
    /// The key was used with a different body.
    OtherBody,
}

/// Claims a request for this transaction. Waits for a concurrent transaction that has claimed it.
pub async fn claim(
    connection: &mut PgConnection,
    request: &IdempotentRequest,
    now: DateTime<Utc>,
) -> Result<Claimed, DbError> {
    let claimed = sqlx::query!(
        r#"INSERT INTO idempotent_requests AS existing (key_hash, body_hash, created_at) VALUES ($1, $2, $3)
               ON CONFLICT (key_hash) DO UPDATE
              SET body_hash = excluded.body_hash, answer = NULL, created_at = excluded.created_at
            WHERE existing.created_at < $3::timestamptz - $4::interval"#,
        &request.key_hash,
        &request.body_hash,
        now,
        interval(IDEMPOTENT_REQUEST_AGE)
    )
    .execute(&mut *connection)
    .await?;
    if claimed.rows_affected() == 1 {
        return Ok(Claimed::New);
    }
    let existing =
        sqlx::query!("SELECT body_hash, answer FROM idempotent_requests WHERE key_hash = $1", &request.key_hash)
            .fetch_one(connection)
            .await?;
    match existing.answer {
        _ if existing.body_hash != request.body_hash => Ok(Claimed::OtherBody),
        Some(answer) => Ok(Claimed::Answered(answer)),
        None => Err(DbError::impossible("idempotent_requests.answer", "null")),
    }
}

/// Stores the response to a claimed request.
pub async fn set_response(
    connection: &mut PgConnection,
    request: &IdempotentRequest,
    response: &Value,
) -> Result<(), DbError> {
    sqlx::query!("UPDATE idempotent_requests SET answer = $2 WHERE key_hash = $1", &request.key_hash, response)
        .execute(connection)
        .await?;
    Ok(())
}

/// Deletes at most `limit` requests from before `time`.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM idempotent_requests WHERE created_at < $1 AND key_hash IN (
               SELECT key_hash FROM idempotent_requests WHERE created_at < $1 LIMIT $2)"#,
        time,
        limit
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
