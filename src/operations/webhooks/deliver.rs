//! Makes the deliveries of a webhook that are due, one after another, and records how they ended.
//!
//! The order is kept by waiting: while the oldest message is not delivered, no other one is attempted. So a receiver that was down
//! gets everything, once and in order, and one that refuses a message for good gets the next one only after the last retry of that
//! one. A worker that is killed between the receiver's reply and the record leaves the message as it was: it is sent again, under
//! the same id.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{PgConnection, PgPool};
use tracing::Instrument;
use uuid::Uuid;

use super::sender::{Sent, SignedMessage, WebhookSender};
use crate::clock::Clock;
use crate::db::DbError;
use crate::db::jobs::claims;
use crate::db::webhooks;
use crate::db::webhooks::deliveries::{self, AttemptRecord, DueDelivery};
use crate::domain::job::Claim;
use crate::domain::sealing::{OtherKey, SealingKeys};
use crate::domain::webhook::signature::{SigningSecret, signatures};
use crate::domain::webhook::{DeliveryState, Reply, Verdict, message_id};
use crate::observability::traces;
use crate::operations::audit::{AuditContext, AuditRecord};

/// How long a job goes on: others must get its slot too.
const BUDGET: Duration = Duration::from_secs(20);

pub struct WebhookDeliverer<'a> {
    pub pool: &'a PgPool,
    pub clock: &'a dyn Clock,
    pub sender: &'a WebhookSender,
    pub keys: Option<&'a SealingKeys>,
}

/// The result of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct DeliveryReport {
    pub delivered: u64,
    /// Attempts that failed.
    pub failed: u64,
}

#[derive(Debug, thiserror::Error)]
enum SecretError {
    #[error(
        "the secret of the webhook cannot be read: set WEBHOOK_ENCRYPTION_KEY for psp-jobs as for the web processes"
    )]
    NoKey,
    #[error("the secret of the webhook cannot be read: {0}")]
    OtherKey(#[from] OtherKey),
}

