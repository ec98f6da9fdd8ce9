//! Errors of provider requests, one variant per way to handle them.
//!
//! Code never inspects a message: the queue uses [`ProviderError::retry`], and messages are for people. Every text has
//! passed the redactor of the client that created it.

use std::time::Duration;

use super::upstream::Upstream;
use crate::domain::secret::Secret;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// No connection, a reset, or no complete response in time.
    #[error("{provider} is unreachable ({cause}); the request is retried, check the network if this persists")]
    Unreachable { provider: Upstream, cause: String },
    /// A 5xx response, 408 or 425.
    #[error("{provider} is unavailable (HTTP {status}); the request is retried, contact the provider if this persists")]
    Unavailable {
        provider: Upstream,
        status: u16,
        /// If the response asks for a wait.
        retry_after: Option<Duration>,
    },
    /// A 429 that asks for a longer wait than the retry budget of a request allows.
    #[error(
        "{provider} limits requests and asks to wait {} s; the job is retried then, lower the rate limit if this persists",
        retry_after.as_secs()
    )]
    RateLimited { provider: Upstream, retry_after: Duration },
    /// The credentials, or a session that was just created, were rejected.
    #[error("{provider} rejected the credentials ({message}); check {} and restart", provider.credentials())]
    Unauthenticated { provider: Upstream, message: String },
    /// Another 4xx, or `success: false`.
    #[error("{provider} refused the request (HTTP {status}: {message}); see its API documentation")]
    Refused {
        provider: Upstream,
        /// 200 if only the body says so.
        status: u16,
        message: String,
    },
    /// `success: false` with HTTP 200 for a read, which may succeed later.
    #[error("{provider} reported a failure ({message}); the request is retried, contact the provider if this persists")]
    Failed { provider: Upstream, message: String },
    /// The response is not what the provider documents: HTML, truncated JSON, another shape.
    #[error("{provider} sent a response that cannot be parsed ({reason}): {excerpt}")]
    Unreadable {
        provider: Upstream,
        reason: String,
        /// The beginning of the response: at most 200 characters, without secrets or personal data.
        excerpt: String,
        /// The whole response. It contains personal data, so it is for people who may see that.
        page: Secret,
    },
    /// The response exceeds the size limit.
    #[error(
        "{provider} sent more than {limit} bytes; raise PROVIDER_MAX_RESPONSE_BYTES if its pages really are that large"
    )]
    TooLarge {
        provider: Upstream,
        /// In bytes.
        limit: usize,
    },
    /// The shared session could not be loaded, or another process is renewing it.
    #[error(
        "the session of {provider} is unavailable ({message}); the job is retried, check PostgreSQL if this persists"
    )]
    SessionUnavailable { provider: Upstream, message: String },
    /// The settings do not form a valid request.
    #[error("the settings of {provider} do not form a valid request ({message}); check its base URL and credentials")]
    Misconfigured { provider: Upstream, message: String },
}

/// The name of a successful request, among those of errors.
pub(super) const SUCCEEDED: &str = "ok";

/// What the metrics call the outcomes of requests.
pub const OUTCOMES: [&str; 11] = [
    SUCCEEDED,
    "unreachable",
    "unavailable",
    "rate_limited",
    "unauthenticated",
    "refused",
    "failed",
    "unreadable",
    "too_large",
    "session_unavailable",
    "misconfigured",
];

const SHORTEST_PAUSE: Duration = Duration::from_secs(5);

/// What the queue does with a job that failed with a [`ProviderError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    WithBackoff,
    /// Retry after this delay; costs no attempt.
    After(Duration),
    /// A retry cannot succeed before a person fixes the cause.
    Never,
}

impl ProviderError {
    /// One of [`OUTCOMES`].
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::Unavailable { .. } => "unavailable",
            Self::RateLimited { .. } => "rate_limited",
            Self::Unauthenticated { .. } => "unauthenticated",
            Self::Refused { .. } => "refused",
            Self::Failed { .. } => "failed",
            Self::Unreadable { .. } => "unreadable",
            Self::TooLarge { .. } => "too_large",
            Self::SessionUnavailable { .. } => "session_unavailable",
            Self::Misconfigured { .. } => "misconfigured",
        }
    }

    /// The wait that the provider asks for.
    #[must_use]
    pub fn requested_wait(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// A refusal with status 200 may be temporary, so it is retried; a 4xx would be the same again. An oversized response
    /// may be the result of a fault.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::RateLimited { retry_after, .. } => Retry::After(*retry_after),
            // A provider that asks for a wait of zero must not be asked again and again.
            Self::Unavailable { retry_after: Some(wait), .. } => Retry::After((*wait).max(SHORTEST_PAUSE)),
            // PostgreSQL is unavailable, or another process is logging in.
            Self::SessionUnavailable { .. } => Retry::After(SHORTEST_PAUSE),
            Self::Unreachable { .. }
            | Self::Unavailable { .. }
            | Self::Unreadable { .. }
            | Self::TooLarge { .. }
            | Self::Failed { .. }
            | Self::Refused { status: 200, .. } => Retry::WithBackoff,
            Self::Unauthenticated { .. } | Self::Refused { .. } | Self::Misconfigured { .. } => Retry::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_depends_on_the_kind_of_error() {
        let provider = Upstream::Payshack;
        let text = String::new;
        for (error, expected) in [
            (ProviderError::Unreachable { provider, cause: text() }, Retry::WithBackoff),
            (ProviderError::Unavailable { provider, status: 503, retry_after: None }, Retry::WithBackoff),
            (
                ProviderError::Unavailable { provider, status: 503, retry_after: Some(Duration::from_mins(9)) },
                Retry::After(Duration::from_mins(9)),
            ),
            (
                ProviderError::Unavailable { provider, status: 503, retry_after: Some(Duration::ZERO) },
                Retry::After(SHORTEST_PAUSE),
            ),
            (
                ProviderError::RateLimited { provider, retry_after: Duration::from_secs(9) },
                Retry::After(Duration::from_secs(9)),
            ),
            (ProviderError::Unauthenticated { provider, message: text() }, Retry::Never),
            (ProviderError::Failed { provider, message: text() }, Retry::WithBackoff),
            (ProviderError::Refused { provider, status: 200, message: text() }, Retry::WithBackoff),
            (ProviderError::Refused { provider, status: 404, message: text() }, Retry::Never),
            (
                ProviderError::Unreadable { provider, reason: text(), excerpt: text(), page: Secret::new("") },
                Retry::WithBackoff,
            ),
            (ProviderError::TooLarge { provider, limit: 1 }, Retry::WithBackoff),
            (ProviderError::SessionUnavailable { provider, message: text() }, Retry::After(SHORTEST_PAUSE)),
            (ProviderError::Misconfigured { provider, message: text() }, Retry::Never),
        ] {
            assert_eq!(error.retry(), expected, "{error}");
        }
    }

    #[test]
    fn rejected_credentials_name_their_settings() {
        let error =
            ProviderError::Unauthenticated { provider: Upstream::Payshack, message: "Invalid password".to_owned() };
        assert_eq!(
            error.to_string(),
            "payshack rejected the credentials (Invalid password); check PAYSHACK_EMAIL and PAYSHACK_PASSWORD and restart"
        );
    }
}
