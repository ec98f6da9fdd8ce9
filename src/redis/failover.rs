//! Keeps the connection of a process at the server that the sentinels name, by asking them every second and after every failure.
//!
//! Subscribing to their announcements (`+switch-master`) was rejected: a sentinel that dies or hangs announces nothing, so they
//! would have to be asked anyway.

use std::sync::{Arc, Weak};
use std::time::Duration;

use redis::aio::ConnectionManagerConfig;
use redis::{Client, RedisError, RedisResult};
use tokio::sync::Notify;

use super::address::SentinelsAddress;
use super::reconnecting::{RedisConnection, Shared};
use super::sentinels::Sentinels;

/// How often the sentinels are asked while nothing fails.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// How long they are not asked again, however often something fails.
const PAUSE: Duration = Duration::from_millis(200);

/// A connection that always leads to the primary. Connects on first use.
pub(super) fn open(address: &SentinelsAddress, config: ConnectionManagerConfig) -> RedisResult<RedisConnection> {
    let failed = Arc::new(Notify::new());
    let connection = RedisConnection::undirected(address.database(), config, Arc::clone(&failed));
    tokio::spawn(follow(Sentinels::open(address)?, connection.downgrade(), failed));
    Ok(connection)
}

/// Asks the sentinels until the connection does not exist any more. `failed` makes it ask at once.
async fn follow(sentinels: Sentinels, connection: Weak<Shared>, failed: Arc<Notify>) {
    let mut reporter = Reporter::default();
    loop {
        let Some(shared) = connection.upgrade() else { return };
        let used = shared.used();
        let found = sentinels.find_other_primary(used.as_ref()).await;
        reporter.report(&found, used.is_some());
        match found {
            Ok(Some(client)) => shared.lead_to(client),
            Ok(None) => shared.set_problem(None),
            Err(problem) => shared.set_problem(Some(problem)),
        }
        drop(shared);
        tokio::time::sleep(PAUSE).await;
        // Either the time has passed or a command has failed.
        let _elapsed = tokio::time::timeout(ASK_EVERY.saturating_sub(PAUSE), failed.notified()).await;
    }
}

/// Logs what has changed.
#[derive(Default)]
struct Reporter {
    failing: bool,
}

impl Reporter {
    fn report(&mut self, found: &Result<Option<Client>, RedisError>, connected: bool) {
        match found {
            Err(error) if !self.failing => tracing::warn!(%error, "the sentinels of Redis name no usable primary"),
            Ok(Some(client)) => {
                let primary = client.get_connection_info().addr();
                if connected {
                    tracing::warn!(%primary, "another server is the primary of Redis, reconnecting");
                } else {
                    tracing::info!(%primary, "connecting to the primary of Redis");
                }
            }
            Ok(None) if self.failing => tracing::info!("the sentinels of Redis name the primary that is in use"),
            Err(_) | Ok(None) => {}
        }
        self.failing = found.is_err();
    }
}
