//! Wake-ups of workers through apalis-redis.
//!
//! A message means only that a job of its queue may be due; the worker reads from the jobs table which one
//! (docs/decisions/0001). A wake-up that is lost, duplicated or late therefore costs only time. Each wake-up is an apalis
//! task with a new id, because apalis refuses an id that was used before, and finished tasks are deleted.
//!
//! A notification over pub/sub goes ahead of the message: a worker that hears it claims at once, instead of fetching the
//! message first.
//!
//! A few waiting wake-ups are enough: more would only wake workers that are already awake. A wake-up need not be delivered
//! again when its worker dies. apalis would redeliver it, and a payload that crashes its reader would then kill one worker
//! after another; `sweep_wakeups` deletes it together with the dead worker's registration.

use std::time::Duration;

use apalis_core::backend::TaskSink;
use apalis_redis::{Config, RedisStorage};
use redis::Script;
use serde_json::Value;

use super::reconnecting::RedisConnection;
use super::{Redis, RedisError};
use crate::domain::job::JobId;

pub type WakeupStorage = RedisStorage<Value, RedisConnection>;

const HEARTBEAT: Duration = Duration::from_secs(5);
/// A worker without a heartbeat for this long is dead: its registration and its wake-ups are deleted.
const DEAD_AFTER: Duration = Duration::from_secs(30);
/// A day, in heartbeats: when apalis would redeliver the wake-ups of a dead worker. They are deleted long before.
const MISSED_HEARTBEATS: usize = 24 * 3600 / 5;
/// No more wake-ups than this wait in a queue: far below the 8,000 at which an apalis queue stops working.
const MAX_WAKEUPS: usize = 64;

/// Notifies sleeping workers. Returns 1 if enough wake-ups wait, active or scheduled, and 0 if one must be pushed.
const NOTIFY: &str = r"
redis.call('PUBLISH', KEYS[3], 1)
return redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2]) < tonumber(ARGV[1]) and 0 or 1";

/// Deletes finished wake-ups, at most as many as given, and dead workers with the wake-ups that they held; apalis keeps
/// all of them forever. Uses the clock of Redis, so that the processes agree.
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
    /// The apalis storage of `queue`. `batch_size(1)`: a batch that waits would block the heartbeat and be delivered twice.
    /// `lock_tasks(false)`: the jobs table has the locks, and apalis's lock scans a list for each message.
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

    /// Notifies sleeping workers of a due job, and pushes a wake-up for those that do not hear it, unless enough wait already.
    /// If this fails, workers find the job at their next poll.
    pub async fn send_wakeup(&self, queue: &str, job_id: JobId) -> Result<(), RedisError> {
        let mut wakeups = self.wakeups(queue);
        let enough: bool = Script::new(NOTIFY)
            .key(wakeups.get_config().active_jobs_list())
            .key(wakeups.get_config().scheduled_jobs_set())
            .key(self.wakeup_channel(queue))
            .arg(MAX_WAKEUPS)
            .invoke_async(&mut self.connection())
            .await?;
        if !enough {
            wakeups.push(Value::String(job_id.to_string())).await?;
        }
        Ok(())
    }

    /// The pub/sub channel that notifies the workers of `queue`.
    #[must_use]
    pub fn wakeup_channel(&self, queue: &str) -> String {
        self.key(&format!("wakeup:{queue}"))
    }

    /// Deletes finished wake-ups of `queue` and dead workers, at most `max` of each, and returns the number of wake-ups.
    pub async fn sweep_wakeups(&self, queue: &str, max: usize) -> Result<usize, RedisError> {
        let wakeups = self.wakeups(queue);
        let config = wakeups.get_config();
        let deleted = Script::new(SWEEP)
            .key(config.done_jobs_set())
            .key(config.job_data_hash())
            .key(config.job_meta_hash())
            .key(config.workers_set())
            .key(config.inflight_jobs_set())
            .arg(max)
            .arg(DEAD_AFTER.as_secs())
            .invoke_async(&mut self.connection())
            .await?;
        Ok(deleted)
    }

    fn queue_key(&self, queue: &str) -> String {
        self.key(&format!("queue:{queue}"))
    }
}
