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
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            // Neither the server's text, which may repeat credentials, nor its address.
            Err(error) if error.is_permanent() => Err(DeliveryError::Refused(format!(
                "the mail server refused the message{}: check SMTP_URL, ALERT_EMAIL_FROM and ALERT_EMAIL_TO",
                code(&error)
            ))),
            Err(error) => {
                Err(DeliveryError::Unreachable(format!("the mail server did not accept the message{}", code(&error))))
            }
        }
    }
}

fn code(error: &smtp::Error) -> String {
    error.status().map_or_else(String::new, |code| format!(" ({code})"))
}
