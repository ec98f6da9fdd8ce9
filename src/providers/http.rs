//! The one way to ask a provider anything over HTTP.
//!
//! `HttpClient::fetch` takes a request and the reading of its answer together, because an answer that cannot be read
//! (a login page, half a JSON) is as transient as a reset and is asked for again in the same way. Whatever is bounded,
//! is bounded here: each attempt in time, each answer in bytes, all attempts in number, all waiting in total. Dropping
//! the future stops everything, for nothing is spawned.
//!
//! No redirect is followed (an address of Vima's holds the key and would travel on), and proxies from the environment
//! are not used: what is not in the settings does not rule. Ready-made retry middleware was rejected: it retries
//! requests, and what has to be retried here are answers.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Request, RequestBuilder, Response, StatusCode, redirect};
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument, debug, info_span, warn};

use super::error::ProviderError;
use super::field::{Field, Object};
use super::rate_limit::RateLimit;
use super::redaction::Redactor;
use super::retry::{RetryBudget, RetryPolicy};
use super::upstream::Upstream;
use crate::clock::SharedClock;

/// How much of an answer that says no is read, in bytes: enough for its message.
const REFUSAL_READ: usize = 16 * 1024;

/// The longest that a job is put off, whatever a 429 asks for: a date in 2099 must not stop a sync for good.
const LONGEST_REST: Duration = Duration::from_hours(1);

/// The bounds of one provider's requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// The longest that making a connection may take.
    pub connect_timeout: Duration,
    /// The longest that one attempt may take, from connecting to the last byte of the answer.
    pub request_timeout: Duration,
    /// The most bytes of one answer, unpacked (`PROVIDER_MAX_RESPONSE_BYTES`).
    pub max_response_bytes: usize,
    pub retry: RetryPolicy,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_mins(1),
            max_response_bytes: 32 * 1024 * 1024,
            retry: RetryPolicy::default(),
        }
    }
}

/// Asks one provider.
pub struct HttpClient {
    provider: Upstream,
    client: Client,
    settings: HttpSettings,
    rate_limit: Arc<dyn RateLimit>,
    clock: SharedClock,
}

/// Why an answer that came well is not what was asked for.
pub(super) enum Rejection {
    /// It is of another shape than documented: the reason.
    Unreadable(String),
    /// It says no: its message.
    Refused(String),
    /// It says that it failed, and may do better the next time: its message.
    Failed(String),
    /// It says that we are not logged in: its message.
    Unauthenticated(String),
}

/// What is known of an attempt before it has come to its end.
#[derive(Default)]
struct Progress {
    status: Option<u16>,
    bytes: usize,
}

