//! Who asks, and whether they may.
//!
//! Keys come from configuration (`API_KEYS`) or from the table of issued keys, which is read again every few seconds, so
//! that a revoked key stops within them and a request costs no statement. Keys are compared by their SHA-256, each with
//! each, in a time that says nothing of where they differ. An operation says by an argument what it takes to call it
//! (`Viewer`, `Operator`, `Admin`); poem-openapi's own security schemes were rejected, for what they refuse is no
//! problem+json and, where there are two of them, the second's refusal hides the first's.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use poem::http::{HeaderMap, header};
use poem::web::Data;
use poem::{FromRequest, Request, RequestBody};
use poem_openapi::registry::{MetaSecurityScheme, Registry};
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use subtle::ConstantTimeEq;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::problem::{Problem, ProblemCode};
use crate::clock::SharedClock;
use crate::config::AccessConfig;
use crate::db::DbError;
use crate::db::access::api_keys;
use crate::domain::access::{Principal, Role};
use crate::redis::Redis;
use crate::redis::tickets;

/// How long the list of issued keys is believed.
const BELIEVED: Duration = Duration::from_secs(3);

/// Who may ask.
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

/// The issued keys as they were last read, and which of them were used since.
#[derive(Default)]
struct Issued {
    read_at: Option<Instant>,
    keys: Arc<[Key]>,
    used: HashSet<Uuid>,
}

/// A ticket for a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    /// What opens it, once.
    pub ticket: String,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

impl Access {
    /// Lets in whoever `config` and the table of keys name.
    #[must_use]
    pub fn new(config: &AccessConfig, pool: PgPool, redis: Redis, clock: SharedClock) -> Self {
        let configured = config.keys.iter().map(|key| Key {
            id: None,
            digest: Sha256::digest(key.key.expose()).into(),
            principal: Principal { name: key.name.clone(), role: key.role },
        });
        let configured = configured.collect();
        Self { open: config.open, configured, issued: Mutex::default(), pool, redis, clock }
    }

    /// Whether anybody may do anything (`AUTH=off`).
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether there is any key that opens.
    ///
    /// # Errors
    /// [`DbError`] where the table of keys cannot be read.
    pub async fn has_keys(&self) -> Result<bool, DbError> {
        Ok(!self.configured.is_empty() || !self.issued_keys().await?.is_empty())
    }

