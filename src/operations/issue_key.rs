//! Issues an API key. The key itself is returned once and not stored.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use crate::db::DbError;
use crate::db::access::api_keys;
use crate::db::access::api_keys::NewKey;
use crate::domain::access::Role;
use crate::domain::secret::Secret;

/// Enough to distinguish keys, far too little to guess one.
const PREFIX_LENGTH: usize = 12;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedKey {
    pub id: Uuid,
    /// 256 random bits.
    pub key: Secret,
}

pub async fn issue_key(pool: &PgPool, name: &str, role: Role, now: DateTime<Utc>) -> Result<IssuedKey, DbError> {
    let key = format!("psp_{}", hex::encode(rand::random::<[u8; 32]>()));
    let key_hash = Sha256::digest(&key);
    let prefix = &key[..PREFIX_LENGTH];
    let id = api_keys::insert(pool, &NewKey { name, role, prefix, key_hash: &key_hash }, now).await?;
    Ok(IssuedKey { id, key: Secret::new(key) })
}
