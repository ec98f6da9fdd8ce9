//! Changes a webhook.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::{WebhookError, described};
use crate::db::DbError;
use crate::db::webhooks::{self, Webhook, WebhookProperties};
use crate::domain::entity_tag::Precondition;
use crate::domain::transaction::Source;
use crate::operations::audit::{AuditContext, AuditRecord};

/// `None` leaves a property as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookUpdate {
    pub url: Option<String>,
    pub description: Option<String>,
    pub events: Option<Vec<String>>,
    /// The inner `None` means all.
    pub sources: Option<Option<Vec<Source>>>,
    pub enabled: Option<bool>,
}

impl WebhookUpdate {
    fn apply(self, to: WebhookProperties) -> WebhookProperties {
        WebhookProperties {
            url: self.url.unwrap_or(to.url),
            description: self.description.unwrap_or(to.description),
            events: self.events.unwrap_or(to.events),
            sources: self.sources.unwrap_or(to.sources),
            enabled: self.enabled.unwrap_or(to.enabled),
        }
    }
}

pub async fn update_webhook(
    pool: &PgPool,
    id: Uuid,
    update: WebhookUpdate,
    precondition: &Precondition,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<Webhook, WebhookError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    let webhook = webhooks::lock(&mut transaction, id).await?.ok_or(WebhookError::NotFound)?;
    precondition.check(webhook.etag())?;
    let before = webhook.properties;
    let after = update.apply(before.clone());
    webhooks::update(&mut transaction, id, &after, now).await?;
    let webhook = webhooks::find(&mut *transaction, id).await?.ok_or(WebhookError::NotFound)?;
    let record = AuditRecord::succeeded(json!({"webhook_id": id})).with_change(described(&before), described(&after));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    Ok(webhook)
}
