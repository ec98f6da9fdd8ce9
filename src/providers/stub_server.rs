//! A stub provider for tests: a real HTTP server whose responses are a function of the request.
//!
//! It implements HTTP itself, on threads, because server libraries prevent what it has to do: disconnect, send without end,
//! send nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use reqwest::Url;
use tokio::sync::Notify;

/// A request as received.
#[derive(Debug, Clone, Default)]
pub(super) struct ReceivedRequest {
    /// `GET /path?query`.
    pub(super) line: String,
    /// In lower case, as `name: value`.
    pub(super) headers: Vec<String>,
    pub(super) body: String,
}

/// What the server does.
pub(super) enum Answer {
    /// A status, a header line (or an empty text) and a body.
    Full(u16, &'static str, String),
    /// A response with this body.
    Bytes(&'static [u8]),
    /// Sends less than its content length, then disconnects.
    Cut(&'static str),
    /// Sends without end.
    Endless,
    /// Sends nothing until the client disconnects.
    Silence,
    /// Disconnects at once.
    HangUp,
}

impl Answer {
    pub(super) fn ok(body: impl Into<String>) -> Self {
        Self::Full(200, "", body.into())
    }

    pub(super) fn status(status: u16) -> Self {
        Self::Full(status, "", "<html>no</html>".to_owned())
    }
}

type Script = dyn Fn(usize, &ReceivedRequest) -> Answer + Send + Sync;

/// Its threads end with the test program.
pub(super) struct StubServer {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<ReceivedRequest>>>,
    /// Notified for each request.
    pub(super) request_received: Arc<Notify>,
    /// Notified when the client of an unanswered request disconnects.
    pub(super) disconnected: Arc<Notify>,
}

impl StubServer {
    /// `script` receives the number of each request, from 0, and the request.
    pub(super) fn start(script: impl Fn(usize, &ReceivedRequest) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = Self {
            address: listener.local_addr().expect("an address"),
            requests: Arc::default(),
            request_received: Arc::default(),
            disconnected: Arc::default(),
        };
        let (requests, request_received, disconnected) =
            (server.requests.clone(), server.request_received.clone(), server.disconnected.clone());
        let script: Arc<Script> = Arc::new(script);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (requests, request_received, disconnected, script) =
                    (requests.clone(), request_received.clone(), disconnected.clone(), script.clone());
                thread::spawn(move || serve(stream, &requests, &request_received, &disconnected, &*script));
            }
        });
        server
    }

    pub(super) fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).expect("an address")
    }

    pub(super) fn requests(&self) -> Vec<ReceivedRequest> {
        self.requests.lock().expect("no panic").clone()
    }
}

/// One connection, one request.
fn serve(
    mut stream: TcpStream,
    requests: &Mutex<Vec<ReceivedRequest>>,
    request_received: &Notify,
    disconnected: &Notify,
    script: &Script,
) {
    let request = read_request(&stream);
    let number = {
        let mut requests = requests.lock().expect("no panic");
        requests.push(request.clone());
        requests.len() - 1
    };
    request_received.notify_one();
    // Some tests disconnect early.
    let _ = match script(number, &request) {
        Answer::Full(status, header, body) => {
            let separator = if header.is_empty() { "" } else { "\r\n" };
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n{header}{separator}\r\n"
            );
            stream.write_all((head + &body).as_bytes())
        }
        Answer::Bytes(body) => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").and_then(|()| stream.write_all(body))
        }
        Answer::Cut(body) => {
            stream.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{body}").as_bytes())
        }
        Answer::Endless => endless(&mut stream),
        Answer::Silence => {
            let _ = stream.read(&mut [0; 1]);
            disconnected.notify_one();
            Ok(())
        }
        Answer::HangUp => Ok(()),
    };
}

fn endless(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n[")?;
    loop {
        stream.write_all(&[b' '; 4096])?;
    }
}

fn read_request(stream: &TcpStream) -> ReceivedRequest {
    let mut reader = BufReader::new(stream);
    let mut lines = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let line = lines.next().unwrap_or_default();
    let headers: Vec<String> = lines.map(|line| line.to_lowercase().replacen(": ", ":", 1)).collect();
    let length = headers.iter().find_map(|header| header.strip_prefix("content-length:")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    ReceivedRequest { line, headers, body: String::from_utf8_lossy(&body).into_owned() }
}
