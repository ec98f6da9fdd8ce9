//! One multiplexed connection per process that reconnects automatically, plus one for each subscription.
//!
//! There is no pool because small Redis plans allow about 20 connections. Every key and channel starts with the namespace,
//! so that two installations, or two tests, can share a server.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSub};

use crate::domain::secret::Secret;

/// The library's default of half a second ends an apalis worker at the first slow reply.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// While Redis is unavailable, a command fails after two attempts to connect, within a quarter of a second; a caller that
/// prefers to wait retries. The library's default of six attempts would delay a job at each of its events.
const RECONNECT_RETRIES: usize = 1;

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
    #[error("Redis cannot be reached ({0}): check that it runs and that REDIS_URL is right")]
    Redis(#[from] redis::RedisError),
    /// apalis-redis refused a message.
    #[error("the queue refused a message: {0}")]
    Queue(#[from] apalis_core::backend::TaskSinkError<apalis_redis::Error>),
    /// A message is not the expected JSON.
    #[error("a Redis message cannot be read: {0}")]
    Message(#[from] serde_json::Error),
}

/// The handle of Redis; clones share one connection.
#[derive(Clone)]
pub struct Redis {
    client: redis::Client,
    connection: ConnectionManager,
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
        let connection = client.get_connection_manager_lazy(config)?;
        Ok(Self { client, connection, namespace: settings.namespace.clone() })
    }

    #[must_use]
    pub fn connection(&self) -> ConnectionManager {
        self.connection.clone()
    }

    /// A key or channel name within the namespace.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.namespace)
    }

    /// Opens a separate connection that is subscribed to `channels`.
    pub async fn subscribe(&self, channels: &[String]) -> Result<PubSub, RedisError> {
        let mut subscriber = self.client.get_async_pubsub().await?;
        for channel in channels {
            subscriber.subscribe(channel).await?;
        }
        Ok(subscriber)
    }

    pub async fn ping(&self) -> Result<(), RedisError> {
        redis::cmd("PING").exec_async(&mut self.connection()).await?;
        Ok(())
    }

    /// The server's `maxmemory-policy`, if it reports one. Read from `INFO`, because hosts often forbid `CONFIG`.
    pub async fn find_eviction_policy(&self) -> Result<Option<String>, RedisError> {
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut self.connection()).await?;
        Ok(info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")).map(|policy| policy.trim().to_owned()))
    }
}

fn open(settings: &RedisSettings) -> Result<redis::Client, RedisError> {
    let url = settings.url.expose();
    let insecure = settings.tls_insecure && url.starts_with("rediss://") && !url.contains('#');
    if insecure {
        tracing::warn!("REDIS_TLS_INSECURE=true: the certificate of Redis is not verified");
    }
    // redis-rs reads this option from the URL's fragment.
    let url = if insecure { format!("{url}#insecure") } else { url.to_owned() };
    Ok(redis::Client::open(url)?)
}
