//! Browser sessions: how long they last, and how a caller refers to one.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::string_enum::string_enum;

/// A working day. It does not depend on use, so that a stolen cookie ends as well.
pub const SESSION_LIFETIME: Duration = Duration::from_hours(12);

/// Identifies a session. Not a secret: it follows from a digest of the cookie, and does not reveal it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub Uuid);

impl SessionId {
    /// The id of the session whose token has this SHA-256.
    #[must_use]
    pub fn of_digest(digest: &[u8; 32]) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }
}

string_enum! {
    /// What a session was started with.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum SignInMethod {
        /// It ends with the key.
        ApiKey = "api_key",
        /// OpenID Connect.
        IdentityProvider = "identity_provider",
    }
}

/// The session that a caller was authenticated by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentSession {
    pub id: SessionId,
    pub sign_in: SignInMethod,
    pub expires_at: DateTime<Utc>,
}
