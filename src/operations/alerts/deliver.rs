//! Sends a message about an alert to its channel.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::PgPool;
use tracing::Instrument;
use uuid::Uuid;

use super::DeliveryError;
use super::email::EmailSender;
use super::telegram::TelegramSender;
use crate::config::NotificationsConfig;
use crate::db::DbError;
use crate::db::alerts::notifications::{self, Notification};
use crate::db::jobs::claims;
use crate::domain::alerts::rule::Channel;
use crate::domain::job::Claim;
use crate::observability::traces;

/// Why the channels cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ChannelError {
    #[error("TLS for requests to Telegram cannot be initialized: {0}")]
    Tls(#[from] reqwest::Error),
    #[error("SMTP_URL cannot be used: {0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
}

/// The channels of the operator.
#[derive(Default)]
pub struct Channels {
    telegram: Option<TelegramSender>,
    email: Option<EmailSender>,
}

impl Channels {
    /// # Errors
    /// If one cannot be set up.
    pub fn new(config: &NotificationsConfig) -> Result<Self, ChannelError> {
        let telegram = config.telegram.clone().map(TelegramSender::new).transpose()?;
        Ok(Self { telegram, email: config.email.clone().map(EmailSender::new).transpose()? })
    }

    /// Those that are configured.
    #[must_use]
    pub fn configured(&self) -> Vec<Channel> {
        let telegram = self.telegram.as_ref().map(|_| Channel::Telegram);
        telegram.into_iter().chain(self.email.as_ref().map(|_| Channel::Email)).collect()
    }

    /// Tries those that are configured, without a message.
    pub async fn check(&self) -> Vec<(Channel, Result<(), DeliveryError>)> {
        let mut checked = vec![];
        if let Some(telegram) = &self.telegram {
            checked.push((Channel::Telegram, telegram.check().await));
        }
        if let Some(email) = &self.email {
            checked.push((Channel::Email, email.check().await));
        }
        checked
    }

    /// `None` if it is not configured.
    #[must_use]
    pub fn email(&self) -> Option<&EmailSender> {
        self.email.as_ref()
    }

    /// Sends a message, as a step of the trace. The trace is not sent: the channels are other systems.
    async fn send(&self, id: Uuid, notification: &Notification) -> Result<(), DeliveryError> {
        let Notification { channel, title, body, .. } = notification;
        let sent = match (channel, &self.telegram, &self.email) {
            (Channel::Telegram, Some(telegram), _) => telegram.send(title, body).await,
            (Channel::Email, _, Some(email)) => email.send(id, title, body).await,
            _ => Err(DeliveryError::NotConfigured(*channel)),
        };
        traces::describe(|step| {
            step.mark_as_call();
            step.set("psp.notification.channel", channel.as_str());
            match &sent {
                Ok(()) => {}
                Err(DeliveryError::Refused(_)) => step.fail("refused"),
                Err(_) => step.fail("not delivered"),
            }
        });
        sent
    }
}

/// Sends a message, unless it was sent. Returns whether it was sent now. A worker that is killed between the channel's reply and
/// the record sends it again.
pub async fn deliver_notification(
    pool: &PgPool,
    channels: &Channels,
    claim: &Claim,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<bool, DeliveryError> {
    let Some(notification) = notifications::find(pool, id).await?.filter(|found| !found.is_delivered) else {
        return Ok(false);
    };
    let span = tracing::info_span!("notification.delivery", notification_id = %id);
    channels.send(id, &notification).instrument(span).await?;
    let mut transaction = pool.begin().await.map_err(DbError::from)?;
    claims::verify_claim(&mut transaction, claim, &json!({})).await?;
    notifications::set_delivered(&mut transaction, id, now).await?;
    transaction.commit().await.map_err(DbError::from)?;
    Ok(true)
}
