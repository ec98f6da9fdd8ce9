//! Authentication by API key or ticket, and authorization by role.
//!
//! Keys come from configuration (`API_KEYS`) or from the table of issued keys. The table is cached for a few seconds, so
//! that a request needs no statement and a revoked key stops working soon. Keys are compared by their SHA-256, in constant
//! time. What a caller may do is in the access [`policy`], which [`authorization`] enforces. The security schemes of poem-openapi
//! were rejected: their refusals are not problem+json, and with two schemes the second's refusal hides the first's.

pub(in crate::web) mod authorization;
pub(in crate::web) mod policy;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use poem::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use subtle::ConstantTimeEq;
use tokio::sync::Mutex;
use uuid::Uuid;

pub(in crate::web) use authorization::Caller;

use super::problem::{Problem, ProblemCode};
use crate::clock::SharedClock;
use crate::config::AccessConfig;
use crate::db::DbError;
use crate::db::access::api_keys;
use crate::domain::access::{KeyId, Principal, ProjectScope};
use crate::redis::Redis;
use crate::redis::tickets;

/// How long the list of issued keys is cached.
const BELIEVED: Duration = Duration::from_secs(3);

pub struct Access {
    open: bool,
    configured: Vec<Key>,
    issued: Mutex<Issued>,
    pool: PgPool,
    redis: Redis,
    clock: SharedClock,
}

struct Key {
    id: Option<Uuid>,
    digest: [u8; 32],
    principal: Principal,
}

/// The cached issued keys, and which of them were used since.
#[derive(Default)]
struct Issued {
    read_at: Option<Instant>,
    keys: Arc<[Key]>,
    used: HashSet<Uuid>,
}

/// A ticket for a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub ticket: String,
    pub expires_at: DateTime<Utc>,
}

impl Access {
    /// Accepts the keys of `config` and of the table.
    #[must_use]
    pub fn new(config: &AccessConfig, pool: PgPool, redis: Redis, clock: SharedClock) -> Self {
        let configured = config.keys.iter().map(|key| {
            let digest = Sha256::digest(key.key.expose()).into();
            let (key_id, name) = (KeyId::of_digest(&digest), key.name.clone());
            Key { id: None, digest, principal: Principal { key_id, name, role: key.role, scope: ProjectScope::All } }
        });
        let configured = configured.collect();
        Self { open: config.open, configured, issued: Mutex::default(), pool, redis, clock }
    }

    /// Everyone has full access (`AUTH=off`).
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether there is any active key.
    pub async fn has_keys(&self) -> Result<bool, DbError> {
        Ok(!self.configured.is_empty() || !self.issued_keys().await?.is_empty())
    }

    /// The principal of the key in these headers; 401 without a valid key, 503 if the table of keys cannot be read.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        if self.open {
            return Ok(Principal::anyone());
        }
        let Some(key) = presented_key(headers) else {
            let detail = "send a key: Authorization: Bearer <key>, or X-API-Key: <key>";
            return Err(Problem::new(ProblemCode::Unauthenticated, detail));
        };
        let digest: [u8; 32] = Sha256::digest(key).into();
        if let Some(key) = find(&self.configured, &digest) {
            return Ok(key.principal.clone());
        }
        let issued = self.issued_keys().await?;
        let key = find(&issued, &digest);
        let key = key.ok_or_else(|| Problem::new(ProblemCode::Unauthenticated, "this key is unknown or revoked"))?;
        self.note_use(key).await;
        Ok(key.principal.clone())
    }

    /// The issued keys, from the cache or the table. Concurrent requests share one read.
    async fn issued_keys(&self) -> Result<Arc<[Key]>, DbError> {
        let mut issued = self.issued.lock().await;
        if issued.read_at.is_none_or(|read_at| read_at.elapsed() > BELIEVED) {
            let keys = api_keys::list_active(&self.pool).await?;
            let keys = keys.into_iter().filter_map(|key| {
                let (key_id, scope) = (KeyId(key.id), ProjectScope::All);
                let principal = Principal { key_id, name: key.name, role: key.role, scope };
                Some(Key { id: Some(key.id), digest: key.key_hash.try_into().ok()?, principal })
            });
            *issued = Issued { read_at: Some(Instant::now()), keys: keys.collect(), used: HashSet::new() };
        }
        Ok(Arc::clone(&issued.keys))
    }

    /// Records the use of a key in the background, without delaying the request.
    async fn note_use(&self, key: &Key) {
        let Some(id) = key.id else { return };
        if self.issued.lock().await.used.insert(id) {
            let (pool, now) = (self.pool.clone(), self.clock.now());
            tokio::spawn(async move {
                if let Err(error) = api_keys::record_use(&pool, id, now).await {
                    tracing::warn!(%error, "failed to record the use of a key");
                }
            });
        }
    }

    pub async fn issue_ticket(&self, principal: &Principal) -> Result<Ticket, Problem> {
        let expires_at = self.clock.now() + tickets::LIFETIME;
        Ok(Ticket { ticket: self.redis.issue_ticket(principal).await?, expires_at })
    }

    /// Invalidates a ticket and returns its holder; 401 if it is unknown, used or expired, 503 if Redis is unavailable.
    pub async fn redeem_ticket(&self, ticket: &str) -> Result<Principal, Problem> {
        let refused = || Problem::new(ProblemCode::Unauthenticated, "this ticket was used or has expired");
        self.redis.redeem_ticket(ticket).await?.ok_or_else(refused)
    }
}

fn find<'keys>(keys: &'keys [Key], digest: &[u8; 32]) -> Option<&'keys Key> {
    // Every key is compared, so that the time does not depend on the result.
    keys.iter().filter(|key| bool::from(key.digest.ct_eq(digest))).fold(None, |found, key| found.or(Some(key)))
}

fn presented_key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, key) = value.trim().split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    let alone = || headers.get("x-api-key").and_then(|value| value.to_str().ok()).map(str::trim);
    bearer.or_else(alone).filter(|key| !key.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_accepted_in_either_header() {
        for (headers, expected) in [
            (&[][..], None),
            (&[("authorization", "Bearer abc")], Some("abc")),
            (&[("authorization", "bearer  abc ")], Some("abc")),
            (&[("x-api-key", "abc")], Some("abc")),
            (&[("authorization", "Basic dTpw"), ("x-api-key", "abc")], Some("abc")),
            (&[("authorization", "Bearer abc"), ("x-api-key", "def")], Some("abc")),
            (&[("authorization", "Bearer ")], None),
            (&[("x-api-key", " ")], None),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().expect("a header"));
            }
            assert_eq!(presented_key(&map), expected, "{headers:?}");
        }
    }

    #[test]
    fn key_is_found_by_its_digest() {
        let key = |text: &str, name: &str| Key {
            id: None,
            digest: Sha256::digest(text).into(),
            principal: Principal { name: name.to_owned(), ..Principal::anyone() },
        };
        let keys = [key("first", "a"), key("second", "b")];
        let found = |text: &str| find(&keys, &Sha256::digest(text).into()).map(|key| key.principal.name.as_str());
        assert_eq!((found("first"), found("second"), found("third")), (Some("a"), Some("b"), None));
    }
}
