//! The PayShack session that all processes share.
//!
//! PayShack locks accounts after too many logins with a wrong password, and may end one session when another starts. So
//! there is one session for all processes, one login at a time, and none for a while after a refusal. A store that all of them
//! share implements [`SharedSession`]; the rules are in the login, the same for every store. What it holds belongs to one
//! account (`PayshackSettings::account`).

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::secret::Secret;
use crate::providers::error::ProviderError;
use crate::providers::upstream::Upstream;

/// Serializable, including the token, only for the shared store: it must not be written anywhere else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The bearer token of all calls.
    #[serde(serialize_with = "expose", deserialize_with = "hide")]
    pub token: Secret,
    /// The `reseller-id` header of all calls.
    pub client_id: String,
    pub created_at: DateTime<Utc>,
    /// When it is replaced, shortly before it expires.
    pub renew_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

fn expose<S: Serializer>(token: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(token.expose())
}

fn hide<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

/// The login lock, held by one process until it is released or its lease ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginPermit(String);

impl LoginPermit {
    /// Only the holder knows the mark. Releasing the lock requires it, so that a late holder cannot release the lock of the
    /// next one.
    #[must_use]
    pub fn new(mark: impl Into<String>) -> Self {
        Self(mark.into())
    }

    #[must_use]
    pub fn mark(&self) -> &str {
        &self.0
    }
}

/// The last refused login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedLogin {
    /// No process logs in before.
    pub until: DateTime<Utc>,
    /// The redacted message.
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the shared session store is unavailable: {0}")]
pub struct SessionStoreError(pub String);

impl From<SessionStoreError> for ProviderError {
    fn from(error: SessionStoreError) -> Self {
        Self::SessionUnavailable { provider: Upstream::Payshack, message: error.to_string() }
    }
}

/// The store of the session, shared by all processes.
///
/// An unavailable store is an error, never an empty result: otherwise every process would log in at once.
#[async_trait]
pub trait SharedSession: Send + Sync + 'static {
    async fn load(&self) -> Result<Option<Session>, SessionStoreError>;

    /// Replaces the session; it may be deleted when it expires.
    async fn store(&self, session: &Session) -> Result<(), SessionStoreError>;

    /// Deletes the session if it still has this token (atomic compare and delete).
    async fn forget(&self, token: &Secret) -> Result<(), SessionStoreError>;

    /// Acquires the login lock for `lease`; `None` if another process has it (atomic set if absent).
    async fn try_lock_login(&self, lease: Duration) -> Result<Option<LoginPermit>, SessionStoreError>;

    /// Releases the lock if it is still held by this permit (atomic compare and delete).
    async fn unlock_login(&self, permit: LoginPermit) -> Result<(), SessionStoreError>;

    /// The last refused login; it may be deleted after `until`.
    async fn refused_login(&self) -> Result<Option<RefusedLogin>, SessionStoreError>;

    async fn store_refused_login(&self, refused: &RefusedLogin) -> Result<(), SessionStoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_serializes_its_token_but_debug_hides_it() {
        let at = "2026-01-15T15:46:20Z".parse().expect("a time");
        let session = Session {
            token: Secret::new("a.b.c"),
            client_id: "c-1".to_owned(),
            created_at: at,
            renew_at: at,
            expires_at: at,
        };
        let json = serde_json::to_string(&session).expect("JSON");
        assert_eq!(serde_json::from_str::<Session>(&json).expect(&json), session);
        assert!(json.contains("a.b.c") && !format!("{session:?}").contains("a.b.c"));
    }
}
