//! The live WebSocket: sends every event to every subscribed dashboard, in one order.
//!
//! ```text
//!   Redis ──┐                                     ┌─> Outbox ─> Session ─> dashboard
//!           ├─> Follower ─> Coalescer ─> Hub ─────┤
//!   table ──┘   (in order)  (limits rates)        └─> Outbox ─> Session ─> dashboard
//! ```
//!
//! One [`Hub`] per process follows the events and puts each into the [`outbox`] of every socket, without waiting for any; a
//! [`session`] sends its outbox at the client's speed. Rejected: a `tokio::sync::broadcast` channel, whose slow receivers
//! lose the oldest events, while only superseded progress may be dropped; and a Redis subscription per socket, for which
//! small plans have too few connections.
//!
//! An outbox takes only what its [`Principal`](crate::domain::access::Principal) may see, live or replayed, and a session masks
//! personal data for a viewer.
//!
//! The access policy is checked before the upgrade, so that a refusal is a normal HTTP response.

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

use poem::web::websocket::{WebSocket, WebSocketConfig};
use poem::{Endpoint, FromRequest, IntoResponse, Request, Response, Route};
use serde::Deserialize;

use crate::web::http::auth::{Caller, KeyWatch};

pub use feed::{Feed, FeedError, ServerFeed};
pub use hub::Hub;

use super::http::limits::HeldPermit;

/// The maximum message size of the library. It is above the limit for clients, because only a message that was read can
/// be answered by an orderly close; it is bounded, because the client chooses the length of a frame.
const READ_AT_MOST: usize = 1 << 20;
/// The library's default buffers are large; these messages are small, and there may be thousands of sockets.
const READ_BUFFER: usize = 4 << 10;

/// Adds `/ws/updates` and its alias `/ws` to `route`.
#[must_use]
pub fn mount(route: Route, hub: &Arc<Hub>) -> Route {
    let updates = Updates { hub: Arc::clone(hub) };
    route.at("/ws/updates", poem::get(updates.clone())).at("/ws", poem::get(updates))
}

#[derive(Clone)]
struct Updates {
    hub: Arc<Hub>,
}

/// The query parameters.
#[derive(Debug, Deserialize)]
struct UpdatesQuery {
    since: Option<String>,
}

impl Endpoint for Updates {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let UpdatesQuery { since } = request.params()?;
        let (request, mut body) = request.split();
        let Caller(principal) = Caller::from_request(&request, &mut body).await?;
        let watch = KeyWatch::of(&request);
        let socket = WebSocket::from_request(&request, &mut body).await?;
        let (hub, permit) = (Arc::clone(&self.hub), request.extensions().get::<HeldPermit>().cloned());
        let upgrade = socket.config(limits()).on_upgrade(move |stream| async move {
            hub.serve(stream, principal, since, KeyWatch::ended_of(watch)).await;
            drop(permit);
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
