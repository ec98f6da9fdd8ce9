//! A WebSocket client that remembers what it heard.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::PATIENCE;

/// A connected client.
pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Every message so far.
    pub(crate) heard: Vec<Value>,
}

impl Socket {
    /// Connects.
    pub(crate) async fn connect(address: &str) -> Self {
        Self::upgrade(address.into_client_request().expect("an address")).await
    }

    /// Connects with a key.
    pub(crate) async fn connect_with_key(address: &str, key: &str) -> Self {
        let mut request = address.into_client_request().expect("an address");
        request.headers_mut().insert("x-api-key", key.parse().expect("a plain key"));
        Self::upgrade(request).await
    }

    async fn upgrade(request: Request) -> Self {
        let (stream, _answer) = connect_async(request).await.expect("the upgrade is granted");
        Self { stream, heard: vec![] }
    }

    /// The status of a refused upgrade.
    pub(crate) async fn refusal(address: &str) -> u16 {
        match connect_async(address).await {
            Err(tungstenite::Error::Http(answer)) => answer.status().as_u16(),
            other => panic!("the upgrade was not refused: {other:?}"),
        }
    }

    /// Says something.
    pub(crate) async fn say(&mut self, message: &Value) {
        self.stream.send(Message::text(message.to_string())).await.expect("the socket is open");
    }

    /// Listens until a message of this type comes, and answers it.
    pub(crate) async fn hear(&mut self, kind: &str) -> Value {
        self.hear_that(kind, |message| message["type"] == kind).await
    }

    /// Listens until a message comes that is the one.
    pub(crate) async fn hear_that(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        let listening = async {
            loop {
                let message = self.stream.next().await.expect("the socket is open").expect("a readable frame");
                if let Message::Text(text) = message {
                    let message: Value = serde_json::from_str(&text).expect("every message is JSON");
                    self.heard.push(message.clone());
                    if is_it(&message) {
                        return message;
                    }
                }
            }
        };
        let heard = tokio::time::timeout(PATIENCE, listening).await.ok();
        heard.unwrap_or_else(|| panic!("waited in vain to hear {what}; heard {:?}", self.heard))
    }
}
