//! A WebSocket client that remembers what it heard.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::PATIENCE;

/// A connected client.
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Every message so far.
    pub heard: Vec<Value>,
}

impl Socket {
    /// Connects.
    pub async fn connect(address: &str) -> Self {
        let (stream, _answer) = connect_async(address).await.expect("the upgrade is granted");
        Self { stream, heard: vec![] }
    }

    /// Says something.
    pub async fn say(&mut self, message: &Value) {
        self.stream.send(Message::text(message.to_string())).await.expect("the socket is open");
    }

    /// Listens until a message of this type comes, and answers it.
    pub async fn hear(&mut self, kind: &str) -> Value {
        self.hear_that(kind, |message| message["type"] == kind).await
    }

    /// Listens until a message comes that is the one.
    pub async fn hear_that(&mut self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
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
        match tokio::time::timeout(PATIENCE, listening).await {
            Ok(message) => message,
            Err(_) => panic!("waited in vain to hear {what}; heard {:?}", self.heard),
        }
    }
}
