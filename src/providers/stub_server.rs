//! A provider for tests: a real HTTP server on a port of its own, whose answers are a function of the request.
//!
//! It speaks HTTP by hand, on threads, because what it has to do (break off, never end, say nothing) is what a server
//! library is made to prevent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use reqwest::Url;
use tokio::sync::Notify;

/// A request as the server got it.
#[derive(Debug, Clone, Default)]
pub(super) struct Asked {
    /// `GET /path?query`.
    pub(super) line: String,
    /// In lower case, as `name: value`.
    pub(super) headers: Vec<String>,
    pub(super) body: String,
}

/// What the server does.
pub(super) enum Answer {
    /// Answers with a status, a header line (or none) and a body.
    Full(u16, &'static str, String),
    /// Answers with these bytes.
    Bytes(&'static [u8]),
    /// Promises more than it sends, and hangs up.
    Cut(&'static str),
    /// Sends for ever.
    Endless,
    /// Says nothing until the client hangs up.
    Silence,
    /// Hangs up at once.
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

type Script = dyn Fn(usize, &Asked) -> Answer + Send + Sync;

/// The server. Its threads end with the test program.
pub(super) struct StubServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Somebody asked.
    pub(super) rung: Arc<Notify>,
    /// A client that was met with silence hung up.
    pub(super) hung_up: Arc<Notify>,
}

impl StubServer {
    /// Answers each request as `script` says, given its number (from 0) and what it asks.
    pub(super) fn start(script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let server = Self {
            address: listener.local_addr().expect("an address"),
            asked: Arc::default(),
            rung: Arc::default(),
            hung_up: Arc::default(),
        };
        let (asked, rung, hung_up) = (server.asked.clone(), server.rung.clone(), server.hung_up.clone());
        let script: Arc<Script> = Arc::new(script);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, rung, hung_up, script) = (asked.clone(), rung.clone(), hung_up.clone(), script.clone());
                thread::spawn(move || serve(stream, &asked, &rung, &hung_up, &*script));
            }
        });
        server
    }

    pub(super) fn url(&self) -> Url {
        Url::parse(&format!("http://{}", self.address)).expect("an address")
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }
}

/// One connection, one request.
fn serve(mut stream: TcpStream, asked: &Mutex<Vec<Asked>>, rung: &Notify, hung_up: &Notify, script: &Script) {
    let request = read_request(&stream);
    let number = {
        let mut asked = asked.lock().expect("no panic");
        asked.push(request.clone());
        asked.len() - 1
    };
    rung.notify_one();
    // A client that hangs up early is part of the game.
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
            hung_up.notify_one();
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

fn read_request(stream: &TcpStream) -> Asked {
    let mut reader = BufReader::new(stream);
    let mut lines = reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let line = lines.next().unwrap_or_default();
    let headers: Vec<String> = lines.map(|line| line.to_lowercase().replacen(": ", ":", 1)).collect();
    let length = headers.iter().find_map(|header| header.strip_prefix("content-length:")?.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    let _ = reader.read_exact(&mut body);
    Asked { line, headers, body: String::from_utf8_lossy(&body).into_owned() }
}
