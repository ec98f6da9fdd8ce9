//! What all processes share about a provider: its rate limit and its session. Implements the traits of `providers` with
//! PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::providers::logins::{self, RefusedLoginRow};
use crate::db::providers::{request_slots, sessions};
use crate::domain::secret::Secret;
use crate::providers::payshack::{LoginPermit, RefusedLogin, Session, SessionStoreError, SharedSession};
use crate::providers::{RateLimit, Unlimited, Upstream};

/// The rate limit of `provider`, shared by all processes: one request per `interval`, or unlimited if that is zero.
#[must_use]
pub fn share_rate_limit(pool: &PgPool, provider: Upstream, interval: Duration) -> Arc<dyn RateLimit> {
    if interval.is_zero() {
        return Arc::new(Unlimited);
    }
    Arc::new(SharedRateLimit { pool: pool.clone(), provider, interval, next_local_slot: Mutex::new(Instant::now()) })
}

struct SharedRateLimit {
    pool: PgPool,
    provider: Upstream,
    interval: Duration,
    /// The next slot of this process alone, for as long as PostgreSQL is unavailable.
    next_local_slot: Mutex<Instant>,
}

#[async_trait]
impl RateLimit for SharedRateLimit {
    async fn acquire(&self) {
        match request_slots::reserve(&self.pool, self.provider.as_str(), self.interval).await {
            Ok(wait) => sleep(wait).await,
            Err(error) => {
                tracing::warn!(%error, provider = %self.provider, "the rate limit is not shared for this request");
                let slot = {
                    let mut next = self.next_local_slot.lock().await;
                    let slot = (*next).max(Instant::now());
                    *next = slot + self.interval;
                    slot
                };
                sleep_until(slot).await;
            }
        }
    }

    async fn pause_for(&self, wait: Duration) {
        if let Err(error) = request_slots::pause(&self.pool, self.provider.as_str(), wait).await {
            tracing::warn!(%error, provider = %self.provider, "the pause is not shared");
            let mut next = self.next_local_slot.lock().await;
            *next = (*next).max(Instant::now() + wait);
        }
    }
}

/// PayShack's session for `account` (`PayshackSettings::account`), shared by all processes.
#[must_use]
pub fn share_session(pool: &PgPool, account: String) -> Arc<dyn SharedSession> {
    Arc::new(StoredSession { pool: pool.clone(), account })
}

struct StoredSession {
    pool: PgPool,
    account: String,
}

impl From<DbError> for SessionStoreError {
    fn from(error: DbError) -> Self {
        Self(error.to_string())
    }
}

#[async_trait]
impl SharedSession for StoredSession {
    async fn load(&self) -> Result<Option<Session>, SessionStoreError> {
        let session = sessions::find(&self.pool, &self.account).await?;
        // A session that cannot be deserialized was written by another release: treated as absent.
        Ok(session.and_then(|session| serde_json::from_value(session).ok()))
    }

    async fn store(&self, session: &Session) -> Result<(), SessionStoreError> {
        let value = serde_json::to_value(session).map_err(|error| SessionStoreError(error.to_string()))?;
        Ok(sessions::upsert(&self.pool, &self.account, &value, session.expires_at).await?)
    }

    async fn forget(&self, token: &Secret) -> Result<(), SessionStoreError> {
        Ok(sessions::delete(&self.pool, &self.account, token.expose()).await?)
    }

    async fn try_lock_login(&self, lease: Duration) -> Result<Option<LoginPermit>, SessionStoreError> {
        let mark = Uuid::new_v4().to_string();
        let locked = logins::try_lock(&self.pool, &self.account, &mark, lease).await?;
        Ok(locked.then(|| LoginPermit::new(mark)))
    }

    async fn unlock_login(&self, permit: LoginPermit) -> Result<(), SessionStoreError> {
        Ok(logins::unlock(&self.pool, &self.account, permit.mark()).await?)
    }

    async fn refused_login(&self) -> Result<Option<RefusedLogin>, SessionStoreError> {
        let refused = logins::find_refused(&self.pool, &self.account).await?;
        Ok(refused.map(|RefusedLoginRow { until, message }| RefusedLogin { until, message }))
    }

    async fn store_refused_login(&self, refused: &RefusedLogin) -> Result<(), SessionStoreError> {
        let RefusedLogin { until, message } = refused.clone();
        Ok(logins::upsert_refused(&self.pool, &self.account, &RefusedLoginRow { until, message }).await?)
    }
}
