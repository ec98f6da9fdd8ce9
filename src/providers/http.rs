//! The HTTP client of all providers.
//!
//! `HttpClient::fetch` takes the request together with the parser of its response, because a response that cannot be parsed
//! (a login page, truncated JSON) is as transient as a connection reset and is retried in the same way. All limits are
//! here: time per attempt, bytes per response, number of attempts, total waiting time. Dropping the future stops
//! everything, because nothing is spawned.
//!
//! Redirects, TLS and proxies are decided in [`crate::outbound`]. Existing retry middleware was rejected: it retries requests, but here responses must be retried.

use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Request, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument, debug, info_span, warn};

use super::endpoint::Endpoint;
use super::error::{ProviderError, SUCCEEDED};
use super::field::{Field, Object};
use super::rate_limit::RateLimit;
use super::redaction::Redactor;
use super::retry::{RetryBudget, RetryPolicy};
use super::text::decode;
use super::upstream::Upstream;
use crate::clock::SharedClock;
use crate::domain::secret::Secret;
use crate::observability::{record, traces};
use crate::outbound::{Outbound, causes};

/// What a response without content says in JSON.
const NOTHING: &str = "null";

/// How many bytes of an error response are read: enough for its message.
const MAX_ERROR_BYTES: usize = 16 * 1024;

/// The longest delay that a `Retry-After` can cause: a date in 2099 must not stop a sync forever.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// The limits of the requests to one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    pub outbound: Outbound,
    pub connect_timeout: Duration,
    /// The limit of one attempt, from connecting to the last byte of the response.
    pub request_timeout: Duration,
    /// Decompressed (`PROVIDER_MAX_RESPONSE_BYTES`).
    pub max_response_bytes: usize,
    pub retry: RetryPolicy,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            outbound: Outbound::default(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_mins(1),
            max_response_bytes: 32 * 1024 * 1024,
            retry: RetryPolicy::default(),
        }
    }
}

/// The HTTP client of one provider.
pub struct HttpClient {
    provider: Upstream,
    client: Client,
    settings: HttpSettings,
    rate_limit: Arc<dyn RateLimit>,
    clock: SharedClock,
}

/// Why a response with a success status is rejected by its parser. Each variant has the reason or the message.
pub(super) enum Rejection {
    /// It does not have the documented shape.
    Unreadable(String),
    Refused(String),
    /// The provider reports a failure that may be temporary.
    Failed(String),
    /// The session is not valid.
    Unauthenticated(String),
}

/// What is known about an attempt while it runs, for its log line.
#[derive(Default)]
struct Progress {
    status: Option<u16>,
    bytes: usize,
}

impl HttpClient {
    /// Fails if TLS cannot be initialized.
    pub fn new(
        provider: Upstream,
        settings: HttpSettings,
        rate_limit: Arc<dyn RateLimit>,
        clock: SharedClock,
    ) -> Result<Self, reqwest::Error> {
        let client = settings.outbound.client()?.connect_timeout(settings.connect_timeout).build()?;
        Ok(Self { provider, client, settings, rate_limit, clock })
    }

    /// Sends the request and parses the response, with retries as the settings allow. It is counted under `endpoint`.
    pub(super) async fn fetch<T>(
        &self,
        endpoint: Endpoint,
        redactor: &Redactor,
        request: impl Fn(&Client) -> RequestBuilder,
        parse: impl Fn(&str) -> Result<T, Rejection>,
    ) -> Result<T, ProviderError> {
        let mut retry_budget = RetryBudget::new(&self.settings.retry);
        let mut attempt = 0_u32;
        loop {
            attempt += 1;
            self.rate_limit.acquire().await;
            let request = request(&self.client).build().map_err(|error| self.misconfigured(error, redactor))?;
            let path = redactor.redact(request.url().path());
            let span = info_span!("provider.request", provider = %self.provider, path, attempt);
            let error = match self.attempt(endpoint, request, redactor, &parse).instrument(span).await {
                Ok(parsed) => return Ok(parsed),
                Err(error) => error,
            };
            let Some(wait) = retry_budget.next_delay(&error) else { return Err(error) };
            if error.requested_wait().is_some() {
                self.rate_limit.pause_for(wait).await;
            }
            sleep(wait).await;
            record::provider_retry((self.provider.as_str(), endpoint.as_str()));
        }
    }

