//! A client of the event stream, as an `EventSource` is one.

use reqwest::{Response, StatusCode};
use serde_json::Value;

use super::messages::assert_described;
use super::test_system::Web;
use super::{TIMEOUT, http_client};

pub(crate) struct EventStream {
    response: Response,
    /// What was received and not parsed yet.
    buffer: Vec<u8>,
    /// Every message so far.
    pub(crate) received: Vec<Value>,
    /// The last id, as the client would send it when it connects again.
    pub(crate) last_event_id: Option<String>,
    /// How long the client waits before that.
    pub(crate) retry_ms: Option<u64>,
    pub(crate) comments: Vec<String>,
}

impl EventStream {
    /// `query` may be empty.
    pub(crate) async fn open(web: &Web, query: &str, headers: &[(&str, &str)]) -> Self {
        let opened = Self::try_open(web.port, query, headers).await.expect("the web process responds");
        opened.unwrap_or_else(|status| panic!("the stream was refused: {status}"))
    }

    /// The status if the stream is refused; an error if there is no response.
    pub(crate) async fn try_open(
        port: u16,
        query: &str,
        headers: &[(&str, &str)],
    ) -> Result<Result<Self, StatusCode>, reqwest::Error> {
        let request = http_client().get(format!("http://127.0.0.1:{port}/api/v1/events?{query}"));
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.send().await?;
        if response.status() != StatusCode::OK {
            return Ok(Err(response.status()));
        }
        Ok(Ok(Self {
            response,
            buffer: vec![],
            received: vec![],
            last_event_id: None,
            retry_ms: None,
            comments: vec![],
        }))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        super::test_system::header(self.response.headers(), name)
    }

    /// Waits for the next message of a type.
    pub(crate) async fn receive(&mut self, kind: &str) -> Value {
        loop {
            let next = tokio::time::timeout(TIMEOUT, self.next()).await;
            match next.unwrap_or_else(|_| panic!("timed out waiting for {kind}; received {:?}", self.received)) {
                Some(message) if message["type"] == kind => return message,
                Some(_) => {}
                None => panic!("the stream ended before {kind}; received {:?}", self.received),
            }
        }
    }

    /// The next message; `None` if the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some(block) = self.take_block() {
                if let Some(message) = self.parse(&block) {
                    return Some(message);
                }
            }
            self.buffer.extend_from_slice(&self.response.chunk().await.ok().flatten()?);
        }
    }

    fn take_block(&mut self) -> Option<String> {
        let end = self.buffer.windows(2).position(|pair| pair == b"\n\n")?;
        let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
        Some(String::from_utf8(block).expect("an event stream is UTF-8"))
    }

    fn parse(&mut self, block: &str) -> Option<Value> {
        let (mut name, mut data) = (None, None);
        for line in block.lines().filter(|line| !line.is_empty()) {
            match line.split_once(": ").unwrap_or_else(|| panic!("an unknown line: {line:?}")) {
                ("", comment) => self.comments.push(comment.to_owned()),
                ("id", id) => self.last_event_id = Some(id.to_owned()),
                ("retry", text) => self.retry_ms = Some(text.parse().expect("milliseconds")),
                ("event", text) => name = Some(text.to_owned()),
                ("data", text) => data = Some(serde_json::from_str::<Value>(text).expect("every message is JSON")),
                (field, _) => panic!("an unknown field: {field}"),
            }
        }
        let message = data?;
        assert_described(&message);
        let position = message.get("event_id").unwrap_or(&message["id"]).to_string();
        assert_eq!((message["type"].as_str(), Some(position)), (name.as_deref(), self.last_event_id.clone()));
        self.received.push(message.clone());
        Some(message)
    }
}
