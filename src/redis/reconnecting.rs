//! The connection of a process, which is replaced when its server turns out not to be the primary any more.
//!
//! After a failover a connection may still reach the former primary, which hangs, refuses every write, or even accepts writes that
//! are lost later. redis-rs reconnects after an I/O error only, and to the same address, and apalis restarts its consumers over the
//! connection they have. So this wraps redis-rs's [`ConnectionManager`], for every user of Redis including apalis.
//!
//! With one address, a new connection is opened when the server refuses a write because it is a replica: the address leads to the
//! new primary by then. With sentinels, [`super::failover`] asks them every second.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use redis::aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig};
use redis::{Client, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, Value};
use tokio::sync::{Notify, watch};

use crate::observability::record;

/// A connection is replaced only if it is older than this: until the failover is over, a new one reaches a replica too.
const REPLACE_AFTER: Duration = Duration::from_secs(1);

/// Clones share one connection.
#[derive(Clone)]
pub struct RedisConnection(Arc<Shared>);

pub(super) struct Shared {
    config: ConnectionManagerConfig,
    database: i64,
    state: watch::Sender<State>,
    /// Makes [`super::failover`] ask the sentinels at once; `None` without sentinels.
    failed: Option<Arc<Notify>>,
}

/// Until a primary is known there is no connection, and after the first attempt to find one a reason why.
#[derive(Default)]
struct State {
    current: Option<Current>,
    problem: Option<RedisError>,
}

#[derive(Clone)]
struct Current {
    client: Client,
    manager: ConnectionManager,
    opened_at: Instant,
    /// Increases with every replacement.
    number: u64,
}

impl RedisConnection {
    /// Leads to one address. Connects on first use.
    pub(super) fn open(client: Client, config: ConnectionManagerConfig) -> RedisResult<Self> {
        let database = client.get_connection_info().redis_settings().db();
        let state = State { current: Some(Current::open(client, &config, 0)?), problem: None };
        Ok(Self(Arc::new(Shared { config, database, state: watch::Sender::new(state), failed: None })))
    }

    /// Leads nowhere until [`Shared::lead_to`]. `failed` is notified of errors that a failover causes.
    pub(super) fn undirected(database: i64, config: ConnectionManagerConfig, failed: Arc<Notify>) -> Self {
        Self(Arc::new(Shared { config, database, state: watch::Sender::default(), failed: Some(failed) }))
    }

    pub(super) fn downgrade(&self) -> Weak<Shared> {
        Arc::downgrade(&self.0)
    }

    /// A client of the server that this connection leads to, and what completes when the connection has been replaced.
    pub(super) async fn client(&self) -> RedisResult<(Client, impl Future<Output = ()> + Send + use<>)> {
        let InUse { current, states } = self.acquire().await?;
        Ok((current.client, replaced(states, Some(current.number))))
    }

    /// Completes when the connection leads to another server than now.
    pub(super) fn replaced(&self) -> impl Future<Output = ()> + Send + use<> {
        let states = self.0.state.subscribe();
        let number = states.borrow().current.as_ref().map(|current| current.number);
        replaced(states, number)
    }

    /// The current connection. Waits for the first answer of the sentinels.
    async fn acquire(&self) -> RedisResult<InUse> {
        let mut states = self.0.state.subscribe();
        let known = states.wait_for(|state| state.current.is_some() || state.problem.is_some()).await;
        let known = known.map(|state| (state.current.clone(), state.problem.clone()));
        match known {
            Ok((Some(current), _)) => Ok(InUse { current, states }),
            Ok((None, Some(problem))) => Err(problem),
            // The sender lives as long as this connection.
            Ok((None, None)) | Err(_) => Err((ErrorKind::Io, "no connection").into()),
        }
    }

    async fn command(&self, command: &Cmd) -> RedisResult<Value> {
        let used = self.acquire().await.inspect_err(|_| record::redis_error())?;
        let mut manager = used.current.manager.clone();
        let result = used.unless_replaced(manager.send_packed_command(command)).await;
        let result = result.map_err(|error| self.explain(error));
        match &result {
            Err(error) => self.note_failure(error, &used.current),
            Ok(value) => self.note_values(std::slice::from_ref(value), &used.current),
        }
        result
    }

