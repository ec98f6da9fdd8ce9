//! The bells: ids of due jobs over apalis-redis.
//!
//! apalis-redis is a wake-up, not a source of truth (docs/decisions/0001): a message says only that some job of its queue
//! may be due, and the woken worker asks the ledger which. So a bell that is lost, doubled or late costs nothing but
//! time, every bell is a task of its own (an id that was used once is refused for ever), and what is finished is swept.

use std::time::Duration;

use apalis_core::backend::TaskSink;
use apalis_redis::{Config, RedisStorage};
use redis::Script;
use redis::aio::ConnectionManager;
use serde_json::Value;

use super::{Wire, WireError};
use crate::domain::job::JobId;

/// A queue of bells, as apalis knows it.
pub type BellStorage = RedisStorage<Value, ConnectionManager>;

/// How often a worker tells Redis that it is alive, and how often it may miss to: after 5 s its bells go to another.
const HEARTBEAT: Duration = Duration::from_secs(1);
const MISSED_HEARTBEATS: usize = 5;

/// Forgets finished bells, at most as many as are given; apalis keeps them for ever.
const SWEEP: &str = r"
local swept = redis.call('SPOP', KEYS[1], ARGV[1])
for _, id in ipairs(swept) do
    redis.call('HDEL', KEYS[2], id)
    redis.call('DEL', KEYS[3] .. ':' .. id)
end
return #swept";

impl Wire {
    /// The storage behind `queue`. `batch_size(1)`: fetched messages that wait would stop the heartbeat and run twice.
    /// `lock_tasks(false)`: the ledger locks, and apalis's lock scans a list for each message.
    #[must_use]
    pub fn bells(&self, queue: &str) -> BellStorage {
        let config = Config::default()
            .queue(self.queue_key(queue))
            .batch_size(1)
            .heartbeat_interval(HEARTBEAT)
            .missed_heartbeats(MISSED_HEARTBEATS)
            .lock_tasks(false)
            .persist_results(true)
            .emit_events(false);
        RedisStorage::new(self.connection()).with_config(config)
    }

    /// Rings for a due job: a message for one worker, and a call that wakes those that sleep.
    ///
    /// # Errors
    /// [`WireError`] where Redis does not take it: the sweep rings again.
    pub async fn ring(&self, queue: &str, job_id: JobId) -> Result<(), WireError> {
        self.bells(queue).push(Value::String(job_id.to_string())).await?;
        redis::cmd("PUBLISH").arg(self.bell_channel(queue)).arg(1).exec_async(&mut self.connection()).await?;
        Ok(())
    }

    /// The channel on which the workers of `queue` are called.
    #[must_use]
    pub fn bell_channel(&self, queue: &str) -> String {
        self.key(&format!("bell:{queue}"))
    }

    /// Forgets bells of `queue` that were answered, at most `most` of them.
    ///
    /// # Errors
    /// [`WireError::Redis`] where Redis does not answer.
    pub async fn sweep_bells(&self, queue: &str, most: usize) -> Result<usize, WireError> {
        let key = self.queue_key(queue);
        let swept = Script::new(SWEEP)
            .key(format!("{key}:done"))
            .key(format!("{key}:data"))
            .key(format!("{key}:meta"))
            .arg(most)
            .invoke_async(&mut self.connection())
            .await?;
        Ok(swept)
    }

    fn queue_key(&self, queue: &str) -> String {
        self.key(&format!("queue:{queue}"))
    }
}
