//! Which installation uses a namespace.
//!
//! Two installations with one namespace would wake each other's workers, redeem each other's tickets and share their limits. So
//! the processes of an installation keep a claim of the namespace, which expires soon after the last of them has ended.

use redis::AsyncCommands;

use super::{Redis, RedisError};

/// Longer than several renewals.
const CLAIM_MILLIS: u64 = 60_000;

impl Redis {
    /// Claims the namespace for this installation, or renews its claim. Fails if another installation has claimed it, and if
    /// Redis does not respond or refuses writes.
    pub async fn claim_namespace(&self, installation: &str) -> Result<(), RedisError> {
        let key = self.key("installation");
        let claimed: Option<Vec<u8>> = match self.connection().get(&key).await {
            Err(error) if error.code() == Some("WRONGTYPE") => None,
            read => read?,
        };
        if claimed.is_some_and(|claimed| claimed != installation.as_bytes()) {
            return Err(RedisError::Shared { namespace: self.namespace().to_owned() });
        }
        Ok(self.connection().pset_ex(&key, installation, CLAIM_MILLIS).await?)
    }
}
