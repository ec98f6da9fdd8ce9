//! Issues an API key. The key itself is handed over once and kept nowhere.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use crate::db::DbError;
use crate::db::access::api_keys;
use crate::db::access::api_keys::NewKey;
use crate::domain::access::Role;
use crate::domain::secret::Secret;

/// Enough to tell keys apart, far too little to guess one.
const PREFIX_CHARACTERS: usize = 12;

/// A key that was issued just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedNow {
    /// Its id.
    pub id: Uuid,
    /// The key: 256 random bits.
    pub key: Secret,
}

/// Issues a key of `role` for `name`.
///
/// # Errors
/// [`DbError`] where the database cannot take it.
pub async fn issue_key(pool: &PgPool, name: &str, role: Role, now: DateTime<Utc>) -> Result<IssuedNow, DbError> {
    let key = format!("psp_{}", hex::encode(rand::random::<[u8; 32]>()));
    let key_hash = Sha256::digest(&key);
    let prefix = &key[..PREFIX_CHARACTERS];
    let id = api_keys::insert(pool, &NewKey { name, role, prefix, key_hash: &key_hash }, now).await?;
    Ok(IssuedNow { id, key: Secret::new(key) })
}