    /// Who sent these headers.
    ///
    /// # Errors
    /// A [`Problem`]: 401 where there is no key or none that opens, 503 where the table of keys cannot be read.
    pub async fn authenticate(&self, headers: &HeaderMap) -> Result<Principal, Problem> {
        if self.open {
            return Ok(Principal { name: "anybody".to_owned(), role: Role::Admin });
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

    /// The issued keys: as they were read a moment ago, or read again. Whoever comes meanwhile waits for the same answer.
    async fn issued_keys(&self) -> Result<Arc<[Key]>, DbError> {
        let mut issued = self.issued.lock().await;
        if issued.read_at.is_none_or(|read_at| read_at.elapsed() > BELIEVED) {
            let keys = api_keys::list_active(&self.pool).await?;
            let keys = keys.into_iter().filter_map(|key| {
                let principal = Principal { name: key.name, role: key.role };
                Some(Key { id: Some(key.id), digest: key.key_hash.try_into().ok()?, principal })
            });
            *issued = Issued { read_at: Some(Instant::now()), keys: keys.collect(), used: HashSet::new() };
        }
        Ok(Arc::clone(&issued.keys))
    }

    /// Notes that a key was used, beside the request rather than in its way.
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

    /// A ticket for `principal`.
    ///
    /// # Errors
    /// A [`Problem`] where Redis is away.
    pub async fn issue_ticket(&self, principal: &Principal) -> Result<Ticket, Problem> {
        let expires_at = self.clock.now() + tickets::LIFETIME;
        Ok(Ticket { ticket: self.redis.issue_ticket(principal).await?, expires_at })
    }

    /// Whose ticket this is; it opens nothing from now on.
    ///
    /// # Errors
    /// A [`Problem`]: 401 where it was used, has run out, or never was one; 503 where Redis is away.
    pub async fn redeem_ticket(&self, ticket: &str) -> Result<Principal, Problem> {
        let refused = || Problem::new(ProblemCode::Unauthenticated, "this ticket was used or has expired");
        self.redis.redeem_ticket(ticket).await?.ok_or_else(refused)
    }
}

fn find<'keys>(keys: &'keys [Key], digest: &[u8; 32]) -> Option<&'keys Key> {
    // Every key is compared to its end, found or not.
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

/// Whoever asks may at least read.
#[derive(Debug, Clone)]
pub(in crate::web) struct Viewer(pub(in crate::web) Principal);

/// Whoever asks may at least start, retry and resolve.
#[derive(Debug, Clone)]
pub(in crate::web) struct Operator(pub(in crate::web) Principal);

/// Whoever asks may do everything.
#[derive(Debug, Clone)]
pub(in crate::web) struct Admin(pub(in crate::web) Principal);

/// Makes a newtype of [`Principal`] an argument that only this role or a higher one can give.
macro_rules! requires {
    ($type:ident, $role:expr, $name:literal) => {
        impl<'a> ApiExtractor<'a> for $type {
            const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

            type ParamType = ();
            type ParamRawType = ();

            fn register(registry: &mut Registry) {
                register_schemes(registry);
            }

            fn security_schemes() -> Vec<&'static str> {
                // The role after the name of the scheme is written as a role by `openapi::postprocess`.
                vec![concat!("bearer ", $name), concat!("api_key ", $name)]
            }

            async fn from_request(
                request: &'a Request,
                body: &mut RequestBody,
                _options: ExtractParamOptions<()>,
            ) -> poem::Result<Self> {
                Ok(Self(authorize(request, body, $role).await?))
            }
        }
    };
}

requires!(Viewer, Role::Viewer, "viewer");
requires!(Operator, Role::Operator, "operator");
requires!(Admin, Role::Admin, "admin");

async fn authorize(request: &Request, body: &mut RequestBody, least: Role) -> poem::Result<Principal> {
    let Data(access) = <Data<&Arc<Access>> as FromRequest>::from_request(request, body).await?;
    let principal = access.authenticate(request.headers()).await?;
    if principal.role < least {
        let detail =
            format!("this operation needs the role {}, and the key has {}", least.as_str(), principal.role.as_str());
        return Err(Problem::new(ProblemCode::Forbidden, detail).into());
    }
    Ok(principal)
}

fn register_schemes(registry: &mut Registry) {
    const BEARER: MetaSecurityScheme = MetaSecurityScheme {
        ty: "http",
        description: Some("`Authorization: Bearer <key>`"),
        name: None,
        key_in: None,
        scheme: Some("bearer"),
        bearer_format: None,
        flows: None,
        openid_connect_url: None,
    };
    const API_KEY: MetaSecurityScheme = MetaSecurityScheme {
        ty: "apiKey",
        description: Some("`X-API-Key: <key>`"),
        name: Some("X-API-Key"),
        key_in: Some("header"),
        scheme: None,
        ..BEARER
    };
    registry.create_security_scheme("bearer", BEARER);
    registry.create_security_scheme("api_key", API_KEY);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_in_either_header() {
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
    fn the_key_of_the_digest_is_found() {
        let key = |text: &str, name: &str| Key {
            id: None,
            digest: Sha256::digest(text).into(),
            principal: Principal { name: name.to_owned(), role: Role::Viewer },
        };
        let keys = [key("first", "a"), key("second", "b")];
        let found = |text: &str| find(&keys, &Sha256::digest(text).into()).map(|key| key.principal.name.as_str());
        assert_eq!((found("first"), found("second"), found("third")), (Some("a"), Some("b"), None));
    }
}
