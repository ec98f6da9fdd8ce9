//! The WebSocket's endpoint: the upgrade of a request.

use std::sync::Arc;

use poem::web::websocket::{WebSocket, WebSocketConfig};
use poem::{Endpoint, FromRequest, IntoResponse, Request, Response, Route};
use serde::Deserialize;

use super::hub::Hub;
use super::message::Notice;
use super::session::Session;
use crate::web::http::auth::{Caller, KeyWatch};
use crate::web::http::limits::HeldPermit;

/// The maximum message size of the library. It is above the limit for clients, because only a message that was read can
/// be answered by an orderly close; it is bounded, because the client chooses the length of a frame.
const READ_AT_MOST: usize = 1 << 20;
/// The library's default buffers are large; these messages are small, and there may be thousands of sockets. This one is
/// allocated for every socket, and grows for a larger message.
const READ_BUFFER: usize = 1 << 10;
/// Messages that wait together are written together, up to this size.
const WRITE_BUFFER: usize = 8 << 10;

/// The query parameters of its operations, which the OpenAPI document does not have. The ticket is read before the upgrade.
pub(in crate::web) const PARAMETERS: [(&str, &[&str]); 2] =
    [("openWebSocket", &["since", "ticket"]), ("openWebSocketAlias", &["since", "ticket"])];

/// Adds `/ws/updates` and its alias `/ws` to `route`.
pub(super) fn mount(route: Route, hub: &Arc<Hub>) -> Route {
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
            let _counted = (hub.count_client(), permit);
            // `since` is the last event that the client knows.
            let known = since.as_deref().and_then(|text| text.parse().ok());
            let joined = hub.join(principal, known).await;
            let mut welcome = joined.welcome(known);
            if since.is_some() && known.is_none() {
                welcome.push(Notice::invalid("since must be the id of an event: nothing is replayed."));
            }
            let session = Session::new(joined.outbox, Arc::clone(hub.clock()), hub.names());
            session.run(stream, welcome, hub.closing(), KeyWatch::ended_of(watch)).await;
        });
        Ok(upgrade.into_response())
    }
}

fn limits() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(READ_AT_MOST))
        .max_frame_size(Some(READ_AT_MOST))
}
