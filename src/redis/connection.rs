//! One multiplexed connection per process that reconnects automatically ([`super::reconnecting`]), plus one for each
//! subscription.
//!
//! There is no pool because small Redis plans allow about 20 connections. Every key and channel starts with the namespace,
//! so that two installations, or two tests, can share a server.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use redis::aio::ConnectionManagerConfig;

use super::reconnecting::RedisConnection;
use crate::domain::secret::Secret;

/// The library's default of half a second ends an apalis worker at the first slow reply.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// While Redis is unavailable, a command fails after two attempts to connect, within a quarter of a second; a caller that
/// prefers to wait retries. The library's default of six attempts would delay a job at each of its events.
const RECONNECT_RETRIES: usize = 1;
/// How long the key exists that the health check writes.
const HEALTH_KEY_MILLIS: u32 = 60_000;

#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// `redis://` or `rediss://`; may contain a password.
    pub url: Secret,
    /// Accept self-signed certificates.
    pub tls_insecure: bool,
    /// The prefix of every key and channel.
    pub namespace: String,
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
        !is_untrusted(error) && (error.is_io_error() || error.is_timeout() || error.code() == Some("LOADING"))
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
        Some("NOAUTH" | "WRONGPASS" | "NOPERM") => {
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

/// The TLS library says so only in its text.
fn is_untrusted(error: &redis::RedisError) -> bool {
    error.is_io_error() && error.to_string().contains("invalid peer certificate")
}

/// The handle of Redis; clones share one connection.
#[derive(Clone)]
pub struct Redis {
    client: redis::Client,
    connection: RedisConnection,
    namespace: String,
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Redis").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Redis {
    /// Connects and pings once, so that a wrong address or password is reported at start.
    pub async fn connect(settings: &RedisSettings) -> Result<Self, RedisError> {
        let redis = Self::open(settings)?;
        // The connection manager retries; a plain connection reports at once what is wrong.
        let mut plain = tokio::time::timeout(CONNECTION_TIMEOUT, redis.client.get_multiplexed_async_connection())
            .await
            .map_err(|_| redis::RedisError::from((redis::ErrorKind::Io, "no reply within 5 seconds")))??;
        redis::cmd("PING").exec_async(&mut plain).await?;
        Ok(redis)
    }

    /// Connects on first use, for programs that must start without Redis. Fails only if the URL is invalid.
    pub fn open(settings: &RedisSettings) -> Result<Self, RedisError> {
        let client = open(settings)?;
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(CONNECTION_TIMEOUT))
            .set_number_of_retries(RECONNECT_RETRIES);
        let connection = RedisConnection::open(client.clone(), config)?;
        Ok(Self { client, connection, namespace: settings.namespace.clone() })
    }

    #[must_use]
    pub fn connection(&self) -> RedisConnection {
        self.connection.clone()
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A key or channel name within the namespace.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.namespace)
    }

    /// The messages of `channels`, over a separate connection. The stream ends with its connection, and when the other
    /// connection is replaced: this one then leads to the same server, which has lost its role.
    pub async fn subscribe(
        &self,
        channels: &[String],
    ) -> Result<impl Stream<Item = redis::Msg> + Send + use<>, RedisError> {
        let mut replacements = self.connection.replacements();
        let mut subscriber = self.client.get_async_pubsub().await?;
        for channel in channels {
            subscriber.subscribe(channel).await?;
        }
        // Fails only if the connection does not exist any more.
        let replaced = async move { drop(replacements.changed().await) };
        Ok(subscriber.into_on_message().take_until(Box::pin(replaced)))
    }

    /// Fails if Redis does not respond or refuses writes.
    pub async fn check_writable(&self) -> Result<(), RedisError> {
        let mut write = redis::cmd("SET");
        write.arg(self.key("health")).arg(1).arg("PX").arg(HEALTH_KEY_MILLIS);
        Ok(write.exec_async(&mut self.connection()).await?)
    }

    /// The server's `maxmemory-policy`, if it reports one. Read from `INFO`, because hosts often forbid `CONFIG`.
    pub async fn find_eviction_policy(&self) -> Result<Option<String>, RedisError> {
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut self.connection()).await?;
        Ok(find_info(&info, "maxmemory_policy").map(str::to_owned))
    }

    /// The server's version, if it reports one.
    pub async fn find_version(&self) -> Result<Option<String>, RedisError> {
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut self.connection()).await?;
        Ok(find_info(&info, "redis_version").map(str::to_owned))
    }

    /// How many connections the server allows, if it reports that.
    pub async fn find_max_connections(&self) -> Result<Option<u32>, RedisError> {
        let info: String = redis::cmd("INFO").arg("clients").query_async(&mut self.connection()).await?;
        Ok(find_info(&info, "maxclients").and_then(|limit| limit.parse().ok()))
    }
}

fn find_info<'a>(info: &'a str, field: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).map(str::trim)
}

fn open(settings: &RedisSettings) -> Result<redis::Client, RedisError> {
    let url = settings.url.expose();
    let insecure = settings.tls_insecure && url.starts_with("rediss://") && !url.contains('#');
    if insecure {
        tracing::warn!("the certificate of Redis is not verified (REDIS_TLS_INSECURE, or ssl_cert_reqs in REDIS_URL)");
    }
    // redis-rs reads this option from the URL's fragment.
    let url = if insecure { format!("{url}#insecure") } else { url.to_owned() };
    Ok(redis::Client::open(url)?)
}
