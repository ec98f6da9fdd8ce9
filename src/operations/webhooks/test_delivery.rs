//! Sends a test message to a webhook, which may be disabled: without waiting for other messages, and without retries.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;
use uuid::Uuid;

use super::{WebhookError, new_delivery};
use crate::db::webhooks::deliveries::{self, NewDelivery};
use crate::db::{DbError, jobs, webhooks};
use crate::domain::job::{JobId, NewJob};
use crate::domain::webhook::Message;
use crate::operations::audit::{AuditContext, AuditRecord};
use crate::operations::enqueue_job::send_wakeup;
use crate::redis::Redis;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestedTest {
    pub job_id: JobId,
    pub delivery_id: Uuid,
}

pub async fn request_test(
    pool: &PgPool,
    redis: &Redis,
    webhook_id: Uuid,
    audit: &AuditContext,
    now: DateTime<Utc>,
) -> Result<RequestedTest, WebhookError> {
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    webhooks::lock(&mut transaction, webhook_id).await?.ok_or(WebhookError::NotFound)?;
    let delivery = NewDelivery { ordered: false, ..new_delivery(webhook_id, &Message::test(now), None) };
    let delivery_id = delivery.id;
    deliveries::insert(&mut transaction, &[delivery], now).await?;
    let requested_by = Some(audit.principal.name.clone());
    let job = NewJob { requested_by, ..NewJob::test_webhook(webhook_id, delivery_id) };
    let job_id = jobs::insert_or_join(&mut transaction, &job).await?.job_id;
    let record = AuditRecord::succeeded(json!({"webhook_id": webhook_id}))
        .with_change(None, json!({"job_id": job_id, "delivery_id": delivery_id}));
    audit.append(&mut transaction, &record, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    send_wakeup(redis, job.kind.queue, job_id).await;
    Ok(RequestedTest { job_id, delivery_id })
}
