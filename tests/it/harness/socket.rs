//! A WebSocket client that records what it receives.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::TIMEOUT;
use super::messages::assert_described;

pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Every message so far.
    pub(crate) received: Vec<Value>,
}

impl Socket {
    pub(crate) async fn connect(url: &str) -> Self {
        Self::upgrade(url.into_client_request().expect("a valid URL")).await
    }

    pub(crate) async fn connect_with_key(url: &str, key: &str) -> Self {
        Self::connect_with(url, &[("x-api-key", key)]).await
    }

    pub(crate) async fn connect_with(url: &str, headers: &[(&'static str, &str)]) -> Self {
        Self::upgrade(with_headers(url, headers)).await
    }

    async fn upgrade(request: Request) -> Self {
        let (stream, _response) = connect_async(request).await.expect("the upgrade is accepted");
        Self { stream, received: vec![] }
    }

    /// The status of a refused upgrade.
    pub(crate) async fn refused_status(url: &str) -> u16 {
        Self::refused_status_with(url, &[]).await
    }

    pub(crate) async fn refused_status_with(url: &str, headers: &[(&'static str, &str)]) -> u16 {
        match connect_async(with_headers(url, headers)).await {
            Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
            other => panic!("the upgrade was not refused: {other:?}"),
        }
    }

    /// The status of a refused upgrade that a page of `origin` requested.
    pub(crate) async fn refused_status_from(url: &str, origin: &str) -> u16 {
        Self::refused_status_with(url, &[("origin", origin)]).await
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.stream.send(Message::text(message.to_string())).await.expect("the socket is open");
    }

    /// Waits for the next message of a type.
    pub(crate) async fn receive(&mut self, kind: &str) -> Value {
        self.receive_where(kind, |message| message["type"] == kind).await
    }

    /// Waits until the server closes the socket; returns the code and the reason.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        let closing = async {
            loop {
                let frame = self.stream.next().await.expect("a close frame before the end").expect("a valid frame");
                if let Message::Close(close) = frame {
                    let close = close.expect("a close has a code");
                    return (close.code.into(), close.reason.to_string());
                }
            }
        };
        tokio::time::timeout(TIMEOUT, closing).await.expect("the server closes the socket")
    }

    /// Waits for the next message that meets a condition.
    pub(crate) async fn receive_where(&mut self, expected: &str, matches: impl Fn(&Value) -> bool) -> Value {
        let receiving = async {
            loop {
                let frame = self.stream.next().await.expect("the socket is open").expect("a valid frame");
                if let Message::Text(text) = frame {
                    let message: Value = serde_json::from_str(&text).expect("every message is JSON");
                    assert_described(&message);
                    self.received.push(message.clone());
                    if matches(&message) {
                        return message;
                    }
                }
            }
        };
        let message = tokio::time::timeout(TIMEOUT, receiving).await.ok();
        message.unwrap_or_else(|| panic!("timed out waiting for {expected}; received {:?}", self.received))
    }
}

fn with_headers(url: &str, headers: &[(&'static str, &str)]) -> Request {
    let mut request = url.into_client_request().expect("a valid URL");
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().expect("a valid header value"));
    }
    request
}
