//! Browser sessions: only a digest of each token is stored.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};

use crate::db::DbError;
use crate::db::types::read_name;
use crate::domain::access::{KeyId, Role};
use crate::domain::session::{CurrentSession, SessionId, SignInMethod};

#[derive(Debug)]
pub struct NewSession<'a> {
    pub id: SessionId,
    /// SHA-256 of the token.
    pub token_hash: &'a [u8; 32],
    pub key_id: KeyId,
    /// The identity provider that the caller signed in at; `None` if the session is that of an API key.
    pub issuer: Option<&'a str>,
    pub name: &'a str,
    pub role: Role,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// A session that was not ended; it may have expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    pub id: SessionId,
    /// SHA-256 of the token.
    pub token_hash: Vec<u8>,
    pub key_id: KeyId,
    /// `None` if the session is that of an API key, which decides the name, role and scope.
    pub issuer: Option<String>,
    pub name: String,
    pub role: Role,
    pub expires_at: DateTime<Utc>,
}

impl OpenSession {
    #[must_use]
    pub fn current(&self) -> CurrentSession {
        let sign_in = if self.issuer.is_some() { SignInMethod::IdentityProvider } else { SignInMethod::ApiKey };
        CurrentSession { id: self.id, sign_in, expires_at: self.expires_at }
    }
}

pub async fn insert(connection: &mut PgConnection, session: &NewSession<'_>) -> Result<(), DbError> {
    sqlx::query!(
        r#"INSERT INTO sessions (id, token_hash, key_id, issuer, name, role, created_at, expires_at)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"#,
        session.id.0,
        session.token_hash,
        session.key_id.0,
        session.issuer,
        session.name,
        session.role.as_str(),
        session.created_at,
        session.expires_at
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// `None` if there is no such session, or it was ended.
pub async fn find_open(pool: &PgPool, id: SessionId) -> Result<Option<OpenSession>, DbError> {
    let row = sqlx::query!(
        r#"SELECT id, token_hash, key_id, issuer, name, role, expires_at FROM sessions
            WHERE id = $1 AND ended_at IS NULL"#,
        id.0
    )
    .fetch_optional(pool)
    .await?;
    let session = row.map(|row| {
        Ok(OpenSession {
            id: SessionId(row.id),
            token_hash: row.token_hash,
            key_id: KeyId(row.key_id),
            issuer: row.issuer,
            name: row.name,
            role: read_name("sessions.role", row.role, Role::from_name)?,
            expires_at: row.expires_at,
        })
    });
    session.transpose()
}

/// Returns false if there is no such session, or it was ended before.
pub async fn end(connection: &mut PgConnection, id: SessionId, now: DateTime<Utc>) -> Result<bool, DbError> {
    let ended = sqlx::query!("UPDATE sessions SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL", id.0, now)
        .execute(connection)
        .await?;
    Ok(ended.rows_affected() == 1)
}

/// Deletes sessions that expired before `time`.
pub async fn prune(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let pruned = sqlx::query!(
        r#"DELETE FROM sessions WHERE expires_at < $1 AND id IN (
               SELECT id FROM sessions WHERE expires_at < $1 ORDER BY expires_at LIMIT $2)"#,
        time,
        limit
    )
    .execute(pool)
    .await?;
    Ok(pruned.rows_affected())
}
