//! The session with `PayShack` that all processes share, and the rules by which they do.
//!
//! `PayShack` locks accounts that log in too often with a wrong password, and may end one session when another begins.
//! So there is one session for all, one login at a time, and none at all for a while after a refused one. Who keeps
//! what is shared (Redis: three keys with a time to live) fills in [`SharedSession`]; the rules themselves are in the
//! login, the same for every keeper.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::secret::Secret;
use crate::providers::error::ProviderError;
use crate::providers::upstream::Upstream;

/// What a login gave. Serialisable for the place where it is shared, token and all: nowhere else may it be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The bearer token of every call.
    #[serde(serialize_with = "expose", deserialize_with = "hide")]
    pub token: Secret,
    /// Whose session it is: the `reseller-id` of every call.
    pub client_id: String,
    /// From when on a new one is made, before this one ends under our hands.
    pub renew_at: DateTime<Utc>,
    /// When it ends, as far as is known.
    pub expires_at: DateTime<Utc>,
}

fn expose<S: Serializer>(token: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.expose())
}

fn hide<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

/// The right to log in, alone among all processes, until it is given back or its lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginPermit(String);

impl LoginPermit {
    /// A permit that only its holder knows the mark of: who gives it back shows the mark, so that nobody takes away
    /// the permit of the next one after the lease has ended.
    #[must_use]
    pub fn new(mark: impl Into<String>) -> Self {
        Self(mark.into())
    }

    /// The mark.
    #[must_use]
    pub fn mark(&self) -> &str {
        &self.0
    }
}

/// A login that was refused: until when nobody tries again, and what was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedLogin {
    /// The end of the pause.
    pub until: DateTime<Utc>,
    /// What `PayShack` said, without any secret.
    pub message: String,
}

/// What is shared could not be reached.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the shared session cannot be reached: {0}")]
pub struct SessionStoreError(pub String);

impl From<SessionStoreError> for ProviderError {
    fn from(error: SessionStoreError) -> Self {
        Self::SessionUnavailable { provider: Upstream::Payshack, message: error.to_string() }
    }
}

/// The keeper of the session, the same for every process of an account.
///
/// A keeper that cannot be reached is an error, never an empty answer: that would make every process log in at once.
#[async_trait]
pub trait SharedSession: Send + Sync + 'static {
    /// The session in use, if there is one.
    async fn load(&self) -> Result<Option<Session>, SessionStoreError>;

    /// Puts a session in place of any other; it may be dropped when it expires.
    async fn store(&self, session: &Session) -> Result<(), SessionStoreError>;

    /// Drops the session if it is still the one of this token (compare and delete in one step).
    async fn forget(&self, token: &Secret) -> Result<(), SessionStoreError>;

    /// The right to log in for as long as `lease`, unless somebody else has it (set if absent, with a time to live).
    async fn try_lock_login(&self, lease: Duration) -> Result<Option<LoginPermit>, SessionStoreError>;

    /// Gives the right back if it is still ours (compare and delete in one step).
    async fn unlock_login(&self, permit: LoginPermit) -> Result<(), SessionStoreError>;

    /// The last refused login; it may be dropped when its pause is over.
    async fn refused_login(&self) -> Result<Option<RefusedLogin>, SessionStoreError>;

    /// Tells everybody of a refused login.
    async fn note_refused_login(&self, refused: &RefusedLogin) -> Result<(), SessionStoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_written_whole_and_shown_without_its_token() {
        let at = "2026-01-15T15:46:20Z".parse().expect("a time");
        let session =
            Session { token: Secret::new("a.b.c"), client_id: "c-1".to_owned(), renew_at: at, expires_at: at };
        let json = serde_json::to_string(&session).expect("JSON");
        assert_eq!(serde_json::from_str::<Session>(&json).expect(&json), session);
        assert!(json.contains("a.b.c") && !format!("{session:?}").contains("a.b.c"));
    }
}
