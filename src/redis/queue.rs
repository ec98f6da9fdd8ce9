//! The bells: ids of due jobs over apalis-redis.
//!
//! apalis-redis is a wake-up, not a source of truth (docs/decisions/0001): a message says only that some job of its queue
//! may be due, and the woken worker asks the jobs table which. So a bell that is lost, doubled or late costs nothing but
//! time, every bell is a task of its own (an id that was used once is refused for ever), and what is finished is swept.
//!
//! So few bells are enough: where many hang already, another one would only wake workers that are awake. And none need be
//! delivered again when a worker dies with it in hand, which apalis would do, to the next worker's death where the bell
//! itself is what kills (a payload that cannot be read): the sweep forgets it together with the worker's name.

use std::time::Duration;

use apalis_core::backend::TaskSink;
use apalis_redis::{Config, RedisStorage};
use redis::Script;
use redis::aio::ConnectionManager;
use serde_json::Value;

use super::{Redis, RedisError};
use crate::domain::job::JobId;

/// A queue of bells, as apalis knows it.
pub type WakeupStorage = RedisStorage<Value, ConnectionManager>;

/// How often a worker tells Redis that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A worker that has been silent for so long is gone: what it held is forgotten, and so is its name.
const GONE_AFTER: Duration = Duration::from_secs(30);
/// A day, in heartbeats: how long apalis waits before it delivers what a silent worker held. The sweep is sooner.
const MISSED_HEARTBEATS: usize = 24 * 3600 / 5;
/// Where so many bells wait, no more are hung up: far below the 8,000 that are fatal to an apalis queue.
const MAX_WAKEUPS: usize = 64;

/// Where enough bells wait, in the list or for the next look, calls whoever sleeps and says so.
const CALL_IF_ENOUGH: &str = r"
if redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2]) < tonumber(ARGV[1]) then return 0 end
redis.call('PUBLISH', KEYS[3], 1)
return 1";

/// Forgets finished bells, at most as many as are given, and workers that are gone, with the bells that they held; apalis
/// keeps all of it for ever. By Redis's own clock, so that the processes agree.
const SWEEP: &str = r"
local swept = redis.call('SPOP', KEYS[1], ARGV[1])
local silent_since = redis.call('TIME')[1] - ARGV[2]
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', silent_since, 'LIMIT', 0, ARGV[1])) do
    local held = KEYS[5] .. ':' .. worker
    for _, id in ipairs(redis.call('SMEMBERS', held)) do table.insert(swept, id) end
    redis.call('DEL', held, KEYS[4] .. ':metadata:' .. worker)
    redis.call('ZREM', KEYS[4], worker)
end
for _, id in ipairs(swept) do
    redis.call('HDEL', KEYS[2], id)
    redis.call('DEL', KEYS[3] .. ':' .. id)
end
return #swept";

impl Redis {
    /// The storage behind `queue`. `batch_size(1)`: fetched messages that wait would stop the heartbeat and run twice.
    /// `lock_tasks(false)`: the jobs table locks, and apalis's lock scans a list for each message.
    #[must_use]
    pub fn wakeups(&self, queue: &str) -> WakeupStorage {
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

    /// Rings for a due job: a message for one worker, unless enough wait already, and a call that wakes those that sleep.
    ///
    /// # Errors
    /// [`RedisError`] where Redis does not take it: workers look for due jobs by themselves, a little later.
    pub async fn send_wakeup(&self, queue: &str, job_id: JobId) -> Result<(), RedisError> {
        let mut bells = self.wakeups(queue);
        let enough: bool = Script::new(CALL_IF_ENOUGH)
            .key(bells.get_config().active_jobs_list())
            .key(bells.get_config().scheduled_jobs_set())
            .key(self.wakeup_channel(queue))
            .arg(MAX_WAKEUPS)
            .invoke_async(&mut self.connection())
            .await?;
        if !enough {
            bells.push(Value::String(job_id.to_string())).await?;
            redis::cmd("PUBLISH").arg(self.wakeup_channel(queue)).arg(1).exec_async(&mut self.connection()).await?;
        }
        Ok(())
    }

    /// The channel on which the workers of `queue` are called.
    #[must_use]
    pub fn wakeup_channel(&self, queue: &str) -> String {
        self.key(&format!("wakeup:{queue}"))
    }

    /// Forgets bells of `queue` that were answered, and workers that are gone, at most `most` of each; says how many bells
    /// were forgotten.
    ///
    /// # Errors
    /// [`RedisError::Redis`] where Redis does not answer.
    pub async fn sweep_wakeups(&self, queue: &str, most: usize) -> Result<usize, RedisError> {
        let bells = self.wakeups(queue);
        let config = bells.get_config();
        let swept = Script::new(SWEEP)
            .key(config.done_jobs_set())
            .key(config.job_data_hash())
            .key(config.job_meta_hash())
            .key(config.workers_set())
            .key(config.inflight_jobs_set())
            .arg(most)
            .arg(GONE_AFTER.as_secs())
            .invoke_async(&mut self.connection())
            .await?;
        Ok(swept)
    }

    fn queue_key(&self, queue: &str) -> String {
        self.key(&format!("queue:{queue}"))
    }
}
