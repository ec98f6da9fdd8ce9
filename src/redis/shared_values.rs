//! Values with an expiry that processes share: a provider's session, the login lock, the last refused login.
//!
//! What the values mean is known to `operations/provider_coordination` alone.

use std::time::Duration;

use redis::{ExistenceCheck, Script, SetExpiry, SetOptions};

use super::{Redis, RedisError};

/// Deletes a value only if it is still the expected one: another process may have replaced it.
const DELETE_IF: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

impl Redis {
    pub async fn get(&self, name: &str) -> Result<Option<String>, RedisError> {
        Ok(redis::cmd("GET").arg(self.key(name)).query_async(&mut self.connection()).await?)
    }

    pub async fn set(&self, name: &str, value: &str, expires_in: Duration) -> Result<(), RedisError> {
        let options = SetOptions::default().with_expiration(expiry(expires_in));
        redis::cmd("SET").arg(self.key(name)).arg(value).arg(options).exec_async(&mut self.connection()).await?;
        Ok(())
    }

    /// Returns whether the value was set.
    pub async fn set_if_absent(&self, name: &str, value: &str, expires_in: Duration) -> Result<bool, RedisError> {
        let options = SetOptions::default().with_expiration(expiry(expires_in)).conditional_set(ExistenceCheck::NX);
        let stored: Option<String> =
            redis::cmd("SET").arg(self.key(name)).arg(value).arg(options).query_async(&mut self.connection()).await?;
        Ok(stored.is_some())
    }

    pub async fn delete_if(&self, name: &str, value: &str) -> Result<(), RedisError> {
        let _deleted: u32 =
            Script::new(DELETE_IF).key(self.key(name)).arg(value).invoke_async(&mut self.connection()).await?;
        Ok(())
    }
}

fn expiry(expires_in: Duration) -> SetExpiry {
    SetExpiry::PX(u64::try_from(expires_in.as_millis()).unwrap_or(u64::MAX).max(1))
}
