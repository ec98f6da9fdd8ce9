//! Deletes a webhook, with what waits for it.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use super::{WebhookError, described};
use crate::db::DbError;
use crate::db::webhooks::{self, Webhook};
use crate::domain::entity_tag::Precondition;
use crate::operations::audit::{AuditContext, AuditRecord};

/// Returns the endpoint as it was.
pub async fn delete_webhook(
    pool: &PgPool,
    id: Uuid,
    precondition: &Precondition,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<Webhook, WebhookError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let webhook = webhooks::lock(&mut transaction, id).await?.ok_or(WebhookError::NotFound)?;
    precondition.check(webhook.etag())?;
    webhooks::delete(&mut transaction, id).await?;
    let record =
        AuditRecord::succeeded(json!({"webhook_id": id})).with_change(described(&webhook.properties), None::<Value>);
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    tracing::info!(webhook_id = %id, by = audit.principal.name, "webhook deleted");
    Ok(webhook)
}