    async fn attempt<T>(
        &self,
        endpoint: Endpoint,
        request: Request,
        redactor: &Redactor,
        parse: impl Fn(&str) -> Result<T, Rejection>,
    ) -> Result<T, ProviderError> {
        self.begin_step(endpoint);
        let started = Instant::now();
        let mut progress = Progress::default();
        let outcome =
            match timeout(self.settings.request_timeout, self.exchange(request, redactor, &mut progress)).await {
                Ok(Ok(response)) => parse(&response).map_err(|rejection| self.rejected(rejection, &response, redactor)),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(ProviderError::Unreachable {
                    provider: self.provider,
                    cause: format!("no complete response within {:?}", self.settings.request_timeout),
                }),
            };
        let (status, bytes) = (progress.status, progress.bytes);
        let duration = started.elapsed();
        let name = outcome.as_ref().map_or_else(ProviderError::name, |_| SUCCEEDED);
        end_step(name, status, outcome.is_err());
        record::provider_request((self.provider.as_str(), endpoint.as_str()), name, duration, bytes);
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        match &outcome {
            Ok(_) => debug!(status, bytes, duration_ms, "provider request succeeded"),
            Err(error) => warn!(status, bytes, duration_ms, %error, "provider request failed"),
        }
        outcome
    }

    /// Describes the call in its trace. The trace is not sent: providers are other companies.
    fn begin_step(&self, endpoint: Endpoint) {
        let (provider, endpoint) = (self.provider.as_str(), endpoint.as_str());
        traces::describe(|step| {
            step.mark_as_call();
            step.rename(format!("{provider} {endpoint}"));
            step.set("psp.provider", provider);
            step.set("psp.provider.endpoint", endpoint);
        });
    }

    /// Sends the request and reads the whole response if its status is a success.
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
        if status == StatusCode::NO_CONTENT {
            return Ok(NOTHING.to_owned());
        }
        self.body(response, redactor, progress).await
    }

    async fn body(
        &self,
        mut response: Response,
        redactor: &Redactor,
        progress: &mut Progress,
    ) -> Result<String, ProviderError> {
        let content_type = content_type(&response);
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
        Ok(decode(bytes, content_type.as_deref()))
    }

    async fn refusal(&self, response: Response, redactor: &Redactor) -> ProviderError {
        let provider = self.provider;
        let status = response.status();
        match status {
            StatusCode::TOO_MANY_REQUESTS => {
                let retry_after = self.retry_after(&response).unwrap_or(self.settings.retry.backoff.cap);
                ProviderError::RateLimited { provider, retry_after }
            }
            _ if status.is_server_error() || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY) => {
                let retry_after = self.retry_after(&response);
                ProviderError::Unavailable { provider, status: status.as_u16(), retry_after }
            }
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

    /// The `Retry-After` of a response, in seconds or as a date.
    fn retry_after(&self, response: &Response) -> Option<Duration> {
        let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::trim);
        let seconds = header.and_then(|text| text.parse().ok()).map(Duration::from_secs);
        let until = || {
            let date = DateTime::parse_from_rfc2822(header?).ok()?;
            Some((date.to_utc() - self.clock.now()).to_std().unwrap_or_default())
        };
        seconds.or_else(until).map(|wait| wait.min(MAX_RETRY_AFTER))
    }

    fn rejected(&self, rejection: Rejection, response: &str, redactor: &Redactor) -> ProviderError {
        let provider = self.provider;
        match rejection {
            Rejection::Unreadable(reason) => ProviderError::Unreadable {
                provider,
                reason: redactor.message(&reason),
                excerpt: redactor.excerpt(response),
                page: Secret::new(redactor.redact(response)),
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
        let cause = redactor.message(&causes(&error.without_url()));
        ProviderError::Unreachable { provider: self.provider, cause }
    }

    fn misconfigured(&self, error: reqwest::Error, redactor: &Redactor) -> ProviderError {
        let message = redactor.message(&causes(&error.without_url()));
        ProviderError::Misconfigured { provider: self.provider, message }
    }
}

fn end_step(outcome: &'static str, status: Option<u16>, is_failure: bool) {
    traces::describe(|step| {
        if let Some(status) = status {
            step.set("http.response.status_code", i64::from(status));
        }
        if is_failure {
            step.fail(outcome);
        }
    });
}

fn content_type(response: &Response) -> Option<String> {
    response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The message of an error response, or its beginning.
async fn refusal_message(mut response: Response, redactor: &Redactor) -> String {
    let content_type = content_type(&response);
    let mut bytes = Vec::new();
    while bytes.len() < MAX_ERROR_BYTES
        && let Ok(Some(chunk)) = response.chunk().await
    {
        bytes.extend_from_slice(&chunk);
    }
    let response = decode(bytes, content_type.as_deref());
    message_of(&response).map_or_else(|| redactor.excerpt(&response), |message| redactor.message(&message))
}

/// The message field of a JSON response.
pub(super) fn message_of(response: &str) -> Option<String> {
    #[derive(Default, Deserialize)]
    #[serde(default, bound(deserialize = "'de: 'a"))]
    struct ErrorJson<'a> {
        message: Field<'a>,
        error: Field<'a>,
        detail: Field<'a>,
    }
    let Object(json) = serde_json::from_str::<Object<ErrorJson<'_>>>(response).ok()?;
    json.message.text("message").or_else(|| json.error.text("error")).or_else(|| json.detail.text("detail"))
}

#[cfg(test)]
mod tests;
