//! Sends a message by e-mail.

use std::time::Duration;

use lettre::message::{Mailbox, MessageBuilder, MultiPart, header::ContentType};
use lettre::transport::smtp;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use uuid::Uuid;

use super::DeliveryError;
use crate::config::EmailConfig;
use crate::domain::reports::page::Page;
use crate::domain::reports::recipients::Address;

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

    /// Sends to the addresses of `ALERT_EMAIL_TO`.
    pub async fn send(&self, id: Uuid, title: &str, body: &str) -> Result<(), DeliveryError> {
        let message = self.builder(id, title, self.to.iter().cloned()).header(ContentType::TEXT_PLAIN);
        let message = message.body(body.to_owned()).map_err(|error| DeliveryError::Refused(error.to_string()))?;
        self.transmit(message, "ALERT_EMAIL_TO").await
    }

    /// Sends to `recipients`, as plain text and as HTML.
    pub async fn send_page(&self, id: Uuid, recipients: &[Address], page: &Page) -> Result<(), DeliveryError> {
        let refused = |error: &dyn std::fmt::Display| DeliveryError::Refused(error.to_string());
        let to = recipients.iter().map(|address| address.as_str().parse::<Mailbox>());
        let to = to.collect::<Result<Vec<_>, _>>().map_err(|error| refused(&error))?;
        let message = self.builder(id, &page.title, to.into_iter());
        let body = MultiPart::alternative_plain_html(page.to_text(), page.to_html());
        self.transmit(message.multipart(body).map_err(|error| refused(&error))?, "the recipients").await
    }

    /// A message that is sent twice has the same id, by which mail programs recognize it.
    fn builder(&self, id: Uuid, title: &str, to: impl Iterator<Item = Mailbox>) -> MessageBuilder {
        let message =
            Message::builder().from(self.from.clone()).message_id(Some(format!("<{id}@psp-dashboard>"))).subject(title);
        to.fold(message, MessageBuilder::to)
    }

    async fn transmit(&self, message: Message, recipients: &str) -> Result<(), DeliveryError> {
        self.transport.send(message).await.map(drop).map_err(|error| failure(&error, recipients))
    }

    /// Connects and signs in.
    pub async fn check(&self) -> Result<(), DeliveryError> {
        match self.transport.test_connection().await {
            Ok(true) => Ok(()),
            Ok(false) => Err(DeliveryError::Unreachable("the mail server has closed the connection".to_owned())),
            Err(error) => Err(failure(&error, "ALERT_EMAIL_TO")),
        }
    }
}

/// Neither the server's text, which may repeat credentials, nor its address.
fn failure(error: &smtp::Error, recipients: &str) -> DeliveryError {
    let code = error.status().map_or_else(String::new, |code| format!(" ({code})"));
    if error.is_permanent() {
        DeliveryError::Refused(format!(
            "refused by the mail server{code}: check SMTP_URL, ALERT_EMAIL_FROM and {recipients}"
        ))
    } else if error.status().is_some() {
        DeliveryError::Unreachable(format!("the mail server accepts nothing at the moment{code}"))
    } else {
        DeliveryError::Unreachable("the mail server cannot be reached: check SMTP_URL".to_owned())
    }
}
