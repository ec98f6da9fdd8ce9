//! The live WebSocket: every event, to every dashboard that wants it, in one order.
//!
//! ```text
//!   Redis ──┐                                  ┌─> Outbox ─> Session ─> dashboard
//!           ├─> Follower ─> Coalescer ─> Hub (room) ┤
//!   table ──┘   (in order)  (not too often)    └─> Outbox ─> Session ─> dashboard
//! ```
//!
//! One [`Hub`] a process follows the events and lays each into the [`outbox`] of every socket, without ever waiting for
//! one; a [`session`] carries its outbox to its client at the client's own speed. Rejected: a `tokio::sync::broadcast`
//! channel, whose laggards lose whatever is oldest, where we want to give up superseded progress first and everything
//! else never; and a subscription to Redis for each socket, which small plans have no connections for.
//!
//! Who may come in is decided before the upgrade by a [`Authenticator`], so that a refusal is a plain HTTP answer.

pub(crate) mod coalesce;
mod feed;
mod follower;
mod hub;
mod message;
mod outbox;
mod session;
mod subscription;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use poem::web::websocket::{WebSocket, WebSocketConfig};
use poem::{Endpoint, FromRequest, IntoResponse, Request, Response, Route};
use serde::Deserialize;

use super::http::auth::Access;

pub use feed::{Feed, FeedError, ServerFeed};
pub use hub::Hub;

/// The longest message that the library still reads whole. It is above what a client may send, because only a message
/// that was read can be answered by an orderly close; it is bounded, because a frame's length is the client's word.
const READ_AT_MOST: usize = 1 << 20;
/// The library's buffers are for uploads; ours carry small messages, and there may be thousands of them.
const READ_BUFFER: usize = 4 << 10;

/// Decides who may open a socket.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Lets the request in by its headers or its `?ticket=`.
    ///
    /// # Errors
    /// The HTTP answer that refuses it.
    async fn authenticate(&self, request: &Request) -> poem::Result<()>;
}

/// By key like any request, or by ticket, because a browser cannot set headers on a WebSocket.
#[async_trait]
impl Authenticator for Access {
    async fn authenticate(&self, request: &Request) -> poem::Result<()> {
        let TicketParameter { ticket } = request.params()?;
        match ticket {
            Some(ticket) if !self.is_open() => self.redeem_ticket(&ticket).await?,
            _ => self.authenticate(request.headers()).await?,
        };
        Ok(())
    }
}

#[derive(Deserialize)]
struct TicketParameter {
    ticket: Option<String>,
}

/// Adds `/ws/updates` and its other name `/ws` to `route`.
#[must_use]
pub fn mount(route: Route, hub: &Arc<Hub>, doorkeeper: &Arc<dyn Authenticator>) -> Route {
    let updates = Updates { hub: Arc::clone(hub), doorkeeper: Arc::clone(doorkeeper) };
    route.at("/ws/updates", poem::get(updates.clone())).at("/ws", poem::get(updates))
}

/// The endpoint that turns a request into a socket.
#[derive(Clone)]
struct Updates {
    hub: Arc<Hub>,
    doorkeeper: Arc<dyn Authenticator>,
}

/// What the address may say.
#[derive(Debug, Deserialize)]
struct Wish {
    since: Option<String>,
}

impl Endpoint for Updates {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        self.doorkeeper.authenticate(&request).await?;
        let Wish { since } = request.params()?;
        let (request, mut body) = request.split();
        let socket = WebSocket::from_request(&request, &mut body).await?;
        let hub = Arc::clone(&self.hub);
        let upgrade = socket.config(limits()).on_upgrade(move |stream| async move {
            hub.serve(stream, since).await;
        });
        Ok(upgrade.into_response())
    }
}

fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(READ_AT_MOST))
        .max_frame_size(Some(READ_AT_MOST))
}
