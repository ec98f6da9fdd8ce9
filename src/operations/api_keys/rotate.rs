//! Replaces an API key by a new one with the same rights. Both work until the overlap ends.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::{CreatedKey, Grant, KeyError, described, issue, take};
use crate::db::access::api_keys;
use crate::db::{DbError, saved_views};
use crate::domain::access::key::{KeyEnvironment, RotationOverlap, replacement_end};
use crate::domain::entity_tag::Precondition;
use crate::operations::audit::{AuditContext, AuditRecord};

/// A key that was replaced.
#[derive(Debug)]
pub struct RotatedKey {
    pub created: CreatedKey,
    /// When the replaced key ends.
    pub replaced_until: DateTime<Utc>,
}

pub async fn rotate_key(
    pool: &PgPool,
    environment: KeyEnvironment,
    id: Uuid,
    overlap: RotationOverlap,
    precondition: &Precondition,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<RotatedKey, KeyError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let old = take(&mut api_keys::lock(&mut transaction).await?, id)?;
    precondition.check(old.etag())?;
    if let Some(replacement) = old.replaced_by {
        return Err(KeyError::Replaced(replacement));
    }
    if old.end(now).is_some() {
        return Err(KeyError::Expired);
    }
    let grant = Grant {
        name: &old.name,
        role: old.role,
        scope: &old.scope,
        networks: &old.networks,
        expires_at: replacement_end(old.created_at, old.expires_at, now),
    };
    let created = issue(&mut transaction, environment, &grant, audit, now).await?;
    let replaced_until = overlap.end(now, old.expires_at);
    api_keys::set_replaced(&mut transaction, id, created.issued.id, replaced_until, now).await?;
    saved_views::give_to(&mut transaction, id, created.issued.id).await?;
    let details = json!({"key_id": id, "replaced_until": replaced_until, "replaced_by": created.issued.id});
    let record = AuditRecord::succeeded(details).with_change(described(&old), described(&created.issued));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    tracing::info!(key_id = %id, replaced_by = %created.issued.id, by = audit.principal.name, "API key rotated");
    Ok(RotatedKey { created, replaced_until })
}
