//! Creates an API key.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;

use super::{CreatedKey, Grant, described, issue};
use crate::db::DbError;
use crate::domain::access::key::{AllowedNetworks, KeyEnvironment, KeyLifetime, KeyName};
use crate::domain::access::{ProjectScope, Role};
use crate::operations::audit::{AuditContext, AuditRecord};

#[derive(Debug, Clone)]
pub struct KeyRequest {
    pub name: KeyName,
    pub role: Role,
    pub scope: ProjectScope,
    pub networks: AllowedNetworks,
    /// `None`: it does not expire.
    pub lifetime: Option<KeyLifetime>,
}

pub async fn create_key(
    pool: &PgPool,
    environment: KeyEnvironment,
    request: &KeyRequest,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<CreatedKey, DbError> {
    let grant = Grant {
        name: request.name.as_str(),
        role: request.role,
        scope: &request.scope,
        networks: &request.networks,
        expires_at: request.lifetime.map(|lifetime| lifetime.end(now)),
    };
    let mut transaction = pool.begin().await?;
    let created = issue(&mut transaction, environment, &grant, audit, now).await?;
    let key_id = created.issued.id;
    let record =
        AuditRecord::succeeded(json!({"key_id": key_id})).with_change(None::<Value>, described(&created.issued));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await?;
    tracing::info!(%key_id, name = grant.name, role = grant.role.as_str(), by = audit.principal.name, "API key created");
    Ok(created)
}
