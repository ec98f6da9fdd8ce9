//! A receiver of webhooks, which verifies signatures with another implementation than the one that signs.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::DateTime;
use poem::http::{HeaderMap, StatusCode};
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::web::Data;
use poem::{EndpointExt, IntoResponse, Response, Route, Server, handler, post};
use psp_dashboard::clock::{Clock, SystemClock};
use ring::hmac;
use serde_json::Value;
use tokio::task::JoinHandle;

use super::eventually;

/// How it replies.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Answer {
    Status(u16),
    /// 200, after a while.
    Slow(Duration),
    /// 503 with this `Retry-After`.
    RetryAfter(&'static str),
    Never,
}

/// A request, and how it was replied to.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) id: String,
    pub(crate) timestamp: String,
    pub(crate) signature: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    pub(crate) accepted: bool,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// How many of the signatures are by this secret.
    pub(crate) fn signatures_by(&self, secret: &str) -> usize {
        let bytes = secret.strip_prefix("whsec_").and_then(|text| BASE64_STANDARD.decode(text).ok());
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes.expect("whsec_ and base64"));
        let content = format!("{}.{}.{}", self.id, self.timestamp, self.body);
        let is_valid = |signature: &str| {
            let tag = signature.strip_prefix("v1,").and_then(|text| BASE64_STANDARD.decode(text).ok());
            hmac::verify(&key, content.as_bytes(), &tag.expect("v1, and base64")).is_ok()
        };
        self.signature.split(' ').filter(|signature| is_valid(signature)).count()
    }

    /// Asserts what the specification demands of each request.
    pub(crate) fn assert_genuine(&self, secret: &str) {
        assert_eq!(self.signatures_by(secret), 1, "{self:?}");
        let sent_at = self.timestamp.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        let age = SystemClock.now() - sent_at.expect("a time in seconds");
        assert!(age.abs() < chrono::TimeDelta::minutes(5), "{self:?}");
        let header = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        assert_eq!(header("content-type"), "application/json");
        assert!(header("user-agent").starts_with("psp-dashboard/"), "{self:?}");
        assert!(self.id.starts_with("msg_"), "{self:?}");
        let body = self.json();
        let fields: Vec<&String> = body.as_object().expect("an object").keys().collect();
        assert_eq!(fields, ["type", "timestamp", "data"]);
    }
}

struct State {
    answer: Answer,
    received: Vec<Received>,
}

type Shared = Arc<Mutex<State>>;

pub(crate) struct WebhookReceiver {
    pub(crate) url: String,
    state: Shared,
    server: JoinHandle<()>,
}

impl WebhookReceiver {
    pub(crate) async fn start(answer: Answer) -> Self {
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a free port");
        let address = acceptor.local_addr().remove(0).as_socket_addr().copied().expect("a TCP address");
        let state = Arc::new(Mutex::new(State { answer, received: vec![] }));
        let routes = Route::new().at("/hooks", post(receive)).data(Arc::clone(&state));
        let server = tokio::spawn(async move {
            Server::new_with_acceptor(acceptor).run(routes).await.expect("the receiver serves");
        });
        Self { url: format!("http://{address}/hooks"), state, server }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    pub(crate) fn set(&self, answer: Answer) {
        self.state().answer = answer;
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state().received.clone()
    }

    /// The first accepted request of each id.
    pub(crate) fn accepted_once(&self) -> Vec<Received> {
        let mut seen = HashSet::new();
        self.received().into_iter().filter(|request| request.accepted && seen.insert(request.id.clone())).collect()
    }

    /// Waits until so many messages were accepted, and returns them.
    pub(crate) async fn wait_for(&self, messages: usize) -> Vec<Received> {
        eventually(&format!("{messages} messages to be accepted"), || async {
            Some(self.accepted_once()).filter(|accepted| accepted.len() >= messages)
        })
        .await
    }

    /// Waits until so many requests came, and returns the last.
    pub(crate) async fn wait_for_requests(&self, requests: usize) -> Received {
        eventually(&format!("{requests} requests"), || async {
            let received = self.received();
            received.last().cloned().filter(|_| received.len() >= requests)
        })
        .await
    }
}

impl Drop for WebhookReceiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[handler]
async fn receive(state: Data<&Shared>, headers: &HeaderMap, body: String) -> Response {
    let answer = lock(&state).answer;
    let (status, retry_after) = match answer {
        Answer::Status(status) => (status, None),
        Answer::RetryAfter(wait) => (503, Some(wait)),
        Answer::Slow(duration) => {
            tokio::time::sleep(duration).await;
            (200, None)
        }
        Answer::Never => std::future::pending().await,
    };
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let received = Received {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signature: header("webhook-signature"),
        headers: headers.clone(),
        body,
        accepted: (200..300).contains(&status),
    };
    lock(&state).received.push(received);
    let response = StatusCode::from_u16(status).expect("a status").with_body("thank you");
    match retry_after {
        Some(wait) => response.with_header("retry-after", wait).into_response(),
        None => response.into_response(),
    }
}
