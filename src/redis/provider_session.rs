//! Small texts that processes share for a while: a provider's session, the right to log in, the memory of a refusal.
//!
//! Redis need not know what they mean; who may read what is the business of the room that shares it.

use std::time::Duration;

use redis::{ExistenceCheck, Script, SetExpiry, SetOptions};

use super::{Redis, RedisError};

/// Drops a text, but only this one: somebody else may have put another in its place.
const DROP: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0";

impl Redis {
    /// The text kept as `name`, if there is one.
    ///
    /// # Errors
    /// [`RedisError::Redis`] where Redis does not answer.
    pub async fn get(&self, name: &str) -> Result<Option<String>, RedisError> {
        Ok(redis::cmd("GET").arg(self.key(name)).query_async(&mut self.connection()).await?)
    }

    /// Keeps `text` as `name`, in place of any other, for as long as `life`.
    ///
    /// # Errors
    /// [`RedisError::Redis`] where Redis does not answer.
    pub async fn set(&self, name: &str, text: &str, life: Duration) -> Result<(), RedisError> {
        let options = SetOptions::default().with_expiration(expiry(life));
        redis::cmd("SET").arg(self.key(name)).arg(text).arg(options).exec_async(&mut self.connection()).await?;
        Ok(())
    }

    /// Keeps `text` as `name` for as long as `life`, unless there is one already; says whether it did.
    ///
    /// # Errors
    /// [`RedisError::Redis`] where Redis does not answer.
    pub async fn keep_text_if_absent(&self, name: &str, text: &str, life: Duration) -> Result<bool, RedisError> {
        let options = SetOptions::default().with_expiration(expiry(life)).conditional_set(ExistenceCheck::NX);
        let kept: Option<String> =
            redis::cmd("SET").arg(self.key(name)).arg(text).arg(options).query_async(&mut self.connection()).await?;
        Ok(kept.is_some())
    }

    /// Drops what is kept as `name`, if it is still `text`.
    ///
    /// # Errors
    /// [`RedisError::Redis`] where Redis does not answer.
    pub async fn delete_if(&self, name: &str, text: &str) -> Result<(), RedisError> {
        let _dropped: u32 =
            Script::new(DROP).key(self.key(name)).arg(text).invoke_async(&mut self.connection()).await?;
        Ok(())
    }
}

fn expiry(life: Duration) -> SetExpiry {
    SetExpiry::PX(u64::try_from(life.as_millis()).unwrap_or(u64::MAX).max(1))
}
