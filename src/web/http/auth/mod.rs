//! Authentication by API key, session or ticket, and authorization by role and scope.
//!
//! [`credentials`] finds what a request presents, [`key_list`] has the keys that are accepted, and [`Access`] decides whom a
//! credential identifies. What a caller may do is in the access [`policy`], which [`authorization`] enforces. The security
//! schemes of poem-openapi were rejected: their refusals are not problem+json, and with two schemes the second's refusal hides
//! the first's.

pub(in crate::web) mod audit;
pub(in crate::web) mod authorization;
pub(in crate::web) mod cookies;
mod credentials;
pub(in crate::web) mod failed_sign_in;
mod key_list;
mod key_watch;
mod open_access;
pub(in crate::web) mod origin;
pub mod policy;
pub mod policy_table;
pub(in crate::web) mod sessions;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use poem::Request;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use tokio::time::Instant;
use tracing::Instrument;
use uuid::Uuid;

pub(in crate::web) use authorization::Caller;
pub(in crate::web) use key_watch::KeyWatch;

use self::cookies::Cookies;
use self::credentials::Credential;
use self::key_list::{IssuedKeys, Key, KeyList, KeysUnavailable};
use self::open_access::OpenAccess;
use self::origin::TrustedOrigins;
use self::sessions::Sessions;
use super::fails::Failure;
use super::problem::{Problem, ProblemCode};
use crate::clock::SharedClock;
use crate::config::AccessConfig;
use crate::db::DbError;
use crate::db::access::api_keys;
use crate::domain::access::key::KeyEnvironment;
use crate::domain::access::{KeyId, Principal, ProjectScope};
use crate::redis::tickets::{self, Tickets};

/// How often the use of a key is recorded at most.
const RECORD_USE_EVERY: Duration = Duration::from_mins(1);

pub struct Access {
    configured: Vec<Key>,
    key_environment: KeyEnvironment,
    /// `None` with `AUTH=off`: everyone has full access.
    issued: Option<IssuedKeys>,
    /// When the use of a key was last recorded.
    used: Mutex<HashMap<Uuid, Instant>>,
    sessions: Arc<Sessions>,
    cookies: Cookies,
    origins: TrustedOrigins,
    /// The identity provider whose users are accepted.
    issuer: Option<String>,
    pool: PgPool,
    tickets: Tickets,
    clock: SharedClock,
    /// What protects the process with `AUTH=off`.
    open: Option<OpenAccess>,
}

/// A ticket for a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub ticket: String,
    pub expires_at: DateTime<Utc>,
}

impl Access {
    /// Accepts the keys of `config` and of the table, which it reads once before it returns.
    pub async fn start(
        config: &AccessConfig,
        public_hosts: &[String],
        pool: PgPool,
        tickets: Tickets,
        clock: SharedClock,
    ) -> Result<Self, DbError> {
        let issued = if config.open { None } else { Some(IssuedKeys::start(pool.clone()).await?) };
        let configured = config.keys.iter().map(Key::configured).collect();
        let public_url = config.public_url.as_ref();
        Ok(Self {
            configured,
            key_environment: config.key_environment,
            issued,
            used: Mutex::default(),
            sessions: Arc::new(Sessions::new(pool.clone(), Arc::clone(&clock))),
            cookies: Cookies::new(public_url),
            origins: TrustedOrigins::new(public_url, &config.allowed_origins),
            issuer: config.oidc.as_ref().map(|oidc| oidc.issuer.as_str().to_owned()),
            pool,
            tickets,
            clock,
            open: OpenAccess::new(config, public_hosts),
        })
    }