impl HttpClient {
    /// A client of `provider` that takes its turns from `rate_limit`.
    ///
    /// # Errors
    /// Where this machine cannot speak TLS.
    pub fn new(
        provider: Upstream,
        settings: HttpSettings,
        rate_limit: Arc<dyn RateLimit>,
        clock: SharedClock,
    ) -> Result<Self, reqwest::Error> {
        #[expect(clippy::disallowed_methods, reason = "this is the one client that asks providers")]
        let client = Client::builder()
            .user_agent(concat!("psp-dashboard/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.connect_timeout)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { provider, client, settings, rate_limit, clock })
    }

    /// Makes the request and reads its answer, as often as it takes and the settings allow.
    pub(super) async fn fetch<T>(
        &self,
        redactor: &Redactor,
        request: impl Fn(&Client) -> RequestBuilder,
        read: impl Fn(&str) -> Result<T, Rejection>,
    ) -> Result<T, ProviderError> {
        let mut retry_budget = RetryBudget::new(&self.settings.retry);
        let mut attempt = 0_u32;
        loop {
            attempt += 1;
            self.rate_limit.acquire().await;
            let request = request(&self.client).build().map_err(|error| self.misconfigured(error, redactor))?;
            let path = redactor.redact(request.url().path());
            let span = info_span!("provider.request", provider = %self.provider, path, attempt);
            let error = match self.attempt(request, redactor, &read).instrument(span).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let Some(wait) = retry_budget.next_delay(&error) else { return Err(error) };
            if matches!(error, ProviderError::RateLimited { .. }) {
                self.rate_limit.pause_for(wait).await;
            }
            sleep(wait).await;
        }
    }

    async fn attempt<T>(
        &self,
        request: Request,
        redactor: &Redactor,
        read: impl Fn(&str) -> Result<T, Rejection>,
    ) -> Result<T, ProviderError> {
        let started = Instant::now();
        let mut progress = Progress::default();
        let outcome =
            match timeout(self.settings.request_timeout, self.exchange(request, redactor, &mut progress)).await {
                Ok(Ok(answer)) => read(&answer).map_err(|rejection| self.rejected(rejection, &answer, redactor)),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(ProviderError::Unreachable {
                    provider: self.provider,
                    cause: format!("no complete answer within {:?}", self.settings.request_timeout),
                }),
            };
        let (status, bytes) = (progress.status, progress.bytes);
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &outcome {
            Ok(_) => debug!(status, bytes, duration_ms, "the provider answered"),
            Err(error) => warn!(status, bytes, duration_ms, %error, "the provider did not give what it was asked for"),
        }
        outcome
    }

    /// Sends the request and takes in the whole answer, where it is one of success.
    async fn exchange(
        &self,
        request: Request,
        redactor: &Redactor,
        progress: &mut Progress,
    ) -> Result<String, ProviderError> {
        let response = self.client.execute(request).await.map_err(|error| self.unreachable(error, redactor))?;
        let status = response.status();
        progress.status = Some(status.as_u16());
        if !status.is_success() {
            return Err(self.refusal(response, redactor).await);
        }
        self.body(response, redactor, progress).await
    }

    /// The answer as text.
    async fn body(
        &self,
        mut response: Response,
        redactor: &Redactor,
        progress: &mut Progress,
    ) -> Result<String, ProviderError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(error, redactor))? {
            progress.bytes += chunk.len();
            if progress.bytes > self.settings.max_response_bytes {
                return Err(ProviderError::TooLarge {
                    provider: self.provider,
                    limit: self.settings.max_response_bytes,
                });
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(readable_text(bytes))
    }

    /// What an answer without success means.
    async fn refusal(&self, response: Response, redactor: &Redactor) -> ProviderError {
        let provider = self.provider;
        let status = response.status();
        match status {
            StatusCode::TOO_MANY_REQUESTS => {
                ProviderError::RateLimited { provider, retry_after: self.retry_after(&response) }
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => {
                ProviderError::Unavailable { provider, status: status.as_u16() }
            }
            _ if status.is_server_error() => ProviderError::Unavailable { provider, status: status.as_u16() },
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                let message = format!("HTTP {}: {}", status.as_u16(), refusal_message(response, redactor).await);
                ProviderError::Unauthenticated { provider, message }
            }
            _ => ProviderError::Refused {
                provider,
                status: status.as_u16(),
                message: refusal_message(response, redactor).await,
            },
        }
    }

    /// How long a 429 asks to wait: seconds, or a date; where it says neither, as long as after the worst failure.
    fn retry_after(&self, response: &Response) -> Duration {
        let said = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::trim);
        let seconds = said.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let until = || {
            let date = DateTime::parse_from_rfc2822(said?).ok()?;
            Some((date.to_utc() - self.clock.now()).to_std().unwrap_or_default())
        };
        seconds.or_else(until).unwrap_or(self.settings.retry.backoff.cap).min(LONGEST_REST)
    }

    fn rejected(&self, rejection: Rejection, answer: &str, redactor: &Redactor) -> ProviderError {
        let provider = self.provider;
        match rejection {
            Rejection::Unreadable(reason) => ProviderError::Unreadable {
                provider,
                reason: redactor.message(&reason),
                excerpt: redactor.excerpt(answer),
            },
            Rejection::Refused(message) => {
                ProviderError::Refused { provider, status: 200, message: redactor.message(&message) }
            }
            Rejection::Failed(message) => ProviderError::Failed { provider, message: redactor.message(&message) },
            Rejection::Unauthenticated(message) => {
                ProviderError::Unauthenticated { provider, message: redactor.message(&message) }
            }
        }
    }

    fn unreachable(&self, error: reqwest::Error, redactor: &Redactor) -> ProviderError {
        if error.is_builder() {
            return self.misconfigured(error, redactor);
        }
        ProviderError::Unreachable { provider: self.provider, cause: redactor.message(&causes(error)) }
    }

    fn misconfigured(&self, error: reqwest::Error, redactor: &Redactor) -> ProviderError {
        ProviderError::Misconfigured { provider: self.provider, message: redactor.message(&causes(error)) }
    }
}

/// What a provider sent, as text. A letter that is no UTF-8 is replaced, and a bare NUL, which JSON knows only escaped, is
/// escaped: one payer's name must not hold up a page.
#[must_use]
pub fn readable_text(bytes: Vec<u8>) -> String {
    let text = String::from_utf8(bytes).unwrap_or_else(|error| {
        warn!("what the provider sent is not all UTF-8: what is not was replaced");
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    });
    if text.contains('\0') {
        warn!("what the provider sent holds bare NULs: they were escaped");
        return text.replace('\0', "\\u0000");
    }
    text
}

/// An error and what it comes from, without the address.
fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    std::iter::successors(Some(&error as &dyn Error), |error| (*error).source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

/// The message of an answer that says no, else how it begins.
async fn refusal_message(mut response: Response, redactor: &Redactor) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < REFUSAL_READ
        && let Ok(Some(chunk)) = response.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    let answer = String::from_utf8_lossy(&bytes);
    message_of(&answer).map_or_else(|| redactor.excerpt(&answer), |message| redactor.message(&message))
}

/// What a JSON answer says in words.
pub(super) fn message_of(answer: &str) -> Option<String> {
    #[derive(Default, Deserialize)]
    #[serde(default, bound(deserialize = "'de: 'a"))]
    struct Complaint<'a> {
        message: Field<'a>,
        error: Field<'a>,
        detail: Field<'a>,
    }
    let Object(complaint) = serde_json::from_str::<Object<Complaint<'_>>>(answer).ok()?;
    complaint
        .message
        .text("message")
        .or_else(|| complaint.error.text("error"))
        .or_else(|| complaint.detail.text("detail"))
}

#[cfg(test)]
mod tests;