impl WebhookDeliverer<'_> {
    /// Delivers what is due for an endpoint.
    pub async fn deliver_due(&self, claim: &Claim, webhook_id: Uuid) -> Result<DeliveryReport, DbError> {
        let (started, mut report) = (Instant::now(), DeliveryReport::default());
        while started.elapsed() < BUDGET
            && let Some(due) = deliveries::find_due(self.pool, webhook_id, self.clock.now()).await?
        {
            self.attempt(claim, &due, &mut report).await?;
        }
        Ok(report)
    }

    /// Makes one delivery that does not wait for others, unless it was made.
    pub async fn deliver_one(&self, claim: &Claim, id: Uuid) -> Result<DeliveryReport, DbError> {
        let mut report = DeliveryReport::default();
        if let Some(due) = deliveries::find_unordered(self.pool, id, self.clock.now()).await? {
            self.attempt(claim, &due, &mut report).await?;
        }
        Ok(report)
    }

    async fn attempt(&self, claim: &Claim, due: &DueDelivery, report: &mut DeliveryReport) -> Result<(), DbError> {
        let (webhook_id, delivery_id) = (due.webhook_id, due.id);
        let span = tracing::info_span!("webhook.delivery", %webhook_id, %delivery_id);
        let sent = self.make(due).instrument(span).await;
        if sent.reply.is_success() {
            report.delivered += 1;
        } else {
            report.failed += 1;
            tracing::warn!(%webhook_id, %delivery_id, error = sent.error.as_deref(), "webhook delivery failed");
        }
        self.record(claim, due, &sent, &json!(report)).await
    }

    /// Makes the attempt, as a step of the trace. The trace is not sent: receivers are other systems.
    async fn make(&self, due: &DueDelivery) -> Sent {
        traces::describe(|step| {
            step.mark_as_call();
            step.set("psp.webhook.id", due.webhook_id.to_string());
            step.set("psp.webhook.delivery.id", due.id.to_string());
        });
        let sent = match self.secrets(due) {
            Ok(secrets) => self.send(due, &secrets).await,
            Err(error) => Sent::refused(&error),
        };
        traces::describe(|step| match sent.reply {
            Reply::None => step.fail("no reply"),
            Reply::Status { code, .. } => {
                step.set("http.response.status_code", i64::from(code));
                if !sent.reply.is_success() {
                    step.fail("refused");
                }
            }
        });
        sent
    }

    fn secrets(&self, due: &DueDelivery) -> Result<Vec<SigningSecret>, SecretError> {
        let keys = self.keys.ok_or(SecretError::NoKey)?;
        let open = |sealed: &[u8]| keys.open(due.webhook_id, sealed).map(SigningSecret::new);
        let current = open(&due.sealed_secret)?;
        // The replaced secret is not needed for long, so it does not hold up the messages.
        let previous = due.sealed_previous_secret.as_deref().and_then(|sealed| open(sealed).ok());
        Ok(std::iter::once(current).chain(previous).collect())
    }

    async fn send(&self, due: &DueDelivery, secrets: &[SigningSecret]) -> Sent {
        let (id, now) = (message_id(due.id), self.clock.now());
        let timestamp = now.timestamp();
        let signature = signatures(secrets, &id, timestamp, &due.payload);
        let message = SignedMessage { id: &id, timestamp, signature: &signature, payload: &due.payload };
        self.sender.send(&due.url, &message, now).await
    }

    async fn record(&self, claim: &Claim, due: &DueDelivery, sent: &Sent, progress: &Value) -> Result<(), DbError> {
        let mut transaction = self.pool.begin().await?;
        // First, because an entry of the audit log must come last. It locks the job until the commit.
        claims::verify_claim(&mut transaction, claim, progress).await?;
        let is_waiting = webhooks::lock_row(&mut transaction, due.webhook_id).await?
            && deliveries::record_attempt(&mut transaction, due.id, &self.attempt_record(due, sent)).await?;
        if is_waiting && due.ordered {
            self.record_health(&mut transaction, due.webhook_id, sent).await?;
        }
        Ok(transaction.commit().await?)
    }

    fn attempt_record(&self, due: &DueDelivery, sent: &Sent) -> AttemptRecord {
        let now = self.clock.now();
        let verdict = match sent.reply.verdict(due.attempts.saturating_add(1), rand::random()) {
            Verdict::RetryIn(_) if !due.ordered => Verdict::Failed,
            verdict => verdict,
        };
        let (state, next_attempt_at) = match verdict {
            Verdict::Delivered => (DeliveryState::Delivered, None),
            Verdict::RetryIn(delay) => (DeliveryState::Pending, Some(now + delay)),
            Verdict::Failed => (DeliveryState::Failed, None),
        };
        let status_code = match sent.reply {
            Reply::Status { code, .. } => Some(i32::from(code)),
            Reply::None => None,
        };
        AttemptRecord {
            state,
            next_attempt_at,
            attempted_at: now,
            duration_ms: i64::try_from(sent.duration.as_millis()).unwrap_or(i64::MAX),
            status_code,
            error: sent.error.clone(),
            response: sent.response.clone(),
        }
    }

    /// Records whether the endpoint works, and disables one that does not want anything, or has not worked for days.
    async fn record_health(&self, connection: &mut PgConnection, webhook_id: Uuid, sent: &Sent) -> Result<(), DbError> {
        let now = self.clock.now();
        if sent.reply.is_success() {
            return webhooks::record_success(connection, webhook_id, now).await;
        }
        let Some(failing_since) = webhooks::record_failure(connection, webhook_id, now).await? else { return Ok(()) };
        let Some(reason) = sent.reply.disables(failing_since, now) else { return Ok(()) };
        if webhooks::disable(connection, webhook_id, &reason, now).await? {
            tracing::warn!(%webhook_id, reason, "webhook disabled");
            let record = AuditRecord::succeeded(json!({"webhook_id": webhook_id, "reason": reason}))
                .with_change(json!({"enabled": true}), json!({"enabled": false}));
            AuditContext::of_system("disableWebhook").append(connection, &record, now).await?;
        }
        Ok(())
    }
}
