//! Tickets: they let a browser open a WebSocket, where it cannot send a header. One use, a minute.
//!
//! Only a digest of the ticket is kept, so that whoever reads Redis cannot use what is found there.

use std::time::Duration;

use redis::AsyncCommands;
use sha2::{Digest, Sha256};

use super::{Redis, RedisError};
use crate::domain::access::Principal;

/// How long a ticket can be used.
pub const LIFETIME: Duration = Duration::from_mins(1);

impl Redis {
    /// Makes a ticket for `principal`.
    ///
    /// # Errors
    /// [`RedisError`] where Redis does not take it.
    pub async fn issue_ticket(&self, principal: &Principal) -> Result<String, RedisError> {
        let ticket = hex::encode(rand::random::<[u8; 32]>());
        let holder = serde_json::to_string(principal)?;
        let () = self.connection().set_ex(self.ticket_key(&ticket), holder, LIFETIME.as_secs()).await?;
        Ok(ticket)
    }

    /// Takes a ticket back, and says whose it was; none where it was used, has run out, or never was one.
    ///
    /// # Errors
    /// [`RedisError`] where Redis does not answer.
    pub async fn redeem_ticket(&self, ticket: &str) -> Result<Option<Principal>, RedisError> {
        let holder: Option<String> = self.connection().get_del(self.ticket_key(ticket)).await?;
        Ok(holder.map(|holder| serde_json::from_str(&holder)).transpose()?)
    }

    fn ticket_key(&self, ticket: &str) -> String {
        self.key(&format!("ticket:{}", hex::encode(Sha256::digest(ticket))))
    }
}
