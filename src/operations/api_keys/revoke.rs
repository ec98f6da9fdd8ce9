//! Revokes an API key.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::{KeyError, described, take};
use crate::db::DbError;
use crate::db::access::api_keys::{self, IssuedKey};
use crate::domain::access::Role;
use crate::domain::entity_tag::Precondition;
use crate::operations::audit::{AuditContext, AuditRecord};

/// Whether the last key with the role admin may be revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastAdmin {
    /// The caller has other ways to manage keys.
    MayEnd,
    MustStay,
}

pub async fn revoke_key(
    pool: &PgPool,
    id: Uuid,
    last_admin: LastAdmin,
    precondition: &Precondition,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<IssuedKey, KeyError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let mut others = api_keys::lock(&mut transaction).await?;
    let key = take(&mut others, id)?;
    precondition.check(key.etag())?;
    let is_admin = |key: &IssuedKey| key.role == Role::Admin && !key.scope.is_limited() && key.end(now).is_none();
    // A replaced key ends soon.
    let has_other = others.iter().any(|key| is_admin(key) && key.replaced_by.is_none());
    if last_admin == LastAdmin::MustStay && is_admin(&key) && !has_other {
        return Err(KeyError::LastAdmin);
    }
    api_keys::revoke(&mut transaction, id, now).await?;
    let record = AuditRecord::succeeded(json!({"key_id": id})).with_change(described(&key), None::<Value>);
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    tracing::info!(key_id = %id, name = key.name, by = audit.principal.name, "API key revoked");
    Ok(key)
}
