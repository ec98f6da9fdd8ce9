//! Clients that connect again with the last id they know see every event once, whatever is killed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::Value;
use tokio::time::sleep;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::{commit, is_event, new_transactions};
use crate::harness::event_stream::EventStream;
use crate::harness::private_servers::PrivateRedis;
use crate::harness::servers::Servers;
use crate::harness::test_system::{TestSystem, VIEWER, Web};
use crate::harness::{eventually, is_long};

/// Between two attempts to connect.
const RECONNECT: Duration = Duration::from_millis(50);
/// Between two events.
const PAUSE: Duration = Duration::from_millis(10);

/// What a client has received: the numbers of the events.
struct Seen {
    numbers: Vec<u64>,
    /// The last id, with which it connects again.
    last_id: Option<i64>,
    connections: usize,
}

impl Seen {
    fn note(&mut self, message: &Value) {
        assert_ne!(message["type"], "gap", "everything is still available: {message}");
        let id = message["id"].as_i64().expect("an id");
        if is_event(message) {
            assert!(self.last_id.is_none_or(|last| last < id), "{id} comes after {:?}", self.last_id);
            self.numbers.push(message["count"].as_u64().expect("a number"));
        }
        self.last_id = Some(id);
    }

    /// Whether the last event has arrived.
    fn is_complete(&self, last: &AtomicU64) -> bool {
        self.numbers.last().copied() == Some(last.load(Ordering::Relaxed))
    }
}

/// The load and its end.
struct Load {
    ports: [u16; 2],
    /// The number of clients that are connected for the first time.
    ready: AtomicU64,
    /// The number of the last event; 0 until it is known.
    last: AtomicU64,
}

/// Reads from one web process after the other until the last event.
async fn follow(load: Arc<Load>, by_socket: bool, first: usize) -> Seen {
    let mut seen = Seen { numbers: vec![], last_id: None, connections: 0 };
    for process in first.. {
        let port = load.ports[process % 2];
        if by_socket {
            read_socket(&load, port, &mut seen).await;
        } else {
            read_stream(&load, port, &mut seen).await;
        }
        if seen.is_complete(&load.last) {
            break;
        }
        sleep(RECONNECT).await;
    }
    seen
}

fn connected(load: &Load, seen: &mut Seen) {
    if seen.connections == 0 {
        load.ready.fetch_add(1, Ordering::Relaxed);
    }
    seen.connections += 1;
}

/// Returns whether it was the last message that is awaited.
fn receive(load: &Load, seen: &mut Seen, message: &Value) -> bool {
    if message["type"] == "connected" {
        connected(load, seen);
        // Its id is before the events that are replayed.
        if seen.last_id.is_some() {
            return false;
        }
    }
    seen.note(message);
    seen.is_complete(&load.last)
}

async fn read_socket(load: &Load, port: u16, seen: &mut Seen) {
    let since = seen.last_id.map_or_else(String::new, |id| format!("?since={id}"));
    let url = format!("ws://127.0.0.1:{port}/ws/updates{since}");
    let mut request = url.into_client_request().expect("a valid URL");
    request.headers_mut().insert("x-api-key", VIEWER.parse().expect("a valid header value"));
    let Ok((mut stream, _)) = connect_async(request).await else { return };
    while let Some(Ok(message)) = next_within(stream.next()).await.flatten() {
        let Message::Text(text) = message else { continue };
        let message: Value = serde_json::from_str(&text).expect("every message is JSON");
        if receive(load, seen, &message) {
            return;
        }
    }
}

async fn read_stream(load: &Load, port: u16, seen: &mut Seen) {
    let id = seen.last_id.map(|id| id.to_string());
    let headers: Vec<_> =
        [("x-api-key", VIEWER)].into_iter().chain(id.as_deref().map(|id| ("last-event-id", id))).collect();
    let Ok(Ok(mut stream)) = EventStream::try_open(port, "", &headers).await else { return };
    while let Some(message) = next_within(stream.next()).await.flatten() {
        if receive(load, seen, &message) {
            return;
        }
    }
}

/// `None` if nothing comes for so long that the end of the load may have been missed.
async fn next_within<T>(next: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_secs(20), next).await.ok()
}

/// Starts a web process on a port that another one had.
async fn start_again(system: &TestSystem, port: u16) -> Web {
    let mut web = system.spawn_web(&[("PORT", &port.to_string())]);
    web.port = port;
    eventually("the web process to serve again", || async {
        let response = web.request(Method::GET, "/health/live", None, None).await;
        response.is_ok_and(|response| response.status == 200).then_some(())
    })
    .await;
    web
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_reconnect_see_every_event_once() {
    let (outages, clients) = if is_long() { (20, 20) } else { (2, 4) };
    let mut redis = PrivateRedis::start().await;
    let system = TestSystem::start_on(Servers::with_redis(&redis).await, &[]).await;
    let connection = system.servers.redis().await;
    let (first, second) = tokio::join!(system.start_web(), system.start_web());
    let load = Arc::new(Load { ports: [first.port, second.port], ready: AtomicU64::new(0), last: AtomicU64::new(0) });
    let mut processes = [first, second];
    let following: Vec<_> =
        (0..clients).map(|client| tokio::spawn(follow(Arc::clone(&load), client % 2 == 0, client))).collect();
    eventually("every client to be connected", || async {
        (load.ready.load(Ordering::Relaxed) == clients as u64).then_some(())
    })
    .await;

    let stop = AtomicBool::new(false);
    let committing = async {
        let mut number = 0;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            commit(&system, &connection, new_transactions(number)).await;
            sleep(PAUSE).await;
        }
        // Known before it is sent, so that no client waits for more.
        load.last.store(number + 1, Ordering::Relaxed);
        commit(&system, &connection, new_transactions(number + 1)).await;
        number + 1
    };
    let killing = async {
        for outage in 0..outages {
            redis.kill();
            redis.restart().await;
            let process = &mut processes[outage % 2];
            process.program.kill();
            *process = start_again(&system, process.port).await;
        }
        stop.store(true, Ordering::Relaxed);
    };
    let (last, ()) = tokio::join!(committing, killing);
    let expected: Vec<u64> = (1..=last).collect();
    for following in following {
        let seen = following.await.expect("no panic");
        assert_eq!(seen.numbers, expected, "after {} connections", seen.connections);
        assert!(seen.connections > 1, "its process was killed");
    }
}
