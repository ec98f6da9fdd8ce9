//! The current key, and WebSocket tickets.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use crate::domain::access::Role;
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
}

impl Example for Me {
    fn example() -> Self {
        Self { name: "dashboard".to_owned(), role: Role::Viewer }
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
    /// The name and the role of the key of this request.
    #[oai(path = "/me", method = "get", operation_id = "getMe")]
    #[expect(clippy::unused_async, reason = "poem-openapi requires async operations")]
    async fn me(&self, caller: Caller) -> Result<Json<Me>, Fails> {
        Ok(Json(Me { name: caller.0.name, role: caller.0.role }))
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

named_enum!(Role, "Role", Role::ALL, "The role of a key; each role includes the one before.");
