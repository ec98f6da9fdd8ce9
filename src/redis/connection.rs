//! One multiplexed connection a process, that comes back by itself, and subscribing ones beside it.
//!
//! Small plans allow about 20 connections, so nothing here pools. Every key and channel bears the namespace, so that two
//! installations, or two tests, can share a server.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig, PubSub};

use crate::domain::secret::Secret;

/// The default of half a second kills a worker at the first slow answer.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// While Redis is away a command fails as soon as two attempts to connect have, within a quarter of a second: whoever would
/// rather wait than go on without it tries again. The manager's own six attempts would hold up a job at each of its events.
const RECONNECT_RETRIES: usize = 1;

/// How Redis is reached.
#[derive(Debug, Clone)]
pub struct RedisSettings {
    /// `redis://` or `rediss://`, which may hold a password.
    pub url: Secret,
    /// Accept a certificate that nobody has signed.
    pub tls_insecure: bool,
    /// What every key and channel begins with.
    pub namespace: String,
}

/// An error of Redis.
#[derive(Debug, thiserror::Error)]
pub enum RedisError {
    /// It cannot be reached, or did not answer.
    #[error("Redis cannot be reached ({0}): check that it runs and that REDIS_URL is right")]
    Redis(#[from] redis::RedisError),
    /// The queue library refused.
    #[error("the queue refused a message: {0}")]
    Queue(#[from] apalis_core::backend::TaskSinkError<apalis_redis::Error>),
    /// What was to be sent, or was received, is no JSON of ours.
    #[error("a message on the redis cannot be read: {0}")]
    Message(#[from] serde_json::Error),
}

/// The way to Redis.
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
    /// Connects, trying once, so that a wrong address is said at the start.
    ///
    /// # Errors
    /// [`RedisError::Redis`] where there is no server, or it refuses the password.
    pub async fn connect(settings: &RedisSettings) -> Result<Self, RedisError> {
        let redis = Self::open(settings)?;
        // The manager would try again; one plain connection says at once what is wrong.
        let mut plain = tokio::time::timeout(CONNECTION_TIMEOUT, redis.client.get_multiplexed_async_connection())
            .await
            .map_err(|_| redis::RedisError::from((redis::ErrorKind::Io, "no answer within 5 seconds")))??;
        redis::cmd("PING").exec_async(&mut plain).await?;
        Ok(redis)
    }

    /// Connects when it is first used: for whoever must go on although there is no server at the moment.
    ///
    /// # Errors
    /// [`RedisError::Redis`] where the address cannot be read.
    pub fn open(settings: &RedisSettings) -> Result<Self, RedisError> {
        let client = open(settings)?;
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(CONNECTION_TIMEOUT))
            .set_number_of_retries(RECONNECT_RETRIES);
        let connection = client.get_connection_manager_lazy(config)?;
        Ok(Self { client, connection, namespace: settings.namespace.clone() })
    }

    /// A handle of the shared connection.
    #[must_use]
    pub fn connection(&self) -> ConnectionManager {
        self.connection.clone()
    }

    /// The name of a key or a channel within the namespace.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.namespace)
    }

    /// A connection of its own that hears `channels`.
    ///
    /// # Errors
    /// [`RedisError::Redis`] where there is no server.
    pub async fn subscribe(&self, channels: &[String]) -> Result<PubSub, RedisError> {
        let mut subscriber = self.client.get_async_pubsub().await?;
        for channel in channels {
            subscriber.subscribe(channel).await?;
        }
        Ok(subscriber)
    }

    /// Asks whether Redis answers.
    ///
    /// # Errors
    /// [`RedisError::Redis`] where it does not.
    pub async fn ping(&self) -> Result<(), RedisError> {
        redis::cmd("PING").exec_async(&mut self.connection()).await?;
        Ok(())
    }

    /// What the server does when its memory is full, if it says so. (`INFO`, for hosts often forbid `CONFIG`.)
    ///
    /// # Errors
    /// [`RedisError::Redis`] where it does not answer.
    pub async fn find_eviction_policy(&self) -> Result<Option<String>, RedisError> {
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut self.connection()).await?;
        Ok(info.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")).map(|policy| policy.trim().to_owned()))
    }
}

fn open(settings: &RedisSettings) -> Result<redis::Client, RedisError> {
    let url = settings.url.expose();
    let insecure = settings.tls_insecure && url.starts_with("rediss://") && !url.contains('#');
    if insecure {
        tracing::warn!("REDIS_TLS_INSECURE=true: the certificate of Redis is not checked");
    }
    // The fragment is redis-rs's own way to say it.
    let url = if insecure { format!("{url}#insecure") } else { url.to_owned() };
    Ok(redis::Client::open(url)?)
}
