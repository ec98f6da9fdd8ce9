//! What all processes share about a provider: its turns, and its session. Redis keeps it, the provider asks for it.

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

/// The rate_limit of `provider`, one request every `interval`, shared by all processes; none where the interval is zero.
#[must_use]
pub fn share_rate_limit(redis: &Redis, provider: Upstream, interval: Duration) -> Arc<dyn RateLimit> {
    if interval.is_zero() {
        return Arc::new(Unlimited);
    }
    Arc::new(SharedPace { redis: redis.clone(), provider, interval, next_alone: Mutex::new(Instant::now()) })
}

struct SharedPace {
    redis: Redis,
    provider: Upstream,
    interval: Duration,
    /// The next turn by this process's own count, for as long as Redis is away.
    next_alone: Mutex<Instant>,
}

#[async_trait]
impl RateLimit for SharedPace {
    async fn acquire(&self) {
        match self.redis.reserve_slot(self.provider.as_str(), self.interval).await {
            Ok(wait) => sleep(wait).await,
            Err(error) => {
                tracing::warn!(%error, provider = %self.provider, "the rate_limit is not shared while Redis is away");
                let turn = {
                    let mut next = self.next_alone.lock().await;
                    let turn = (*next).max(Instant::now());
                    *next = turn + self.interval;
                    turn
                };
                sleep_until(turn).await;
            }
        }
    }

    async fn pause_for(&self, wait: Duration) {
        if let Err(error) = self.redis.pause_slots(self.provider.as_str(), wait).await {
            tracing::warn!(%error, provider = %self.provider, "the pause is not shared while Redis is away");
            let mut next = self.next_alone.lock().await;
            *next = (*next).max(Instant::now() + wait);
        }
    }
}

/// The session of `PayShack`, shared by all processes.
#[must_use]
pub fn share_session(redis: &Redis, clock: SharedClock) -> Arc<dyn SharedSession> {
    Arc::new(RedisSession { redis: redis.clone(), clock })
}

struct RedisSession {
    redis: Redis,
    clock: SharedClock,
}

impl RedisSession {
    async fn find<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, SessionStoreError> {
        let text = self.redis.get(name).await.map_err(|error| away(&error))?;
        // What cannot be read was written by another release: as good as absent.
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    async fn keep<T: serde::Serialize>(
        &self,
        name: &str,
        value: &T,
        until: chrono::DateTime<chrono::Utc>,
    ) -> Result<(), SessionStoreError> {
        let text = serde_json::to_string(value).map_err(|error| SessionStoreError(error.to_string()))?;
        let life = (until - self.clock.now()).to_std().unwrap_or(Duration::ZERO);
        self.redis.set(name, &text, life).await.map_err(|error| away(&error))
    }
}

fn away(error: &RedisError) -> SessionStoreError {
    SessionStoreError(error.to_string())
}

#[async_trait]
impl SharedSession for RedisSession {
    async fn load(&self) -> Result<Option<Session>, SessionStoreError> {
        self.find(SESSION).await
    }

    async fn store(&self, session: &Session) -> Result<(), SessionStoreError> {
        self.keep(SESSION, session, session.expires_at).await
    }

    async fn forget(&self, token: &Secret) -> Result<(), SessionStoreError> {
        let Some(text) = self.redis.get(SESSION).await.map_err(|error| away(&error))? else { return Ok(()) };
        match serde_json::from_str::<Session>(&text) {
            Ok(session) if session.token != *token => Ok(()),
            _ => self.redis.delete_if(SESSION, &text).await.map_err(|error| away(&error)),
        }
    }

    async fn try_lock_login(&self, lease: Duration) -> Result<Option<LoginPermit>, SessionStoreError> {
        let mark = Uuid::new_v4().to_string();
        let ours = self.redis.set_if_absent(LOGIN, &mark, lease).await.map_err(|error| away(&error))?;
        Ok(ours.then(|| LoginPermit::new(mark)))
    }

    async fn unlock_login(&self, permit: LoginPermit) -> Result<(), SessionStoreError> {
        self.redis.delete_if(LOGIN, permit.mark()).await.map_err(|error| away(&error))
    }

    async fn refused_login(&self) -> Result<Option<RefusedLogin>, SessionStoreError> {
        self.find(REFUSED).await
    }

    async fn store_refused_login(&self, refused: &RefusedLogin) -> Result<(), SessionStoreError> {
        self.keep(REFUSED, refused, refused.until).await
    }
}
