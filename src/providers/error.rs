//! What can go wrong when a provider is asked, told apart by what is to be done about it.
//!
//! A sync never looks into a message: the queue decides by [`ProviderError::retry`], and the message is for the person
//! who reads the status. Every text in here has been through the redactor of the client that made it.

use std::time::Duration;

use super::upstream::Upstream;

/// Why a provider did not give what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// No connection, a reset, or no complete answer in time.
    #[error("{provider} could not be reached ({cause}); it is tried again, check the network if this goes on")]
    Unreachable {
        /// Who was asked.
        provider: Upstream,
        /// What the network said.
        cause: String,
    },
    /// It answered that it cannot answer now (5xx).
    #[error("{provider} is out of order (HTTP {status}); it is tried again, ask the provider if this goes on")]
    Unavailable {
        /// Who was asked.
        provider: Upstream,
        /// The HTTP status.
        status: u16,
    },
    /// It asks for retry_budget (429), for longer than a request may wait.
    #[error(
        "{provider} wants fewer requests and asks to wait {} s; it is tried again then, lower the rate_limit if this goes on",
        retry_after.as_secs()
    )]
    RateLimited {
        /// Who was asked.
        provider: Upstream,
        /// How long it asks to wait.
        retry_after: Duration,
    },
    /// It does not know our credentials, or refused a session it had just given.
    #[error("{provider} refuses our credentials ({message}); check {} and restart", provider.credentials())]
    Unauthenticated {
        /// Who was asked.
        provider: Upstream,
        /// What it said.
        message: String,
    },
    /// It understood and said no: another 4xx, or `success: false`.
    #[error("{provider} refused the request (HTTP {status}: {message}); see its documentation for what it wants")]
    Refused {
        /// Who was asked.
        provider: Upstream,
        /// The HTTP status; 200 where only the answer itself says no.
        status: u16,
        /// What it said.
        message: String,
    },
    /// It says that it failed, in an answer that came well (`success: false` with HTTP 200).
    #[error("{provider} says that it failed ({message}); it is tried again, ask the provider if this goes on")]
    Failed {
        /// Who was asked.
        provider: Upstream,
        /// What it said.
        message: String,
    },
    /// The answer is not what the provider documents: HTML, half a JSON, another shape.
    #[error("{provider} sent an answer that cannot be read ({reason}): {excerpt}")]
    Unreadable {
        /// Who was asked.
        provider: Upstream,
        /// What is wrong with it.
        reason: String,
        /// How it begins: at most 200 characters, with no secret and no payer in them.
        excerpt: String,
    },
    /// The answer is longer than we are willing to read.
    #[error(
        "{provider} sent more than {limit} bytes; raise PROVIDER_MAX_RESPONSE_BYTES if its pages really are so long"
    )]
    TooLarge {
        /// Who was asked.
        provider: Upstream,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The session that all processes share could not be looked up, or was not ours to renew.
    #[error("the session of {provider} is not to be had ({message}); it is tried again, check Redis if this goes on")]
    SessionUnavailable {
        /// Whose session.
        provider: Upstream,
        /// What its keeper said.
        message: String,
    },
    /// No request can be made of these settings.
    #[error("no request to {provider} can be made of the settings ({message}); check its base URL and credentials")]
    Misconfigured {
        /// Whose settings.
        provider: Upstream,
        /// What is wrong with them.
        message: String,
    },
}

/// How long to wait for a session that is not to be had.
const SESSION_PAUSE: Duration = Duration::from_secs(5);

/// What the queue is to do with a job that ended in a [`ProviderError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Try again, later each time.
    WithBackoff,
    /// Try again after this long; it was no failure, and costs no attempt.
    After(Duration),
    /// No retry mends it: a person has to, or the next tick finds it mended.
    Never,
}

impl ProviderError {
    /// What the queue is to do.
    ///
    /// A refusal inside an answer of status 200 may be the provider's bad day, so it is worth another try; a 4xx will
    /// say the same again. An answer that is too long may be one that a fault made endless.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::RateLimited { retry_after, .. } => Retry::After(*retry_after),
            // Redis is away, or another process logs in at the moment.
            Self::SessionUnavailable { .. } => Retry::After(SESSION_PAUSE),
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
    fn the_queue_decides_by_the_kind_of_error() {
        let provider = Upstream::Payshack;
        let text = String::new;
        for (error, expected) in [
            (ProviderError::Unreachable { provider, cause: text() }, Retry::WithBackoff),
            (ProviderError::Unavailable { provider, status: 503 }, Retry::WithBackoff),
            (
                ProviderError::RateLimited { provider, retry_after: Duration::from_secs(9) },
                Retry::After(Duration::from_secs(9)),
            ),
            (ProviderError::Unauthenticated { provider, message: text() }, Retry::Never),
            (ProviderError::Failed { provider, message: text() }, Retry::WithBackoff),
            (ProviderError::Refused { provider, status: 200, message: text() }, Retry::WithBackoff),
            (ProviderError::Refused { provider, status: 404, message: text() }, Retry::Never),
            (ProviderError::Unreadable { provider, reason: text(), excerpt: text() }, Retry::WithBackoff),
            (ProviderError::TooLarge { provider, limit: 1 }, Retry::WithBackoff),
            (ProviderError::SessionUnavailable { provider, message: text() }, Retry::After(SESSION_PAUSE)),
            (ProviderError::Misconfigured { provider, message: text() }, Retry::Never),
        ] {
            assert_eq!(error.retry(), expected, "{error}");
        }
    }

    #[test]
    fn wrong_credentials_are_told_by_the_names_of_their_settings() {
        let error =
            ProviderError::Unauthenticated { provider: Upstream::Payshack, message: "Invalid password".to_owned() };
        assert_eq!(
            error.to_string(),
            "payshack refuses our credentials (Invalid password); check PAYSHACK_EMAIL and PAYSHACK_PASSWORD and restart"
        );
    }
}