    /// Everyone has full access (`AUTH=off`).
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.issued.is_none()
    }

    /// With `AUTH=off`, refuses what a page of another origin may not do.
    fn check_open(&self, request: &Request) -> Result<(), Problem> {
        self.open.as_ref().map_or(Ok(()), |open| open.check(request))
    }

    /// Whether there is any key that is accepted.
    pub(in crate::web) async fn has_keys(&self) -> bool {
        let Some(issued) = &self.issued else { return false };
        let now = self.clock.now();
        let is_any_valid = |list: KeyList| list.keys.iter().any(|key| key.end(now).is_none());
        !self.configured.is_empty() || issued.current().await.is_ok_and(is_any_valid)
    }

    /// The keys of `API_KEYS`.
    pub(in crate::web) fn configured(&self) -> impl Iterator<Item = &Principal> {
        self.configured.iter().map(|key| &key.principal)
    }

    pub(in crate::web) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    pub(in crate::web) fn cookies(&self) -> &Cookies {
        &self.cookies
    }

    pub(in crate::web) fn origins(&self) -> &TrustedOrigins {
        &self.origins
    }

    /// Of new keys.
    pub(in crate::web) fn key_environment(&self) -> KeyEnvironment {
        self.key_environment
    }

    /// Makes a change of the table of keys take effect in this process.
    pub(in crate::web) async fn refresh_keys(&self) {
        if let Some(issued) = &self.issued {
            issued.refresh().await;
        }
    }

    /// The principal of a credential that is presented from `address`: 401 without a valid one, 403 if its key may not be used
    /// from there, 503 if the table of keys cannot be read.
    async fn authenticate(
        &self,
        credential: Option<Credential<'_>>,
        address: Option<IpAddr>,
    ) -> Result<Principal, Problem> {
        let Some(issued) = &self.issued else { return Ok(Principal::anyone()) };
        match credential {
            Some(Credential::Key(key)) => self.find_key(issued, key, address).await,
            Some(Credential::Ticket(ticket)) => self.redeem_ticket(issued, &ticket, address).await,
            Some(Credential::Session(token)) => self.find_session(issued, token, address).await,
            None => Err(unauthenticated("send a key: Authorization: Bearer <key>, or X-API-Key: <key>; or sign in")),
        }
    }

    async fn find_key(&self, issued: &IssuedKeys, key: &str, address: Option<IpAddr>) -> Result<Principal, Problem> {
        let digest: [u8; 32] = Sha256::digest(key).into();
        if let Some(key) = key_list::find(&self.configured, &digest) {
            return Ok(key.principal.clone());
        }
        let list = issued.current().await?;
        let key = key_list::find(&list.keys, &digest);
        let key = key.ok_or_else(|| unauthenticated("this key is unknown or revoked"))?;
        if let Some(end) = key.end(self.clock.now()) {
            return Err(unauthenticated(format!("this {end}: ask an admin for a new one")));
        }
        check_network(key, address)?;
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
        let recording = async move {
            if let Err(error) = api_keys::record_use(&pool, id, now).await {
                tracing::warn!(%error, "failed to record the use of a key");
            }
        };
        tokio::spawn(recording.in_current_span());
    }

    pub async fn issue_ticket(&self, principal: &Principal) -> Result<Ticket, Problem> {
        let expires_at = self.clock.now() + tickets::LIFETIME;
        Ok(Ticket { ticket: self.tickets.issue(principal, expires_at).await?, expires_at })
    }

    /// Invalidates a ticket and returns its holder; 401 if it is unknown, used or expired, or if its key has ended since; 503 if
    /// Redis is unavailable.
    async fn redeem_ticket(
        &self,
        issued: &IssuedKeys,
        ticket: &str,
        address: Option<IpAddr>,
    ) -> Result<Principal, Problem> {
        let holder = self.tickets.redeem(ticket, self.clock.now()).await?;
        let holder = holder.ok_or_else(|| unauthenticated("this ticket was used or has expired"))?;
        if let Some(session) = holder.session
            && self.sessions.find_by_id(session.id).await?.is_none()
        {
            return Err(unauthenticated("this ticket is no longer valid: session ended"));
        }
        self.check_holder(issued, &holder, address).await?;
        Ok(holder)
    }

    /// Whether the key of a holder still gives the access that the holder has: 401 if not, 403 if not from `address`.
    async fn check_holder(
        &self,
        issued: &IssuedKeys,
        holder: &Principal,
        address: Option<IpAddr>,
    ) -> Result<(), Problem> {
        if !holder.depends_on_key() || self.is_configured(holder) {
            return Ok(());
        }
        let list = issued.current().await?;
        if let Some(end) = key_list::end_of(&list.keys, holder, self.clock.now()) {
            return Err(unauthenticated(format!("this ticket is no longer valid: {end}")));
        }
        match list.keys.iter().find(|key| key.principal.key_id == holder.key_id) {
            Some(key) => check_network(key, address),
            None => Ok(()),
        }
    }

    fn is_configured(&self, holder: &Principal) -> bool {
        key_list::end_of(&self.configured, holder, self.clock.now()).is_none()
    }

    /// The caller of a session cookie: 401 if the session, or the key that it was started with, has ended.
    async fn find_session(
        &self,
        issued: &IssuedKeys,
        token: &str,
        address: Option<IpAddr>,
    ) -> Result<Principal, Problem> {
        let session = self.sessions.find(token).await?;
        let session = session.ok_or_else(|| unauthenticated("this session has ended: sign in again"))?;
        let principal = match &session.issuer {
            // A user keeps the role of the sign-in, as long as the identity provider is the one of the settings.
            Some(provider) if self.issuer.as_ref() == Some(provider) => {
                Principal::of_key(session.key_id, &*session.name, session.role, ProjectScope::All)
            }
            Some(_) => {
                let detail = "the identity provider of this session is no longer used: sign in again";
                return Err(unauthenticated(detail));
            }
            None => self.active_key(issued, session.key_id, address).await?,
        };
        Ok(Principal { session: Some(session.current()), ..principal })
    }

    /// What the key of a session may do now, not what it was allowed when the session began.
    async fn active_key(
        &self,
        issued: &IssuedKeys,
        key_id: KeyId,
        address: Option<IpAddr>,
    ) -> Result<Principal, Problem> {
        if let Some(key) = self.configured().find(|key| key.key_id == key_id) {
            return Ok(key.clone());
        }
        let list = issued.current().await?;
        let key = list.keys.iter().find(|key| key.principal.key_id == key_id);
        let key = key.ok_or_else(|| unauthenticated("the key of this session was revoked"))?;
        if let Some(end) = key.end(self.clock.now()) {
            return Err(unauthenticated(format!("this session has ended with its key: {end}")));
        }
        check_network(key, address)?;
        self.note_use(key);
        Ok(key.principal.clone())
    }

    /// For whatever is sent to a caller for longer than a moment.
    fn watch(&self, principal: &Principal) -> KeyWatch {
        let watches_key = principal.depends_on_key() && !self.is_configured(principal);
        let issued = self.issued.clone().filter(|_| watches_key);
        KeyWatch::new(issued, Arc::clone(&self.sessions), principal.clone(), Arc::clone(&self.clock))
    }
}

fn check_network(key: &Key, address: Option<IpAddr>) -> Result<(), Problem> {
    if key.is_allowed_from(address) {
        return Ok(());
    }
    let from = address.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string());
    let detail =
        format!("this key may not be used from {from}: use it from its networks, or ask an admin for another key");
    Err(Problem::new(ProblemCode::Forbidden, detail))
}

fn unauthenticated(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::Unauthenticated, detail)
}

impl Failure for KeysUnavailable {
    const CODES: &'static [ProblemCode] = &[];

    fn into_problem(self) -> Problem {
        Problem::unavailable("the API keys cannot be read, so that no key can be checked: try again", self)
    }
}
