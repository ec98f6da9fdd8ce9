//! One multiplexed connection per process that reconnects automatically ([`super::reconnecting`]), plus one for each
//! subscription, and with sentinels one to each of them ([`super::failover`]).
//!
//! There is no pool because small Redis plans allow about 20 connections. Every key and channel starts with the namespace,
//! so that two installations, or two tests, can share a server.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use redis::aio::ConnectionManagerConfig;

use super::address::RedisAddress;
use super::error::RedisError;
use super::failover;
use super::reconnecting::{RedisConnection, replaced_error};

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
    pub address: RedisAddress,
    /// The prefix of every key and channel.
    pub namespace: String,
}

/// The handle of Redis; clones share one connection.
#[derive(Clone)]
pub struct Redis {
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
        let mut plain = within_timeout(async {
            let (client, _) = redis.connection.client().await?;
            client.get_multiplexed_async_connection().await
        })
        .await?;
        redis::cmd("PING").exec_async(&mut plain).await?;
        Ok(redis)
    }

    /// Connects on first use, for programs that must start without Redis.
    pub fn open(settings: &RedisSettings) -> Result<Self, RedisError> {
        if settings.address.accepts_any_certificate() {
            tracing::warn!("the certificate of Redis is not verified (REDIS_TLS_INSECURE, or an option of REDIS_URL)");
        }
        let config = ConnectionManagerConfig::new()
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_connection_timeout(Some(CONNECTION_TIMEOUT))
            .set_number_of_retries(RECONNECT_RETRIES);
        let connection = match &settings.address {
            RedisAddress::Server(server) => {
                RedisConnection::open(redis::Client::open(server.as_ref().clone())?, config)?
            }
            RedisAddress::Sentinels(sentinels) => failover::open(sentinels, config)?,
        };
        Ok(Self { connection, namespace: settings.namespace.clone() })
    }

    #[must_use]
    pub fn connection(&self) -> RedisConnection {
        self.connection.clone()
    }

    /// Completes when the connection leads to another server than now.
    pub fn replaced(&self) -> impl Future<Output = ()> + Send + use<> {
        self.connection.replaced()
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
        let (client, replaced) = within_timeout(self.connection.client()).await?;
        let mut replaced = Box::pin(replaced);
        let subscribing = within_timeout(async {
            let mut subscriber = client.get_async_pubsub().await?;
            for channel in channels {
                subscriber.subscribe(channel).await?;
            }
            Ok(subscriber)
        });
        let subscriber = tokio::select! {
            biased;
            subscriber = subscribing => subscriber?,
            () = &mut replaced => return Err(replaced_error().into()),
        };
        Ok(subscriber.into_on_message().take_until(replaced))
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

/// The library waits for ever for a server that accepts a connection and then hangs.
async fn within_timeout<T>(connecting: impl Future<Output = redis::RedisResult<T>>) -> redis::RedisResult<T> {
    let no_reply = || redis::RedisError::from((redis::ErrorKind::Io, "no reply within 5 seconds"));
    tokio::time::timeout(CONNECTION_TIMEOUT, connecting).await.unwrap_or_else(|_| Err(no_reply()))
}
