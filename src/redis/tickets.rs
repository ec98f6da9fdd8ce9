//! WebSocket tickets, for browsers, which cannot send a header with a WebSocket. Valid once, for a minute.
//!
//! Redis stores only a digest of a ticket, so that reading Redis does not reveal a usable one. What it stores about the holder is
//! signed with a key that is not in Redis, together with that digest and the end of the ticket, so that an attacker who can write
//! to Redis can neither make a ticket, nor change its holder, nor use one again later.

use std::time::Duration;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use redis::AsyncCommands;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Redis, RedisError};
use crate::domain::access::Principal;

pub const LIFETIME: Duration = Duration::from_mins(1);

/// Distinguishes these signatures from others with the same key.
const PURPOSE: &[u8] = b"WebSocket ticket";

/// Issues and redeems tickets.
pub struct Tickets {
    redis: Redis,
    key: Vec<u8>,
}

/// What is stored about a ticket.
#[derive(Serialize, Deserialize)]
struct Grant {
    expires_at: DateTime<Utc>,
    holder: Principal,
}

impl Tickets {
    /// `key` is the same in all processes and is not stored in Redis.
    #[must_use]
    pub fn new(redis: Redis, key: Vec<u8>) -> Self {
        Self { redis, key }
    }

    pub async fn issue(&self, holder: &Principal, expires_at: DateTime<Utc>) -> Result<String, RedisError> {
        let ticket = hex::encode(rand::random::<[u8; 32]>());
        let digest = Sha256::digest(&ticket);
        let grant = serde_json::to_string(&Grant { expires_at, holder: holder.clone() })?;
        let signature = hex::encode(self.mac(&digest, &grant).finalize().into_bytes());
        let stored = format!("{signature}{grant}");
        let () = self.redis.connection().set_ex(self.name(&digest), stored, LIFETIME.as_secs()).await?;
        Ok(ticket)
    }

    /// Invalidates a ticket and returns its holder; `None` if it is unknown, expired or already used, or was not stored by a
    /// process with this key.
    pub async fn redeem(&self, ticket: &str, now: DateTime<Utc>) -> Result<Option<Principal>, RedisError> {
        let digest = Sha256::digest(ticket);
        let stored: Option<Vec<u8>> = match self.redis.connection().get_del(self.name(&digest)).await {
            Err(error) if error.code() == Some("WRONGTYPE") => None,
            read => read?,
        };
        let grant = stored.and_then(|stored| self.verify(&digest, &stored));
        Ok(grant.filter(|grant| grant.expires_at > now).map(|grant| grant.holder))
    }

    fn verify(&self, digest: &[u8], stored: &[u8]) -> Option<Grant> {
        let (signature, grant) = std::str::from_utf8(stored).ok()?.split_at_checked(64)?;
        let signature = hex::decode(signature).ok()?;
        self.mac(digest, grant).verify_slice(&signature).ok()?;
        serde_json::from_str(grant).ok()
    }

    fn mac(&self, digest: &[u8], grant: &str) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.key);
        let Ok(mac) = mac else { unreachable!("HMAC accepts keys of any length") };
        mac.chain_update(PURPOSE).chain_update(digest).chain_update(grant)
    }

    fn name(&self, digest: &[u8]) -> String {
        self.redis.key(&format!("ticket:{}", hex::encode(digest)))
    }
}
