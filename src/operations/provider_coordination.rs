//! What all processes share about a provider: its rate limit and its session. Implements the traits of `providers` with
//! Redis.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};
use uuid::Uuid;

use crate::clock::SharedClock;
use crate::domain::secret::Secret;
use crate::providers::payshack::{LoginPermit, RefusedLogin, Session, SessionStoreError, SharedSession};
use crate::providers::{RateLimit, Unlimited, Upstream};
use crate::redis::{Redis, RedisError};

const SESSION: &str = "payshack:session";
const LOGIN: &str = "payshack:login";
const REFUSED: &str = "payshack:refused-login";

/// The rate limit of `provider`, shared by all processes: one request per `interval`, or unlimited if that is zero.
#[must_use]
pub fn share_rate_limit(redis: &Redis, provider: Upstream, interval: Duration) -> Arc<dyn RateLimit> {
    if interval.is_zero() {
        return Arc::new(Unlimited);
    }
    Arc::new(RedisRateLimit { redis: redis.clone(), provider, interval, next_local_slot: Mutex::new(Instant::now()) })
}

struct RedisRateLimit {
    redis: Redis,
    provider: Upstream,
    interval: Duration,
    /// The next slot of this process alone, for as long as Redis is unavailable.
    next_local_slot: Mutex<Instant>,
}

#[async_trait]
impl RateLimit for RedisRateLimit {
    async fn acquire(&self) {
        match self.redis.reserve_slot(self.provider.as_str(), self.interval).await {
            Ok(wait) => sleep(wait).await,
            Err(error) => {
                tracing::warn!(%error, provider = %self.provider, "the rate limit is not shared while Redis is unavailable");
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
        if let Err(error) = self.redis.pause_slots(self.provider.as_str(), wait).await {
            tracing::warn!(%error, provider = %self.provider, "the pause is not shared while Redis is unavailable");
            let mut next = self.next_local_slot.lock().await;
            *next = (*next).max(Instant::now() + wait);
        }
    }
}

/// PayShack's session, shared by all processes.
#[must_use]
pub fn share_session(redis: &Redis, clock: SharedClock) -> Arc<dyn SharedSession> {
    Arc::new(RedisSession { redis: redis.clone(), clock })
}

struct RedisSession {
    redis: Redis,
    clock: SharedClock,
}

impl RedisSession {
    async fn get<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SessionStoreError> {
        let text = self.redis.get(name).await.map_err(|error| unavailable(&error))?;
        // A value that cannot be parsed was written by another release: treated as absent.
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    async fn set<T: serde::Serialize>(
        &self,
        name: &str,
        value: &T,
        expires_at: chrono::DateTime<chrono::Utc>,
    ) -> Result<(), SessionStoreError> {
        let text = serde_json::to_string(value).map_err(|error| SessionStoreError(error.to_string()))?;
        let ttl = (expires_at - self.clock.now()).to_std().unwrap_or(Duration::ZERO);
        self.redis.set(name, &text, ttl).await.map_err(|error| unavailable(&error))
    }
}

fn unavailable(error: &RedisError) -> SessionStoreError {
    SessionStoreError(error.to_string())
}

#[async_trait]
impl SharedSession for RedisSession {
    async fn load(&self) -> Result<Option<Session>, SessionStoreError> {
        self.get(SESSION).await
    }

    async fn store(&self, session: &Session) -> Result<(), SessionStoreError> {
        self.set(SESSION, session, session.expires_at).await
    }

    async fn forget(&self, token: &Secret) -> Result<(), SessionStoreError> {
        let Some(text) = self.redis.get(SESSION).await.map_err(|error| unavailable(&error))? else { return Ok(()) };
        match serde_json::from_str::<Session>(&text) {
            Ok(session) if session.token != *token => Ok(()),
            _ => self.redis.delete_if(SESSION, &text).await.map_err(|error| unavailable(&error)),
        }
    }

    async fn try_lock_login(&self, lease: Duration) -> Result<Option<LoginPermit>, SessionStoreError> {
        let mark = Uuid::new_v4().to_string();
        let locked = self.redis.set_if_absent(LOGIN, &mark, lease).await.map_err(|error| unavailable(&error))?;
        Ok(locked.then(|| LoginPermit::new(mark)))
    }

    async fn unlock_login(&self, permit: LoginPermit) -> Result<(), SessionStoreError> {
        self.redis.delete_if(LOGIN, permit.mark()).await.map_err(|error| unavailable(&error))
    }

    async fn refused_login(&self) -> Result<Option<RefusedLogin>, SessionStoreError> {
        self.get(REFUSED).await
    }

    async fn store_refused_login(&self, refused: &RefusedLogin) -> Result<(), SessionStoreError> {
        self.set(REFUSED, refused, refused.until).await
    }
}
