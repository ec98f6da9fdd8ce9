//! The current key, and WebSocket tickets.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use crate::domain::access::{Principal, Role};
use crate::domain::session::SignInMethod;
use crate::domain::string_enum::string_enum;
use crate::web::http::auth::{Access, Caller};
use crate::web::http::fails::Fails;
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::schema::{Time, named_enum};

/// The key of the request.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Me {
    /// The name of the key.
    name: String,
    /// The role of the key.
    role: Role,
    /// How the request was authenticated.
    authentication: Authentication,
    /// When the session ends; null without one.
    session_expires_at: Option<Time>,
}

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Authentication {
        ApiKey = "api_key",
        /// The cookie of a session that was started with a key.
        KeySession = "key_session",
        /// The cookie of a session of a user of the identity provider.
        IdentityProviderSession = "identity_provider_session",
        /// `AUTH=off`
        Off = "off",
    }
}

impl Authentication {
    fn of(principal: &Principal, access: &Access) -> Self {
        match principal.session.map(|session| session.sign_in) {
            Some(SignInMethod::ApiKey) => Self::KeySession,
            Some(SignInMethod::IdentityProvider) => Self::IdentityProviderSession,
            None if access.is_open() => Self::Off,
            None => Self::ApiKey,
        }
    }
}

impl Example for Me {
    fn example() -> Self {
        let authentication = Authentication::KeySession;
        let session_expires_at = Some(Time(EXAMPLE_TIME));
        Self { name: "dashboard".to_owned(), role: Role::Viewer, authentication, session_expires_at }
    }
}

/// A ticket for a WebSocket.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct WebSocketTicket {
    /// The value of `/ws/updates?ticket=`; it can be used once.
    ticket: String,
    /// When the ticket expires.
    expires_at: Time,
}

impl Example for WebSocketTicket {
    fn example() -> Self {
        let ticket = "6f0d8c1e2b7a4f5390c1d2e3f4a5b6c76f0d8c1e2b7a4f5390c1d2e3f4a5b6c7".to_owned();
        Self { ticket, expires_at: Time(EXAMPLE_TIME) }
    }
}

pub(in crate::web) struct MeApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Access")]
impl MeApi {
    /// Get current key
    ///
    /// The name and the role of the key, or of the user, and how this request was authenticated.
    #[oai(path = "/me", method = "get", operation_id = "getMe")]
    #[expect(clippy::unused_async, reason = "poem-openapi requires async operations")]
    async fn me(&self, access: Data<&Arc<Access>>, caller: Caller) -> Result<Json<Me>, Fails> {
        let authentication = Authentication::of(&caller.0, &access);
        let session_expires_at = caller.0.session.map(|session| Time(session.expires_at));
        Ok(Json(Me { name: caller.0.name, role: caller.0.role, authentication, session_expires_at }))
    }

    /// Create a WebSocket ticket
    ///
    /// For browsers, which cannot send headers with a WebSocket. The ticket opens one connection within 60 seconds, with the role
    /// of this key.
    #[oai(path = "/ws/ticket", method = "post", operation_id = "createWebSocketTicket")]
    async fn ticket(&self, access: Data<&Arc<Access>>, caller: Caller) -> Result<Json<WebSocketTicket>, Fails> {
        let issued = access.issue_ticket(&caller.0).await?;
        Ok(Json(WebSocketTicket { ticket: issued.ticket, expires_at: Time(issued.expires_at) }))
    }
}

named_enum!(
    Authentication,
    "Authentication",
    Authentication::ALL,
    "How a request was authenticated: by a key; by the cookie of a session that was started with a key, or by a user of the \
     identity provider; `off` if nobody needs a key."
);
named_enum!(Role, "Role", Role::ALL, "The role of a key; each role includes the one before.");
