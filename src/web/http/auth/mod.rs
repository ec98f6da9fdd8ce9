//! Authentication by API key or ticket, and authorization by role and scope.
//!
//! [`credentials`] finds what a request presents, [`key_list`] has the keys that are accepted, and [`Access`] decides whom a
//! credential identifies. What a caller may do is in the access [`policy`], which [`authorization`] enforces. The security
//! schemes of poem-openapi were rejected: their refusals are not problem+json, and with two schemes the second's refusal hides
//! the first's.

pub(in crate::web) mod audit;
pub(in crate::web) mod authorization;
mod credentials;
mod key_list;
pub(in crate::web) mod policy;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;

pub(in crate::web) use authorization::Caller;

use self::credentials::Credential;
use self::key_list::{IssuedKeys, Key, KeysUnavailable};
use super::fails::Failure;
use super::problem::{Problem, ProblemCode};
use crate::clock::SharedClock;
use crate::config::AccessConfig;
use crate::db::DbError;
use crate::db::access::api_keys;
use crate::domain::access::Principal;
use crate::redis::Redis;
use crate::redis::tickets;

/// How often the use of a key is recorded at most.
const RECORD_USE_EVERY: Duration = Duration::from_mins(1);

pub struct Access {
    configured: Vec<Key>,
    /// `None` with `AUTH=off`: everyone has full access.
    issued: Option<IssuedKeys>,
    /// When the use of a key was last recorded.
    used: Mutex<HashMap<Uuid, Instant>>,
    pool: PgPool,
    redis: Redis,
    clock: SharedClock,
}

/// A ticket for a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub ticket: String,
    pub expires_at: DateTime<Utc>,
}

/// Why a key no longer gives the access that it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::web) enum KeyEnd {
    #[error("key revoked")]
    Revoked,
    /// Its role or its scope.
    #[error("key changed: connect again")]
    Changed,
}

impl Access {
    /// Accepts the keys of `config` and of the table, which it reads once before it returns.
    pub async fn start(config: &AccessConfig, pool: PgPool, redis: Redis, clock: SharedClock) -> Result<Self, DbError> {
        let issued = if config.open { None } else { Some(IssuedKeys::start(pool.clone()).await?) };
        let configured = config.keys.iter().map(Key::configured).collect();
        Ok(Self { configured, issued, used: Mutex::default(), pool, redis, clock })
    }

