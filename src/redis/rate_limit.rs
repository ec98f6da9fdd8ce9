//! The turns of a provider, shared by every process: a turn is a point in time, handed out by Redis one after another.

use std::time::Duration;

use redis::Script;

use super::{Redis, RedisError};

/// Executor out the next turn: answers how many milliseconds away it is. Redis's own clock, so that processes agree.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local turn = math.max(now, tonumber(redis.call('GET', KEYS[1]) or 0))
redis.call('SET', KEYS[1], turn + ARGV[1], 'PX', turn - now + ARGV[1] + 1000)
return turn - now";

/// Moves the next turn away, at least that far.
const HOLD: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local turn = math.max(now + ARGV[1], tonumber(redis.call('GET', KEYS[1]) or 0))
redis.call('SET', KEYS[1], turn, 'PX', turn - now + 1000)
return turn - now";

impl Redis {
    /// Takes the next turn of `provider`, whose turns are `interval` apart, and says how long to wait for it.
    ///
    /// # Errors
    /// [`RedisError::Redis`] where Redis does not answer.
    pub async fn take_turn(&self, provider: &str, interval: Duration) -> Result<Duration, RedisError> {
        self.move_turn(TAKE, provider, interval).await
    }

    /// Lets nobody have a turn of `provider` for `wait`.
    ///
    /// # Errors
    /// [`RedisError::Redis`] where Redis does not answer.
    pub async fn hold_turns(&self, provider: &str, wait: Duration) -> Result<(), RedisError> {
        self.move_turn(HOLD, provider, wait).await.map(drop)
    }

    async fn move_turn(&self, script: &str, provider: &str, by: Duration) -> Result<Duration, RedisError> {
        let wait: u64 = Script::new(script)
            .key(self.key(&format!("turn:{provider}")))
            .arg(u64::try_from(by.as_millis()).unwrap_or(u64::MAX))
            .invoke_async(&mut self.connection())
            .await?;
        Ok(Duration::from_millis(wait))
    }
}
