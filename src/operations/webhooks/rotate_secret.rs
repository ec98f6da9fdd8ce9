//! Replaces the secret of a webhook. For a day, both sign.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::{WebhookError, new_secret};
use crate::db::DbError;
use crate::db::webhooks;
use crate::domain::sealing::SealingKeys;
use crate::domain::secret::Secret;
use crate::domain::webhook::SECRET_OVERLAP;
use crate::operations::audit::{AuditContext, AuditRecord};

#[derive(Debug)]
pub struct RotatedSecret {
    pub secret: Secret,
    pub previous_until: DateTime<Utc>,
}

pub async fn rotate_secret(
    pool: &PgPool,
    keys: Option<&SealingKeys>,
    id: Uuid,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<RotatedSecret, WebhookError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let webhook = webhooks::lock(&mut transaction, id).await?.ok_or(WebhookError::NotFound)?;
    let (secret, sealed) = new_secret(keys, id)?;
    let previous_until = now + SECRET_OVERLAP;
    webhooks::set_secret(&mut transaction, id, &sealed, previous_until, now).await?;
    let signing_until = |time| json!({"previous_secret_until": time});
    let record = AuditRecord::succeeded(json!({"webhook_id": id}))
        .with_change(signing_until(webhook.previous_secret_until), signing_until(Some(previous_until)));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    tracing::info!(webhook_id = %id, by = audit.principal.name, "webhook secret rotated");
    Ok(RotatedSecret { secret: secret.to_text(), previous_until })
}
