//! Delivers messages again that were delivered or have failed. They keep their ids and their places in the order, so they come
//! before what waits now.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::WebhookError;
use crate::db::DbError;
use crate::db::webhooks;
use crate::db::webhooks::deliveries::{self, Delivery, Replayed};
use crate::domain::webhook::DeliveryState;
use crate::operations::audit::{AuditContext, AuditRecord};

pub async fn replay_delivery(
    pool: &PgPool,
    webhook_id: Uuid,
    id: Uuid,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<Delivery, WebhookError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    webhooks::lock(&mut transaction, webhook_id).await?.ok_or(WebhookError::NotFound)?;
    let find = deliveries::find(&mut *transaction, webhook_id, id).await?;
    let before = find.ok_or(WebhookError::DeliveryNotFound)?;
    if before.state == DeliveryState::Pending {
        return Err(WebhookError::Waiting);
    }
    if deliveries::replay(&mut transaction, webhook_id, Replayed::One(id)).await? == 0 {
        return Err(WebhookError::Test);
    }
    let after = deliveries::find(&mut *transaction, webhook_id, id).await?.ok_or(WebhookError::DeliveryNotFound)?;
    let state = |delivery: &Delivery| json!({"state": delivery.state, "attempts": delivery.attempts});
    let record = AuditRecord::succeeded(json!({"webhook_id": webhook_id, "delivery_id": id}))
        .with_change(state(&before), state(&after));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    Ok(after)
}

/// Returns how many.
pub async fn replay_failed(
    pool: &PgPool,
    webhook_id: Uuid,
    since: DateTime<Utc>,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<u64, WebhookError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    webhooks::lock(&mut transaction, webhook_id).await?.ok_or(WebhookError::NotFound)?;
    let replayed = deliveries::replay(&mut transaction, webhook_id, Replayed::FailedSince(since)).await?;
    let record = AuditRecord {
        rows: Some(replayed),
        ..AuditRecord::succeeded(json!({"webhook_id": webhook_id, "since": since}))
    };
    let record = record.with_change(json!({"state": DeliveryState::Failed}), json!({"state": DeliveryState::Pending}));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    Ok(replayed)
}
