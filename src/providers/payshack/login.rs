//! Logs in to PayShack: rarely, one process at a time, and not again right after a refusal.
//!
//! A session is loaded from the shared store, or created by the process that has the login lock while the others wait. A
//! login whose credentials are refused blocks logins with them in all processes for a while ([`RefusedLogin`]); other failures
//! (the network, a 500) do not. A request that needs a login during that pause waits for its end: the job's timeout bounds
//! it. If the holder of the lock dies, the others wait for one lease.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Url;
use serde::Deserialize;
use serde_json::json;
use tokio::time::{sleep, timeout};
use tracing::info;

use super::session::{RefusedLogin, Session, SharedSession};
use super::wire::read_data;
use crate::clock::SharedClock;
use crate::domain::secret::Secret;
use crate::providers::endpoint::Endpoint;
use crate::providers::error::ProviderError;
use crate::providers::field::{Field, Object};
use crate::providers::http::{HttpClient, Rejection};
use crate::providers::redaction::Redactor;
use crate::providers::upstream::Upstream;

/// The lease of the login lock. A holder that dies delays the others by this long.
const LEASE: Duration = Duration::from_secs(30);
/// Including retries; well within the lease, so that two logins never run at the same time.
const LOGIN_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a process checks whether another one has finished its login.
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How often a process that waits for the end of a pause checks whether there is a session.
const PAUSE_POLL_INTERVAL: Duration = Duration::from_millis(500);
/// The lifetime of a token without `exp`.
const DEFAULT_LIFETIME: TimeDelta = TimeDelta::minutes(30);
/// A longer `exp` uses other units, or is wrong.
const MAX_LIFETIME: TimeDelta = TimeDelta::days(1);
/// How long before its end a session is renewed; for a short session, the last quarter.
const RENEW_BEFORE_END: TimeDelta = TimeDelta::minutes(1);

pub(super) struct Login {
    pub(super) url: Url,
    pub(super) email: String,
    pub(super) password: Secret,
    pub(super) pause_after_refusal: Duration,
    pub(super) shared: Arc<dyn SharedSession>,
    pub(super) clock: SharedClock,
}

/// A session, and whether it was just created: if a new session is rejected, another login would not help.
pub(super) struct CurrentSession {
    pub(super) session: Session,
    pub(super) fresh: bool,
}

impl Login {
    /// Returns a valid session, and logs in if necessary.
    pub(super) async fn session(&self, http: &HttpClient) -> Result<CurrentSession, ProviderError> {
        if let Some(session) = self.usable().await? {
            return Ok(CurrentSession { session, fresh: false });
        }
        self.wait_for_end_of_pause().await?;
        let late = || ProviderError::SessionUnavailable {
            provider: Upstream::Payshack,
            message: "another process has been logging in for too long".to_owned(),
        };
        timeout(3 * LEASE, self.obtain(http)).await.unwrap_or_else(|_| Err(late()))
    }

    /// Returns another session than the rejected one.
    pub(super) async fn replace(&self, rejected: &Session, http: &HttpClient) -> Result<CurrentSession, ProviderError> {
        self.shared.forget(&rejected.token).await?;
        self.session(http).await
    }

    /// Waits as long as no login is allowed, unless another process has a session before.
    async fn wait_for_end_of_pause(&self) -> Result<(), ProviderError> {
        let Some(RefusedLogin { until, .. }) = self.refusal().await? else { return Ok(()) };
        info!(%until, "waiting for the end of the pause after a refused login");
        while let Ok(left) = (until - self.clock.now()).to_std()
            && !left.is_zero()
            && self.usable().await?.is_none()
        {
            sleep(left.min(PAUSE_POLL_INTERVAL)).await;
        }
        Ok(())
    }

    /// A session that was created after the request: there was none before.
    async fn obtain(&self, http: &HttpClient) -> Result<CurrentSession, ProviderError> {
        loop {
            if let Some(session) = self.usable().await? {
                return Ok(CurrentSession { session, fresh: true });
            }
            self.check_refusal().await?;
            let Some(permit) = self.shared.try_lock_login(LEASE).await? else {
                sleep(POLL_INTERVAL).await;
                continue;
            };
            let outcome = self.log_in_locked(http).await;
            // If a refusal could not be stored, the lock is kept until its lease ends, in place of the pause.
            if !matches!(outcome, Err(ProviderError::SessionUnavailable { .. })) {
                self.shared.unlock_login(permit).await?;
            }
            return outcome.map(|session| CurrentSession { session, fresh: true });
        }
    }

