//! Sends a message by e-mail.

use std::time::Duration;

use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use uuid::Uuid;

use super::DeliveryError;
use crate::config::EmailConfig;

const TIMEOUT: Duration = Duration::from_secs(15);

pub struct EmailSender {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl EmailSender {
    /// # Errors
    /// If the address of the server cannot be used.
    pub fn new(config: EmailConfig) -> Result<Self, smtp::Error> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(config.url.expose())?;
        Ok(Self { transport: transport.timeout(Some(TIMEOUT)).build(), from: config.from, to: config.to })
    }

    /// A message that is sent twice has the same id, by which mail programs recognize it.
    pub async fn send(&self, id: Uuid, title: &str, body: &str) -> Result<(), DeliveryError> {
        let message = Message::builder()
            .from(self.from.clone())
            .message_id(Some(format!("<{id}@psp-dashboard>")))
            .subject(title)
            .header(ContentType::TEXT_PLAIN);
        let message = self.to.iter().cloned().fold(message, lettre::message::MessageBuilder::to);
        let message = message.body(body.to_owned()).map_err(|error| DeliveryError::Refused(error.to_string()))?;
        self.transport.send(message).await.map(drop).map_err(|error| failure(&error))
    }

    /// Connects and signs in.
    pub async fn check(&self) -> Result<(), DeliveryError> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(DeliveryError::Unreachable("the mail server has closed the connection".to_owned())),
            Err(error) => Err(failure(&error)),
        }
    }
}

/// Neither the server's text, which may repeat credentials, nor its address.
fn failure(error: &smtp::Error) -> DeliveryError {
    let code = error.status().map_or_else(String::new, |code| format!(" ({code})"));
    if error.is_permanent() {
        DeliveryError::Refused(format!(
            "refused by the mail server{code}: check SMTP_URL, ALERT_EMAIL_FROM and ALERT_EMAIL_TO"
        ))
    } else if error.status().is_some() {
        DeliveryError::Unreachable(format!("the mail server accepts nothing at the moment{code}"))
    } else {
        DeliveryError::Unreachable("the mail server cannot be reached: check SMTP_URL".to_owned())
    }
}
