//! WebSocket tickets, for browsers, which cannot send a header with a WebSocket. Valid once, for a minute.
//!
//! Redis stores only a digest, so that reading Redis does not reveal a usable ticket.

use std::time::Duration;

use redis::AsyncCommands;
use sha2::{Digest, Sha256};

use super::{Redis, RedisError};
use crate::domain::access::Principal;

pub const LIFETIME: Duration = Duration::from_mins(1);

impl Redis {
    pub async fn issue_ticket(&self, principal: &Principal) -> Result<String, RedisError> {
        let ticket = hex::encode(rand::random::<[u8; 32]>());
        let holder = serde_json::to_string(principal)?;
        let () = self.connection().set_ex(self.ticket_key(&ticket), holder, LIFETIME.as_secs()).await?;
        Ok(ticket)
    }

    /// Invalidates a ticket and returns its holder; `None` if it is unknown, expired or already used.
    pub async fn redeem_ticket(&self, ticket: &str) -> Result<Option<Principal>, RedisError> {
        let holder: Option<String> = self.connection().get_del(self.ticket_key(ticket)).await?;
        Ok(holder.map(|holder| serde_json::from_str(&holder)).transpose()?)
    }

    fn ticket_key(&self, ticket: &str) -> String {
        self.key(&format!("ticket:{}", hex::encode(Sha256::digest(ticket))))
    }
}
