//! Logging in to `PayShack`: seldom, one at a time, and never again right after a refusal.
//!
//! A session is had from the keeper, or made by whoever gets the right to log in, while the others wait for it. A login
//! whose credentials are refused closes the door for everybody for a while ([`RefusedLogin`]); what fails otherwise
//! (the network, a 500) leaves it open. A holder of the right that dies delays the others by one lease.

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
use crate::providers::error::ProviderError;
use crate::providers::field::{Field, Object};
use crate::providers::http::{HttpClient, Rejection};
use crate::providers::redaction::Redactor;
use crate::providers::upstream::Upstream;

/// How long the right to log in is ours. A holder that dies, or is dropped, holds the others up for as long.
const LEASE: Duration = Duration::from_secs(30);
/// The longest that a login may take, its retries included: well within the lease, so that no two are ever made at once.
const LONGEST_LOGIN: Duration = Duration::from_secs(20);
/// How often one looks whether somebody else's login is done.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How long a token lives where it does not say.
const USUAL_LIFE: TimeDelta = TimeDelta::minutes(30);
/// A token that claims to live longer counts in other units, or is wrong.
const LONGEST_LIFE: TimeDelta = TimeDelta::days(1);
/// How long before its end a session is renewed; of a short one, the last quarter.
const RENEWED_BEFORE_END: TimeDelta = TimeDelta::minutes(1);

/// How one logs in.
pub(super) struct Login {
    pub(super) address: Url,
    pub(super) email: String,
    pub(super) password: Secret,
    /// How long nobody logs in after a refusal.
    pub(super) pause_after_refusal: Duration,
    pub(super) shared: Arc<dyn SharedSession>,
    pub(super) clock: SharedClock,
}

/// A session, and whether it was made just now: when a fresh one is refused, another login would mend nothing.
pub(super) struct Held {
    pub(super) session: Session,
    pub(super) fresh: bool,
}

impl Login {
    /// The session to ask with, made if need be.
    pub(super) async fn session(&self, http: &HttpClient) -> Result<Held, ProviderError> {
        let late = || ProviderError::SessionUnavailable {
            provider: Upstream::Payshack,
            message: "somebody else has been logging in for too long".to_owned(),
        };
        timeout(3 * LEASE, self.obtain(http)).await.unwrap_or_else(|_| Err(late()))
    }

    /// Another session than the one that was refused.
    pub(super) async fn instead_of(&self, refused: &Session, http: &HttpClient) -> Result<Held, ProviderError> {
        self.shared.forget(&refused.token).await?;
        self.session(http).await
    }

    async fn obtain(&self, http: &HttpClient) -> Result<Held, ProviderError> {
        let mut fresh = false;
        loop {
            if let Some(session) = self.usable().await? {
                return Ok(Held { session, fresh });
            }
            self.heed_refusal().await?;
            // Whatever is found from here on was made after we asked for it.
            fresh = true;
            let Some(permit) = self.shared.try_lock_login(LEASE).await? else {
                sleep(LOOK_AGAIN).await;
                continue;
            };
            let outcome = self.log_in_alone(http).await;
            // Where a refusal could not be told to the others, the right is kept to its end: it stands for the pause.
            if !matches!(outcome, Err(ProviderError::SessionUnavailable { .. })) {
                self.shared.unlock_login(permit).await?;
            }
            return outcome.map(|session| Held { session, fresh });
        }
    }

    /// Logs in, unless somebody else did (or was refused) between our look and our right to.
    async fn log_in_alone(&self, http: &HttpClient) -> Result<Session, ProviderError> {
        if let Some(session) = self.usable().await? {
            return Ok(session);
        }
        self.heed_refusal().await?;
        let late = || ProviderError::Unreachable {
            provider: Upstream::Payshack,
            cause: format!("no login within {} s", LONGEST_LOGIN.as_secs()),
        };
        match timeout(LONGEST_LOGIN, self.ask(http)).await.unwrap_or_else(|_| Err(late())) {
            Ok(session) => {
                self.shared.store(&session).await?;
                info!(expires_at = %session.expires_at, "logged in to payshack");
                Ok(session)
            }
            Err(error) => match refusal(&error) {
                Some(message) => Err(self.close_door(message).await?),
                None => Err(error),
            },
        }
    }

    async fn usable(&self) -> Result<Option<Session>, ProviderError> {
        let session = self.shared.load().await?;
        Ok(session.filter(|session| self.clock.now() < session.renew_at))
    }

    async fn heed_refusal(&self) -> Result<(), ProviderError> {
        let refused = self.shared.refused_login().await?;
        match refused.filter(|refused| self.clock.now() < refused.until) {
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

    async fn close_door(&self, message: String) -> Result<ProviderError, ProviderError> {
        let until = self.clock.now() + self.pause_after_refusal;
        let refused = RefusedLogin { until, message };
        self.shared.note_refused_login(&refused).await?;
        Ok(ProviderError::Unauthenticated { provider: Upstream::Payshack, message: refused.message })
    }

    async fn ask(&self, http: &HttpClient) -> Result<Session, ProviderError> {
        let body = json!({ "email": self.email, "password": self.password.expose() }).to_string();
        let request = |client: &reqwest::Client| {
            client.post(self.address.clone()).header("content-type", "application/json").body(body.clone())
        };
        let redactor = Redactor::new(&[&self.password]);
        http.fetch(&redactor, request, |answer| read_login(answer, self.clock.now())).await
    }
}

/// What a login that was understood and turned down said. A rate limit or an outage is no refusal.
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

fn read_login(answer: &str, now: DateTime<Utc>) -> Result<Session, Rejection> {
    let data = read_data(answer)?;
    let Object(login): Object<LoginJson<'_>> =
        serde_json::from_str(data).map_err(|error| Rejection::Unreadable(error.to_string()))?;
    let (Some(token), Some(client_id)) = (login.token.uncut_text(), login.client_id.text("clientId")) else {
        return Err(Rejection::Unreadable("the login gives no token or no clientId".to_owned()));
    };
    let life = life_of(&token, now);
    let renewed_before_end = RENEWED_BEFORE_END.min(life / 4);
    Ok(Session {
        token: Secret::new(token),
        client_id,
        renew_at: now + life - renewed_before_end,
        expires_at: now + life,
    })
}

/// How long a token lives from now, by its `exp`. One that is past already, or far away, is not believed: clocks
/// differ, and a refusal tells soon enough.
fn life_of(token: &str, now: DateTime<Utc>) -> TimeDelta {
    expiry(token)
        .map(|expiry| expiry - now)
        .filter(|life| *life > TimeDelta::zero() && *life <= LONGEST_LIFE)
        .unwrap_or(USUAL_LIFE)
}

/// The `exp` of a JWT, whose middle part is JSON in the URL's base 64, mostly without padding.
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