    /// Logs in, unless another process did (or was refused) just before the lock was acquired.
    async fn log_in_locked(&self, http: &HttpClient) -> Result<Session, ProviderError> {
        if let Some(session) = self.usable().await? {
            return Ok(session);
        }
        self.check_refusal().await?;
        let late = || ProviderError::Unreachable {
            provider: Upstream::Payshack,
            cause: format!("no login within {} s", LOGIN_TIMEOUT.as_secs()),
        };
        match timeout(LOGIN_TIMEOUT, self.request_session(http)).await.unwrap_or_else(|_| Err(late())) {
            Ok(session) => {
                self.shared.store(&session).await?;
                info!(expires_at = %session.expires_at, "logged in to payshack");
                Ok(session)
            }
            Err(error) => match refusal(&error) {
                Some(message) => Err(self.store_refusal(message).await?),
                None => Err(error),
            },
        }
    }

    async fn usable(&self) -> Result<Option<Session>, ProviderError> {
        let session = self.shared.load().await?;
        Ok(session.filter(|session| self.clock.now() < session.renew_at))
    }

    /// The last refusal, until its pause ends.
    async fn refusal(&self) -> Result<Option<RefusedLogin>, ProviderError> {
        let refused = self.shared.refused_login().await?;
        Ok(refused.filter(|refused| self.clock.now() < refused.until))
    }

    async fn check_refusal(&self) -> Result<(), ProviderError> {
        match self.refusal().await? {
            Some(RefusedLogin { until, message }) => Err(ProviderError::Unauthenticated {
                provider: Upstream::Payshack,
                message: format!(
                    "{message}; no login before {}, so that the account is not locked",
                    until.to_rfc3339()
                ),
            }),
            None => Ok(()),
        }
    }

    async fn store_refusal(&self, message: String) -> Result<ProviderError, ProviderError> {
        let until = self.clock.now() + self.pause_after_refusal;
        let refused = RefusedLogin { until, message };
        self.shared.store_refused_login(&refused).await?;
        Ok(ProviderError::Unauthenticated { provider: Upstream::Payshack, message: refused.message })
    }

    async fn request_session(&self, http: &HttpClient) -> Result<Session, ProviderError> {
        let body = json!({ "email": self.email, "password": self.password.expose() }).to_string();
        let request = |client: &reqwest::Client| {
            client.post(self.url.clone()).header("content-type", "application/json").body(body.clone())
        };
        let redactor = Redactor::new(&[&self.password]);
        http.fetch(Endpoint::Login, &redactor, request, |response| parse_login(response, self.clock.now())).await
    }
}

/// The message if the provider rejected the login itself. A rate limit or an outage is not a refusal.
fn refusal(error: &ProviderError) -> Option<String> {
    match error {
        ProviderError::Unauthenticated { message, .. } => Some(message.clone()),
        ProviderError::Refused { status: status @ (200 | 400 | 422 | 423), message, .. } => {
            Some(format!("HTTP {status}: {message}"))
        }
        _ => None,
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
struct LoginJson<'a> {
    client_id: Field<'a>,
    token: Field<'a>,
}

fn parse_login(response: &str, now: DateTime<Utc>) -> Result<Session, Rejection> {
    let data = read_data(response)?;
    let Object(login): Object<LoginJson<'_>> =
        serde_json::from_str(data).map_err(|error| Rejection::Unreadable(error.to_string()))?;
    let (Some(token), Some(client_id)) = (login.token.uncut_text(), login.client_id.text("clientId")) else {
        return Err(Rejection::Unreadable("the login response has no token or no clientId".to_owned()));
    };
    let lifetime = lifetime(&token, now);
    let renew_before_end = RENEW_BEFORE_END.min(lifetime / 4);
    Ok(Session {
        token: Secret::new(token),
        client_id,
        created_at: now,
        renew_at: now + lifetime - renew_before_end,
        expires_at: now + lifetime,
    })
}

/// The lifetime by the token's `exp`. A value in the past or far in the future is ignored: clocks differ, and a rejected
/// session is replaced anyway.
fn lifetime(token: &str, now: DateTime<Utc>) -> TimeDelta {
    expiry(token)
        .map(|expiry| expiry - now)
        .filter(|lifetime| *lifetime > TimeDelta::zero() && *lifetime <= MAX_LIFETIME)
        .unwrap_or(DEFAULT_LIFETIME)
}

/// The `exp` of a JWT, whose second part is JSON in URL-safe base64, usually without padding.
fn expiry(token: &str) -> Option<DateTime<Utc>> {
    #[derive(Default, Deserialize)]
    #[serde(default, bound(deserialize = "'de: 'a"))]
    struct Claims<'a> {
        exp: Field<'a>,
    }
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let payload = GeneralPurpose::new(&URL_SAFE, config).decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims<'_> = serde_json::from_slice(&payload).ok()?;
    DateTime::from_timestamp(i64::try_from(claims.exp.count()?).ok()?, 0)
}

#[cfg(test)]
mod tests;
