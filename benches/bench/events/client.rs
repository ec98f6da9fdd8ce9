//! A WebSocket client that costs little, because thousands of them share the machine with the measured process: it reads the ids
//! of events and nothing else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::harness::test_system::VIEWER;

/// An empty pong; frames of clients are masked, here with zeros.
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];
/// `{"type":"ping"}`, masked with zeros: the server replies with a message.
const REQUEST: &[u8] = b"\x81\x8f\0\0\0\0{\"type\":\"ping\"}";
/// How long a client that does not read can write nothing more, until it counts as blocked.
const BLOCKED: Duration = Duration::from_secs(1);

/// When each event was committed.
#[derive(Default)]
pub(super) struct Commits(Mutex<HashMap<u64, Instant>>);

impl Commits {
    pub(super) fn note(&self, id: i64) {
        let id = u64::try_from(id).expect("ids are positive");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Instant::now());
    }

    fn since(&self, id: u64) -> Option<Duration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).map(Instant::elapsed)
    }
}

/// A connected client. It disconnects when dropped.
pub(super) struct Client {
    latencies: Arc<Mutex<Vec<Duration>>>,
    reading: JoinHandle<()>,
}

impl Client {
    /// Without `commits` it receives no events.
    pub(super) async fn connect(port: u16, commits: Option<Arc<Commits>>) -> Self {
        let stream = upgrade(port).await;
        let latencies = Arc::new(Mutex::new(vec![]));
        let reading = tokio::spawn(read(stream, commits, Arc::clone(&latencies)));
        Self { latencies, reading }
    }

    /// A client that does not read, and whose connection has no room for anything more.
    pub(super) async fn connect_and_block(port: u16) -> TcpStream {
        let mut stream = upgrade(port).await;
        while let Ok(written) = tokio::time::timeout(BLOCKED, stream.write_all(REQUEST)).await {
            written.expect("the server keeps the connection");
        }
        stream
    }

    pub(super) fn received(&self) -> usize {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn latencies(&self) -> Vec<Duration> {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn forget(&self) {
        self.latencies.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn upgrade(port: u16) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the web process listens");
    let request = format!(
        "GET /ws/updates HTTP/1.1\r\nhost: localhost\r\nx-api-key: {VIEWER}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("the web process reads");
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a response"));
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    stream
}

async fn read(mut stream: TcpStream, commits: Option<Arc<Commits>>, latencies: Arc<Mutex<Vec<Duration>>>) {
    let (mut buffer, mut filled) = ([0; 2_048], 0);
    while let Ok(count @ 1..) = stream.read(&mut buffer[filled..]).await {
        filled += count;
        let mut start = 0;
        while let Some((opcode, payload, length)) = frame(&buffer[start..filled]) {
            start += length;
            if opcode == 0x9 && stream.write_all(&PONG).await.is_err() {
                return;
            }
            // The welcome is not an event, and has no commit.
            let latency = commits.as_ref().and_then(|commits| commits.since(id_of(payload)?));
            if let Some(latency) = latency.filter(|_| !is_notice(payload)) {
                latencies.lock().unwrap_or_else(PoisonError::into_inner).push(latency);
            }
        }
        buffer.copy_within(start..filled, 0);
        filled -= start;
    }
}

/// The opcode, the payload and the length of a complete frame. Frames of a server are not masked, and here short.
fn frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (start, length) = match bytes.get(1)? {
        126 => (4, usize::from(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]))),
        length => (2, usize::from(*length)),
    };
    Some((bytes[0] & 0xf, bytes.get(start..start + length)?, start + length))
}

/// Messages begin with their id.
fn id_of(payload: &[u8]) -> Option<u64> {
    let digits = payload.strip_prefix(b"{\"id\":")?;
    let length = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(&digits[..length]).ok()?.parse().ok()
}

fn is_notice(payload: &[u8]) -> bool {
    payload.windows(11).any(|window| window == b"\"connected\"")
}
