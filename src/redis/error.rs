//! What can go wrong with Redis, and what to do about it.
//!
//! Everything that fails is a [`redis::RedisError`], also the sentinels, so that a command fails in one way whatever it waits for.

/// The codes of what is wrong with sentinels.
pub(super) mod sentinel {
    /// No sentinel answers.
    pub(in crate::redis) const UNREACHABLE: &str = "NOSENTINEL";
    /// They refuse the credentials.
    pub(in crate::redis) const REFUSED: &str = "SENTINELAUTH";
    /// They do not monitor a service of this name.
    pub(in crate::redis) const UNKNOWN_SERVICE: &str = "NOSERVICE";
    /// No server that they name says that it is a primary.
    pub(in crate::redis) const NO_PRIMARY: &str = "NOPRIMARY";
}

#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// Redis is unreachable, did not reply, or refused the command.
    #[error("{problem} ({0}): {advice}", problem = refusal(.0).problem, advice = refusal(.0).advice)]
    Redis(#[from] redis::RedisError),
    /// apalis-redis refused a message.
    #[error("the queue refused a message: {0}")]
    Queue(#[from] apalis_core::backend::TaskSinkError<apalis_redis::Error>),
    /// A message is not the expected JSON.
    #[error("a Redis message cannot be read: {0}")]
    Message(#[from] serde_json::Error),
    #[error(
        "another installation uses the namespace {namespace} of this Redis: set another REDIS_NAMESPACE for one of them; if the \
         other one is gone, wait a minute"
    )]
    Shared { namespace: String },
}

impl RedisError {
    /// Whether Redis did not answer at all. A refusal, such as of the credentials, is an answer, and so is a certificate.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        let Self::Redis(error) = self else { return false };
        let waits = matches!(error.code(), Some("LOADING" | sentinel::UNREACHABLE | sentinel::NO_PRIMARY));
        !is_untrusted(error) && (error.is_io_error() || error.is_timeout() || waits)
    }

    /// What is wrong and what to do about it, without the details.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Redis(error) => {
                let Refusal { problem, advice } = refusal(error);
                format!("{problem}: {advice}")
            }
            Self::Queue(_) | Self::Message(_) | Self::Shared { .. } => self.to_string(),
        }
    }
}

/// What is wrong, and what to do about it.
struct Refusal {
    problem: &'static str,
    advice: &'static str,
}

fn refusal(error: &redis::RedisError) -> Refusal {
    let (problem, advice) = match error.code() {
        Some("READONLY" | "MASTERDOWN") => {
            ("Redis accepts only reads", "make REDIS_URL point to the primary, or promote this replica")
        }
        Some("OOM") => {
            ("the memory of Redis is full", "raise its maxmemory; all keys of this service expire or are deleted")
        }
        Some("MISCONF") => ("Redis cannot save its data", "free space on its disk, or switch its persistence off"),
        Some("LOADING") => ("Redis is loading its data", "wait until it has started"),
        Some(sentinel::UNREACHABLE) => (
            "no sentinel of Redis can be reached",
            "check that they run and that REDIS_URL has their addresses (rediss+sentinel:// if they require TLS)",
        ),
        Some(sentinel::REFUSED) => (
            "the sentinels of Redis refuse the credentials of REDIS_URL",
            "correct sentinel_username and sentinel_password in REDIS_URL; what stands before the @ is for Redis itself",
        ),
        Some(sentinel::UNKNOWN_SERVICE) => (
            "the sentinels of Redis do not monitor the service of REDIS_URL",
            "write the name of their `sentinel monitor` after the hosts in REDIS_URL",
        ),
        Some(sentinel::NO_PRIMARY) => (
            "the sentinels of Redis name no primary that answers",
            "wait until they have promoted a replica; if they do not, look at SENTINEL MASTERS",
        ),
        _ if is_refused(error) => {
            ("Redis refuses the credentials of REDIS_URL", "correct the user name and password in REDIS_URL")
        }
        _ if is_untrusted(error) => (
            "the certificate of Redis is not trusted",
            "set REDIS_TLS_INSECURE=true if its host uses self-signed certificates, as Heroku does; otherwise correct the host \
             name in REDIS_URL, or the certificate",
        ),
        _ => {
            ("Redis cannot be reached", "check that it runs and that REDIS_URL is right (rediss:// if it requires TLS)")
        }
    };
    Refusal { problem, advice }
}

/// Whether the server refuses the credentials, or wants some.
pub(super) fn is_refused(error: &redis::RedisError) -> bool {
    error.kind() == redis::ErrorKind::AuthenticationFailed
        || matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM"))
}

/// The TLS library says so only in its text.
pub(super) fn is_untrusted(error: &redis::RedisError) -> bool {
    error.is_io_error() && error.to_string().contains("invalid peer certificate")
}
