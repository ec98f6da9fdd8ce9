//! Creates a webhook. Its secret exists only in the response, and encrypted in the database.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::{WebhookError, described, new_secret};
use crate::db::DbError;
use crate::db::webhooks::{self, Webhook, WebhookProperties};
use crate::domain::sealing::SealingKeys;
use crate::domain::secret::Secret;
use crate::operations::audit::{AuditContext, AuditRecord};

/// Each event becomes a row per endpoint.
const MAX_WEBHOOKS: u64 = 100;

#[derive(Debug)]
pub struct CreatedWebhook {
    pub webhook: Webhook,
    pub secret: Secret,
}

pub async fn create_webhook(
    pool: &PgPool,
    keys: Option<&SealingKeys>,
    properties: &WebhookProperties,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<CreatedWebhook, WebhookError> {
    let id = Uuid::now_v7();
    let (secret, sealed) = new_secret(keys, id)?;
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let count = webhooks::count(&mut *transaction).await?;
    if count >= MAX_WEBHOOKS {
        return Err(WebhookError::TooMany(count));
    }
    webhooks::insert(&mut transaction, id, properties, &sealed, &audit.principal.name, now).await?;
    let webhook = webhooks::find(&mut *transaction, id).await?.ok_or(WebhookError::NotFound)?;
    let record =
        AuditRecord::succeeded(json!({"webhook_id": id})).with_change(None::<Value>, described(&webhook.properties));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    tracing::info!(webhook_id = %id, by = audit.principal.name, "webhook created");
    Ok(CreatedWebhook { webhook, secret: secret.to_text() })
}
