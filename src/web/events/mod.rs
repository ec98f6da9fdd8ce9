//! Live events: every event reaches every subscribed dashboard, in one order, by WebSocket or as Server-Sent Events.
//!
//! ```text
//!   Redis ──┐                                     ┌─> Outbox ─> Session ───> WebSocket
//!           ├─> Follower ─> Coalescer ─> Hub ─────┤
//!   table ──┘   (in order)  (limits rates)        └─> Outbox ─> EventStream ─> GET /api/v1/events
//! ```
//!
//! One [`Hub`] per process follows the events and puts each into the [`outbox`] of every client, without waiting for any; a
//! [`session`] or a [`stream`] sends its outbox at the client's speed. Both are only transports: messages, order, replay,
//! subscriptions and limits are the same. Rejected: a `tokio::sync::broadcast` channel, whose slow receivers lose the oldest
//! events, while only superseded progress may be dropped; and a Redis subscription per client, for which small plans have too
//! few connections.
//!
//! An outbox takes only what its [`Principal`](crate::domain::access::Principal) may see, live or replayed, and personal data is
//! masked for a viewer.
//!
//! The access policy is checked before the upgrade, so that a refusal is a normal HTTP response.

pub mod asyncapi;
pub(crate) mod coalesce;
mod feed;
mod follower;
mod hub;
mod message;
mod outbox;
mod session;
mod stream;
#[cfg(test)]
mod tests;
mod websocket;

use std::sync::Arc;

use poem::Route;
use poem_openapi::OpenApi;

pub use feed::{Feed, FeedError, ServerFeed};
pub use hub::Hub;
pub(in crate::web) use stream::skip_compression;
pub(in crate::web) use websocket::PARAMETERS as WEBSOCKET_PARAMETERS;

/// The operations of the OpenAPI document; their handlers get the hub from the request.
pub(in crate::web) fn operations() -> impl OpenApi + 'static {
    stream::EventsApi
}

/// Adds the WebSocket, and the document that describes the events, to `route`.
#[must_use]
pub fn mount(route: Route, hub: &Arc<Hub>) -> Route {
    asyncapi::mount(websocket::mount(route, hub))
}