    async fn commands(&self, pipeline: &Pipeline, offset: usize, count: usize) -> RedisResult<Vec<Value>> {
        let used = self.acquire().await.inspect_err(|_| record::redis_error())?;
        let mut manager = used.current.manager.clone();
        let result = used.unless_replaced(manager.send_packed_commands(pipeline, offset, count)).await;
        let result = result.map_err(|error| self.explain(error));
        match &result {
            Err(error) => self.note_failure(error, &used.current),
            Ok(values) => self.note_values(values, &used.current),
        }
        result
    }

    /// While the server does not answer, what the sentinels say is more useful.
    fn explain(&self, error: RedisError) -> RedisError {
        let problem = || self.0.state.borrow().problem.clone();
        if error.is_io_error() { problem().unwrap_or(error) } else { error }
    }

    fn note_failure(&self, error: &RedisError, used: &Current) {
        record::redis_error();
        self.note(error, used);
    }

    /// A refused command of a pipeline is a value of its result.
    fn note_values(&self, values: &[Value], used: &Current) {
        for value in values {
            if let Value::ServerError(error) = value {
                self.note(&error.clone().into(), used);
            }
        }
    }

    /// Asks the sentinels after an error that a failover causes. Without sentinels, replaces the connection over which a refusal
    /// was received, unless another command has done so already.
    fn note(&self, error: &RedisError, used: &Current) {
        let refused = is_refusal_of_a_replica(error.code(), &error.to_string());
        if let Some(failed) = &self.0.failed {
            if refused || error.is_io_error() {
                failed.notify_one();
            }
        } else if refused
            && used.opened_at.elapsed() >= REPLACE_AFTER
            && self.0.replace(used.client.clone(), used.number)
        {
            tracing::warn!(%error, "Redis refuses writes, reconnecting");
        }
    }
}

impl Shared {
    /// The client of the current connection.
    pub(super) fn used(&self) -> Option<Client> {
        self.state.borrow().current.as_ref().map(|current| current.client.clone())
    }

    /// Replaces whatever connection there is.
    pub(super) fn lead_to(&self, client: Client) {
        let number = self.state.borrow().current.as_ref().map_or(0, |current| current.number);
        self.replace(client, number);
    }

    /// Records why no primary can be found, or that one is known.
    pub(super) fn set_problem(&self, problem: Option<RedisError>) {
        self.state.send_if_modified(|state| {
            let differs = state.problem.is_some() || problem.is_some();
            state.problem = problem;
            differs
        });
    }

    /// Replaces the connection if it still has this number.
    fn replace(&self, client: Client, number: u64) -> bool {
        let opened = match Current::open(client, &self.config, number + 1) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(%error, "failed to replace the connection to Redis");
                return false;
            }
        };
        self.state.send_if_modified(|state| {
            let outdated = state.current.as_ref().is_none_or(|current| current.number == number);
            if outdated {
                *state = State { current: Some(opened), problem: None };
            }
            outdated
        })
    }
}

impl Current {
    fn open(client: Client, config: &ConnectionManagerConfig, number: u64) -> RedisResult<Self> {
        let manager = client.get_connection_manager_lazy(config.clone())?;
        Ok(Self { client, manager, opened_at: Instant::now(), number })
    }
}

/// A connection, while a command uses it.
struct InUse {
    current: Current,
    states: watch::Receiver<State>,
}

impl InUse {
    /// Fails as soon as the connection has been replaced: a server that has lost its role may never answer.
    async fn unless_replaced<T>(&self, sending: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
        tokio::select! {
            biased;
            result = sending => result,
            () = replaced(self.states.clone(), Some(self.current.number)) => {
                Err(replaced_error())
            }
        }
    }
}

/// What a command, or a subscription, fails with if its connection is replaced meanwhile.
pub(super) fn replaced_error() -> RedisError {
    (ErrorKind::Io, "the connection has been replaced: another server is the primary").into()
}

/// Completes when there is another connection than the one with this number, or none any more.
async fn replaced(mut states: watch::Receiver<State>, number: Option<u64>) {
    let is_another = |state: &State| state.current.as_ref().map(|current| current.number) != number;
    drop(states.wait_for(is_another).await);
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
        self.0.database
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