    /// Everyone has full access (`AUTH=off`).
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.issued.is_none()
    }

    /// Whether there is any key.
    pub(in crate::web) async fn has_keys(&self) -> bool {
        let Some(issued) = &self.issued else { return false };
        !self.configured.is_empty() || issued.current().await.is_ok_and(|list| !list.keys.is_empty())
    }

    /// The principal of a credential; 401 without a valid one, 503 if the table of keys cannot be read.
    async fn authenticate(&self, credential: Option<Credential<'_>>) -> Result<Principal, Problem> {
        let Some(issued) = &self.issued else { return Ok(Principal::anyone()) };
        match credential {
            Some(Credential::Key(key)) => self.find_key(issued, key).await,
            Some(Credential::Ticket(ticket)) => self.redeem_ticket(issued, &ticket).await,
            None => {
                let detail = "send a key: Authorization: Bearer <key>, or X-API-Key: <key>";
                Err(Problem::new(ProblemCode::Unauthenticated, detail))
            }
        }
    }

    async fn find_key(&self, issued: &IssuedKeys, key: &str) -> Result<Principal, Problem> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        if let Some(key) = key_list::find(&self.configured, &digest) {
            return Ok(key.principal.clone());
        }
        let list = issued.current().await?;
        let key = key_list::find(&list.keys, &digest);
        let key = key.ok_or_else(|| Problem::new(ProblemCode::Unauthenticated, "this key is unknown or revoked"))?;
        self.note_use(key);
        Ok(key.principal.clone())
    }

    /// Records the use of a key in the background, without delaying the request.
    fn note_use(&self, key: &Key) {
        let Some(id) = key.id else { return };
        {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            if used.get(&id).is_some_and(|at| at.elapsed() < RECORD_USE_EVERY) {
                return;
            }
            used.insert(id, Instant::now());
        }
        let (pool, now) = (self.pool.clone(), self.clock.now());
        tokio::spawn(async move {
            if let Err(error) = api_keys::record_use(&pool, id, now).await {
                tracing::warn!(%error, "failed to record the use of a key");
            }
        });
    }

    pub async fn issue_ticket(&self, principal: &Principal) -> Result<Ticket, Problem> {
        let expires_at = self.clock.now() + tickets::LIFETIME;
        Ok(Ticket { ticket: self.redis.issue_ticket(principal).await?, expires_at })
    }

    /// Invalidates a ticket and returns its holder; 401 if it is unknown, used or expired, or if its key is no longer valid; 503
    /// if Redis is unavailable.
    async fn redeem_ticket(&self, issued: &IssuedKeys, ticket: &str) -> Result<Principal, Problem> {
        let refused = |detail: String| Problem::new(ProblemCode::Unauthenticated, detail);
        let holder = self.redis.redeem_ticket(ticket).await?;
        let holder = holder.ok_or_else(|| refused("this ticket was used or has expired".to_owned()))?;
        let list = issued.current().await?;
        match end_of(&self.configured, &list.keys, &holder) {
            None => Ok(holder),
            Some(end) => Err(refused(format!("this ticket is no longer valid: {end}"))),
        }
    }

    /// Completes when the key of `principal` no longer gives the access that `principal` has: within 3 s of the change, or as soon
    /// as the table can be read again. Whatever is sent to a caller for longer than that stops then.
    #[expect(dead_code, reason = "sockets, streams and sessions use it")]
    pub(in crate::web) fn watch(&self, principal: &Principal) -> impl Future<Output = KeyEnd> + Send + use<> {
        let configured = self.configured.iter().any(|key| key.principal == *principal);
        let (issued, principal) = (self.issued.clone().filter(|_| !configured), principal.clone());
        async move {
            match issued {
                None => std::future::pending().await,
                Some(issued) => issued.until(|list| end_of(&[], &list.keys, &principal)).await,
            }
        }
    }
}

/// `None` if one of the keys still gives the access that `principal` has.
fn end_of(configured: &[Key], issued: &[Key], principal: &Principal) -> Option<KeyEnd> {
    let key = configured.iter().chain(issued).find(|key| key.principal.key_id == principal.key_id);
    let Some(key) = key else { return Some(KeyEnd::Revoked) };
    let same = key.principal.role == principal.role && key.principal.scope == principal.scope;
    (!same).then_some(KeyEnd::Changed)
}

impl Failure for KeysUnavailable {
    const CODES: &'static [ProblemCode] = &[];

    fn into_problem(self) -> Problem {
        Problem::unavailable("the API keys cannot be read, so that no key can be checked: try again", self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::access::{KeyId, ProjectScope, Role};

    #[test]
    fn access_ends_with_its_key_and_with_its_role() {
        let principal = |id, role| Principal { key_id: KeyId(Uuid::from_u128(id)), role, ..Principal::anyone() };
        let keys = [Key::for_test("first", principal(1, Role::Viewer))];
        let limited = Principal { scope: ProjectScope::new(Some(vec!["a".to_owned()])), ..principal(1, Role::Viewer) };
        for (principal, end) in [
            (principal(1, Role::Viewer), None),
            (principal(1, Role::Admin), Some(KeyEnd::Changed)),
            (limited, Some(KeyEnd::Changed)),
            (principal(2, Role::Viewer), Some(KeyEnd::Revoked)),
        ] {
            assert_eq!((end_of(&keys, &[], &principal), end_of(&[], &keys, &principal)), (end, end), "{principal:?}");
        }
    }
}
