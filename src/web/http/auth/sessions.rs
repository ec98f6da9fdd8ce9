//! Browser sessions: a cookie instead of a key, which scripts cannot read and which the server can end.
//!
//! PostgreSQL is the source of truth, so a session that is ended anywhere ends everywhere. What was read is used for 1.5 s
//! at most, so that a page with many requests causes few statements. Signed tokens without a table were rejected: they
//! cannot be ended.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};
use quick_cache::sync::Cache;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use subtle::ConstantTimeEq;
use tokio::time::sleep;

use crate::clock::SharedClock;
use crate::db::DbError;
use crate::db::access::sessions::{self, NewSession, OpenSession};
use crate::domain::access::{KeyId, Role};
use crate::domain::session::{SESSION_LIFETIME, SessionId};
use crate::operations::audit::{AuditContext, AuditRecord};

/// How long a session that was read is used.
const CACHED: Duration = Duration::from_millis(1_500);
/// How often a session is checked for those who are served for longer than a request.
const WATCH_EVERY: Duration = Duration::from_millis(500);
/// The number of cached sessions, ids that do not exist included.
const CACHED_SESSIONS: usize = 10_000;

pub(in crate::web) struct Sessions {
    pool: PgPool,
    clock: SharedClock,
    /// By the id and the interval in which the session was read: a new interval does not find the entries of the last one.
    /// Concurrent requests with one session share a statement.
    cache: Cache<(SessionId, u128), Option<Arc<OpenSession>>>,
    started: Instant,
}

/// The caller for whom a session is started.
#[derive(Debug, Clone)]
pub(in crate::web) struct SessionOwner {
    pub(in crate::web) key_id: KeyId,
    /// The identity provider at which a user signed in; `None` for the holder of a key.
    pub(in crate::web) issuer: Option<String>,
    pub(in crate::web) name: String,
    pub(in crate::web) role: Role,
}

/// A session that begins.
#[derive(Debug)]
pub(in crate::web) struct StartedSession {
    /// The value of the cookie.
    pub(in crate::web) token: String,
    pub(in crate::web) expires_at: DateTime<Utc>,
}

impl Sessions {
    pub(super) fn new(pool: PgPool, clock: SharedClock) -> Self {
        Self { pool, clock, cache: Cache::new(CACHED_SESSIONS), started: Instant::now() }
    }

    pub(in crate::web) async fn start(
        &self,
        owner: &SessionOwner,
        audit: &AuditContext,
    ) -> Result<StartedSession, DbError> {
        let token = hex::encode(rand::random::<[u8; 32]>());
        let token_hash: [u8; 32] = Sha256::digest(&token).into();
        // PostgreSQL stores microseconds.
        let created_at = self.clock.now().trunc_subsecs(6);
        let new = NewSession {
            id: SessionId::of_digest(&token_hash),
            token_hash: &token_hash,
            key_id: owner.key_id,
            issuer: owner.issuer.as_deref(),
            name: &owner.name,
            role: owner.role,
            created_at,
            expires_at: created_at + SESSION_LIFETIME,
        };
        let details = json!({"session_id": new.id, "issuer": new.issuer, "expires_at": new.expires_at});
        let mut transaction = self.pool.begin().await?;
        sessions::insert(&mut transaction, &new).await?;
        audit.append(&mut transaction, &AuditRecord::succeeded(details), created_at).await?;
        transaction.commit().await?;
        Ok(StartedSession { token, expires_at: new.expires_at })
    }

    /// The session of a cookie, unless it was ended or has expired.
    pub(super) async fn find(&self, token: &str) -> Result<Option<Arc<OpenSession>>, DbError> {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let session = self.find_by_id(SessionId::of_digest(&digest)).await?;
        Ok(session.filter(|session| session.token_hash.ct_eq(&digest).into()))
    }

    /// The session with this id, unless it was ended or has expired.
    pub(super) async fn find_by_id(&self, id: SessionId) -> Result<Option<Arc<OpenSession>>, DbError> {
        let read = async { Ok::<_, DbError>(sessions::find_open(&self.pool, id).await?.map(Arc::new)) };
        let session = self.cache.get_or_insert_async(&(id, self.interval()), read).await?;
        Ok(session.filter(|session| session.expires_at > self.clock.now()))
    }

    /// In this process it ends at once.
    pub(in crate::web) async fn end(&self, id: SessionId, audit: &AuditContext) -> Result<(), DbError> {
        let now = self.clock.now();
        let mut transaction = self.pool.begin().await?;
        if sessions::end(&mut transaction, id, now).await? {
            let record = AuditRecord::succeeded(json!({"session_id": id}));
            audit.append(&mut transaction, &record, now).await?;
        }
        transaction.commit().await?;
        self.cache.insert((id, self.interval()), None);
        Ok(())
    }

    /// Completes when the session has ended or expired: within 3 s, or as soon as the table can be read again.
    pub(super) async fn until_ended(&self, id: SessionId) {
        while !matches!(self.find_by_id(id).await, Ok(None)) {
            sleep(WATCH_EVERY).await;
        }
    }

    fn interval(&self) -> u128 {
        self.started.elapsed().as_millis() / CACHED.as_millis()
    }
}
