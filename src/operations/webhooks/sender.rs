//! Sends one message to one receiver, and says what came back.

use std::error::Error;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Url};

use super::target::{AllowedTargets, CheckedResolver, TargetError, system_lookup};
use crate::config::WebhooksConfig;
use crate::domain::webhook::Reply;
use crate::operations::oidc::http::causes;

/// From the connection to the end of the response.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How much of a response is read and kept.
const MAX_RESPONSE_BYTES: usize = 1_024;
const MAX_ERROR_CHARS: usize = 500;

/// What is sent.
#[derive(Debug, Clone, Copy)]
pub struct SignedMessage<'a> {
    pub id: &'a str,
    /// When this attempt is made, in seconds.
    pub timestamp: i64,
    pub signature: &'a str,
    pub payload: &'a str,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub reply: Reply,
    pub duration: Duration,
    /// Why it failed; it contains neither the URL nor a secret.
    pub error: Option<String>,
    /// The beginning of the response.
    pub response: Option<String>,
}

impl Sent {
    /// No request was made.
    #[must_use]
    pub fn refused(error: &dyn Error) -> Self {
        Self { reply: Reply::None, duration: Duration::ZERO, error: Some(error.to_string()), response: None }
    }
}

#[derive(Debug)]
pub struct WebhookSender {
    client: Client,
    resolver: CheckedResolver,
    has_proxy: bool,
}

impl WebhookSender {
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(config: &WebhooksConfig) -> Result<Self, reqwest::Error> {
        let allowed = AllowedTargets::new(config.allow_loopback);
        Self::with_resolver(config, CheckedResolver { allowed, lookup: system_lookup() })
    }

    fn with_resolver(config: &WebhooksConfig, resolver: CheckedResolver) -> Result<Self, reqwest::Error> {
        let has_proxy = config.outbound.has_proxy();
        let mut client = config.outbound.client()?.timeout(TIMEOUT).pool_max_idle_per_host(1);
        if !has_proxy {
            client = client.dns_resolver(std::sync::Arc::new(resolver.clone()));
        }
        Ok(Self { client: client.build()?, resolver, has_proxy })
    }

    pub async fn send(&self, url: &str, message: &SignedMessage<'_>, now: DateTime<Utc>) -> Sent {
        let url = match self.resolver.allowed.check(url) {
            Ok(url) => url,
            Err(error) => return Sent::refused(&error),
        };
        if self.has_proxy && self.resolves_elsewhere(&url).await {
            return Sent::refused(&TargetError::NotPublic);
        }
        let started = Instant::now();
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", message.id)
            .header("webhook-timestamp", message.timestamp)
            .header("webhook-signature", message.signature)
            .body(message.payload.to_owned());
        match request.send().await {
            Ok(mut response) => {
                let code = response.status().as_u16();
                let reply = Reply::Status { code, retry_after: retry_after(response.headers(), now) };
                let error = (!reply.is_success()).then(|| format!("the receiver replied {}", response.status()));
                let body = beginning(&mut response).await;
                Sent { reply, duration: started.elapsed(), error, response: body }
            }
            Err(error) => {
                let error = Some(described(error));
                Sent { reply: Reply::None, duration: started.elapsed(), error, response: None }
            }
        }
    }

    /// The proxy resolves the name itself, so this only refuses what is seen to be wrong from here.
    async fn resolves_elsewhere(&self, url: &Url) -> bool {
        let Some(name) = url.domain() else { return false };
        let resolved = self.resolver.addresses(name).await;
        resolved.is_err_and(|error| error.is::<TargetError>())
    }
}

fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = || text.parse().ok().map(Duration::from_secs);
    let date = || (DateTime::parse_from_rfc2822(text).ok()?.with_timezone(&Utc) - now).to_std().ok();
    seconds().or_else(date)
}

/// A receiver that sends its response slowly has replied all the same.
async fn beginning(response: &mut reqwest::Response) -> Option<String> {
    let mut body = vec![];
    while body.len() < MAX_RESPONSE_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        body.extend_from_slice(&chunk);
    }
    body.truncate(MAX_RESPONSE_BYTES);
    // PostgreSQL cannot store NUL in a text.
    let text = String::from_utf8_lossy(&body).replace('\0', "\u{fffd}");
    (!text.is_empty()).then_some(text)
}

fn described(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("the receiver has not replied within {} s", TIMEOUT.as_secs());
    }
    let error = error.without_url();
    causes(&error).chars().take(MAX_ERROR_CHARS).collect()
}

#[cfg(test)]
mod tests;
