//! The connection of a process, which is replaced when its server turns out to be a replica.
//!
//! After a failover a connection may still reach the former primary, which is now a replica and refuses every write, while a
//! new connection would reach the new primary. redis-rs reconnects after an I/O error only, and apalis restarts its consumers
//! over the connection they have. So this wraps redis-rs's [`ConnectionManager`], for every user of Redis including apalis.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use tokio::sync::watch;

use crate::observability::record;

/// A connection is replaced only if it is older than this: until the failover is over, a new one reaches a replica too.
const REPLACE_AFTER: Duration = Duration::from_secs(1);

/// Clones share one connection.
#[derive(Clone)]
pub struct RedisConnection(Arc<Shared>);

struct Shared {
    client: Client,
    config: ConnectionManagerConfig,
    current: Mutex<Current>,
    replacements: watch::Sender<u64>,
}

#[derive(Clone)]
struct Current {
    manager: ConnectionManager,
    opened_at: Instant,
}

impl RedisConnection {
    /// Connects on first use.
    pub(super) fn open(client: Client, config: ConnectionManagerConfig) -> RedisResult<Self> {
        let current = Mutex::new(Current::open(&client, &config)?);
        Ok(Self(Arc::new(Shared { client, config, current, replacements: watch::Sender::default() })))
    }

    /// Changes whenever the connection has been replaced.
    pub(super) fn replacements(&self) -> watch::Receiver<u64> {
        self.0.replacements.subscribe()
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.0.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Replaces the connection over which `error` was received, unless another command has done so already.
    fn note(&self, error: &RedisError, used: &Current) {
        if !is_refusal_of_a_replica(error.code(), &error.to_string()) || used.opened_at.elapsed() < REPLACE_AFTER {
            return;
        }
        let mut current = self.current();
        if current.opened_at != used.opened_at {
            return;
        }
        match Current::open(&self.0.client, &self.0.config) {
            Ok(opened) => *current = opened,
            Err(error) => {
                tracing::error!(%error, "failed to replace the connection to Redis");
                return;
            }
        }
        drop(current);
        tracing::warn!(%error, "Redis refuses writes, reconnecting");
        self.0.replacements.send_modify(|count| *count += 1);
    }

    fn note_failure(&self, error: &RedisError, used: &Current) {
        record::redis_error();
        self.note(error, used);
    }

    async fn command(&self, command: &Cmd) -> RedisResult<Value> {
        let mut used = self.current().clone();
        let result = used.manager.send_packed_command(command).await;
        match &result {
            Err(error) => self.note_failure(error, &used),
            Ok(value) => self.note_values(std::slice::from_ref(value), &used),
        }
        result
    }

    async fn commands(&self, pipeline: &Pipeline, offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        let mut used = self.current().clone();
        let result = used.manager.send_packed_commands(pipeline, offset, count).await;
        match &result {
            Err(error) => self.note_failure(error, &used),
            Ok(values) => self.note_values(values, &used),
        }
        result
    }

    /// A refused command of a pipeline is a value of its result.
    fn note_values(&self, values: &[Value], used: &Current) {
        for value in values {
            if let Value::ServerError(error) = value {
                self.note(&error.clone().into(), used);
            }
        }
    }
}

impl Current {
    fn open(client: &Client, config: &ConnectionManagerConfig) -> RedisResult<Self> {
        let manager = client.get_connection_manager_lazy(config.clone())?;
        Ok(Self { manager, opened_at: Instant::now() })
    }
}

impl ConnectionLike for RedisConnection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.command(command).boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.commands(pipeline, offset, count).boxed()
    }

    fn get_db(&self) -> i64 {
        self.current().manager.get_db()
    }
}

/// Whether a new connection may reach another server. Before Redis 7, a script reports the code of the refused command in its
/// text only.
fn is_refusal_of_a_replica(code: Option<&str>, text: &str) -> bool {
    matches!(code, Some("READONLY" | "MASTERDOWN" | "UNBLOCKED")) || text.contains("READONLY")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_a_replica_are_recognized() {
        for (code, text, expected) in [
            (Some("READONLY"), "You can't write against a read only replica.", true),
            (Some("MASTERDOWN"), "Link with MASTER is down", true),
            (Some("ERR"), "Error running script: @user_script:3: -READONLY You can't write", true),
            (Some("OOM"), "command not allowed when used memory > 'maxmemory'", false),
            (Some("NOSCRIPT"), "No matching script", false),
            (None, "broken pipe", false),
        ] {
            assert_eq!(is_refusal_of_a_replica(code, text), expected, "{code:?} {text}");
        }
    }
}
