//! Request slots of a provider, shared by all processes: Redis assigns each request the next free point in time.
//!
//! The scripts use the clock of Redis, so that the processes agree.

use std::time::Duration;

use redis::Script;

use super::{Redis, RedisError};

/// Reserves the next slot and returns the milliseconds until it.
const RESERVE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local slot = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
redis.call('SET', KEYS[1], slot + ARGV[1], 'PX', slot - now + ARGV[1] + 1000)
return slot - now";

/// Moves the next slot at least that far into the future.
const PAUSE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local slot = math.max(now + ARGV[1], tonumber(redis.call('GET', KEYS[1]) or 0))
redis.call('SET', KEYS[1], slot, 'PX', slot - now + 1000)
return slot - now";

impl Redis {
    /// Reserves the next slot of `provider`, whose slots are `interval` apart, and returns how long to wait for it.
    pub async fn reserve_slot(&self, provider: &str, interval: Duration) -> Result<Duration, RedisError> {
        self.move_slot(RESERVE, provider, interval).await
    }

    /// Gives out no slot of `provider` before `wait` has passed.
    pub async fn pause_slots(&self, provider: &str, wait: Duration) -> Result<(), RedisError> {
        self.move_slot(PAUSE, provider, wait).await.map(drop)
    }

    async fn move_slot(&self, script: &str, provider: &str, by: Duration) -> Result<Duration, RedisError> {
        let wait: u64 = Script::new(script)
            .key(self.key(&format!("turn:{provider}")))
            .arg(u64::try_from(by.as_millis()).unwrap_or(u64::MAX))
            .invoke_async(&mut self.connection())
            .await?;
        Ok(Duration::from_millis(wait))
    }
}
