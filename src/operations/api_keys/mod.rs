//! Creates, rotates and revokes API keys, for the API and the command line alike.
//!
//! The text of a key exists only in the response that created it: the database has its SHA-256. So requests that create keys
//! cannot be repeated under an `Idempotency-Key`, which would require storing the response.

pub mod create;
pub mod revoke;
pub mod rotate;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::audit::AuditContext;
use crate::db::DbError;
use crate::db::access::api_keys::{self, IssuedKey, NewKey};
use crate::domain::access::key::{AllowedNetworks, KeyEnvironment};
use crate::domain::access::{ProjectScope, Role};
use crate::domain::entity_tag::PreconditionFailed;
use crate::domain::secret::Secret;

/// A new key, and the only copy of its text.
#[derive(Debug)]
pub struct CreatedKey {
    pub issued: IssuedKey,
    pub key: Secret,
}

/// Why a key was neither rotated nor revoked.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("there is no such key, or it was revoked")]
    NotFound,
    #[error("the key was replaced by {0} already: rotate that one")]
    Replaced(Uuid),
    #[error("the key has expired: create a new one")]
    Expired,
    #[error(
        "this is the last key with the role admin, so that nobody could manage keys any more: create another one first"
    )]
    LastAdmin,
    #[error(transparent)]
    Precondition(#[from] PreconditionFailed),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// What a new key may do, and for how long.
struct Grant<'a> {
    name: &'a str,
    role: Role,
    scope: &'a ProjectScope,
    networks: &'a AllowedNetworks,
    expires_at: Option<DateTime<Utc>>,
}

async fn issue(
    connection: &mut PgConnection,
    environment: KeyEnvironment,
    grant: &Grant<'_>,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<CreatedKey, DbError> {
    let Grant { name, role, scope, networks, expires_at } = *grant;
    let (text, prefix) = environment.key_text(&rand::random());
    let key_hash = Sha256::digest(&text);
    let new = NewKey {
        name,
        role,
        scope,
        networks,
        expires_at,
        created_by: &audit.principal,
        prefix: &prefix,
        key_hash: &key_hash,
    };
    let issued = IssuedKey {
        id: api_keys::insert(connection, &new, now).await?,
        name: name.to_owned(),
        role,
        scope: scope.clone(),
        networks: networks.clone(),
        prefix,
        created_at: now,
        created_by: Some(audit.principal.name.clone()),
        expires_at,
        last_used_at: None,
        replaced_by: None,
        // As the database counts.
        version: 1,
    };
    Ok(CreatedKey { issued, key: Secret::new(text) })
}

/// What the audit log says about a key.
fn described(key: &IssuedKey) -> Value {
    let (projects, networks) = (key.scope.projects(), key.networks.to_texts());
    json!({
        "name": key.name, "role": key.role, "projects": projects, "allowed_networks": networks, "expires_at": key.expires_at,
    })
}

/// The key `id` among those that were not revoked, all of which are locked until the end of the transaction.
fn take(keys: &mut Vec<IssuedKey>, id: Uuid) -> Result<IssuedKey, KeyError> {
    let index = keys.iter().position(|key| key.id == id).ok_or(KeyError::NotFound)?;
    Ok(keys.swap_remove(index))
}
