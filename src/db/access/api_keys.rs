//! API keys: only a digest of each key is stored.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use crate::db::DbError;
use crate::db::types::read_name;
use crate::domain::access::Role;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey<'key> {
    /// The owner.
    pub name: &'key str,
    pub role: Role,
    /// The first characters of the key, to recognize it in a list.
    pub prefix: &'key str,
    /// SHA-256 of the key.
    pub key_hash: &'key [u8],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedKey {
    pub id: Uuid,
    pub name: String,
    pub role: Role,
    pub prefix: String,
    pub created_at: DateTime<Utc>,
    /// Accurate to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// What authentication needs of a key that was not revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveKey {
    pub id: Uuid,
    pub name: String,
    pub role: Role,
    /// SHA-256 of the key.
    pub key_hash: Vec<u8>,
}

/// Returns the id of the new key.
pub async fn insert(pool: &PgPool, key: &NewKey<'_>, now: DateTime<Utc>) -> Result<Uuid, DbError> {
    let id = Uuid::now_v7();
    sqlx::query!(
        "INSERT INTO api_keys (id, name, role, prefix, key_hash, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        id,
        key.name,
        key.role.as_str(),
        key.prefix,
        key.key_hash,
        now
    )
    .execute(pool)
    .await?;
    Ok(id)
}

/// Lists the keys that were not revoked, oldest first.
pub async fn list(pool: &PgPool) -> Result<Vec<IssuedKey>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT id, name, role, prefix, created_at, last_used_at FROM api_keys
            WHERE revoked_at IS NULL ORDER BY created_at, id"#
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(IssuedKey {
                id: row.id,
                name: row.name,
                role: role(row.role)?,
                prefix: row.prefix,
                created_at: row.created_at,
                last_used_at: row.last_used_at,
            })
        })
        .collect()
}

pub async fn list_active(pool: &PgPool) -> Result<Vec<ActiveKey>, DbError> {
    let rows =
        sqlx::query!("SELECT id, name, role, key_hash FROM api_keys WHERE revoked_at IS NULL").fetch_all(pool).await?;
    rows.into_iter()
        .map(|row| Ok(ActiveKey { id: row.id, name: row.name, role: role(row.role)?, key_hash: row.key_hash }))
        .collect()
}

fn role(name: String) -> Result<Role, DbError> {
    read_name("api_keys.role", name, Role::from_name)
}

/// Writes at most once a minute.
pub async fn record_use(pool: &PgPool, id: Uuid, now: DateTime<Utc>) -> Result<(), DbError> {
    sqlx::query!(
        r#"UPDATE api_keys SET last_used_at = $2
            WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2::timestamptz - interval '1 minute')"#,
        id,
        now
    )
    .execute(pool)
    .await?;
    Ok(())
}

/// Returns false if there is no such key, or it was revoked before.
pub async fn revoke(pool: &PgPool, id: Uuid, now: DateTime<Utc>) -> Result<bool, DbError> {
    let revoked = sqlx::query!("UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL", id, now)
        .execute(pool)
        .await?;
    Ok(revoked.rows_affected() == 1)
}
