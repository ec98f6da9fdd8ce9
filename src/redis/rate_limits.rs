//! The request rates that all web processes share.
//!
//! One script, so that no other request comes between reading and writing. It uses the clock of Redis, so that the processes
//! agree, and its keys expire when the bucket is empty. A stored value is bounded before it is used.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;

use super::{Redis, RedisError};
use crate::domain::rate_limit::{Quota, Standing, WINDOW};

/// Arguments: the microseconds of one request, and those of a full bucket. Returns whether the request is allowed, and the time
/// until the bucket is empty.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        r"
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local interval, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local empty_at = tonumber(redis.call('GET', KEYS[1]) or now) or now
local backlog = math.min(math.max(empty_at - now, 0), window)
if backlog + interval > window then return {0, backlog} end
backlog = backlog + interval
redis.call('SET', KEYS[1], string.format('%.0f', now + backlog), 'PX', math.ceil(backlog / 1000))
return {1, backlog}",
    )
});

impl Redis {
    /// Adds a request to the shared bucket, if there is room for it.
    pub async fn take_request(&self, bucket: &str, quota: Quota) -> Result<Standing, RedisError> {
        let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let (allowed, backlog): (bool, u64) = TAKE
            .key(self.key(&format!("rate:{bucket}")))
            .arg(micros(quota.interval()))
            .arg(micros(WINDOW))
            .invoke_async(&mut self.connection())
            .await?;
        Ok(quota.standing(allowed, Duration::from_micros(backlog)))
    }
}
