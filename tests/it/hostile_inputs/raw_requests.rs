//! Requests that no HTTP client would send.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::TIMEOUT;
use crate::harness::test_system::Web;

/// How long a response is awaited.
const INCOMPLETE: Duration = Duration::from_millis(500);

/// Every request by what is wrong with it. `key` is a valid key, so that nothing is refused only for want of one.
pub(super) fn raw_requests(key: &str) -> Vec<(&'static str, Vec<u8>)> {
    let head = format!(
        "POST /api/v1/exports HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\ncontent-type: application/json\r\n"
    );
    let smuggled = "GET /api/v1/me HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let with = |rest: String| format!("{head}{rest}").into_bytes();
    let get = |line: &str, headers: &str| format!("{line}\r\nhost: localhost\r\n{headers}\r\n").into_bytes();
    let bomb = vec![b'a'; 200_000];
    let mut requests = vec![
        ("two lengths", with(format!("content-length: 5\r\ncontent-length: 0\r\n\r\n{smuggled}"))),
        (
            "length and chunks",
            with(format!("content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}")),
        ),
        (
            "chunks and length",
            with(format!("transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n{smuggled}")),
        ),
        ("two encodings", with(format!("transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n{smuggled}"))),
        ("encoding with a space", with(format!("transfer-encoding : chunked\r\n\r\n0\r\n\r\n{smuggled}"))),
        ("encoding with a tab", with(format!("transfer-encoding:\tx\tchunked\r\n\r\n0\r\n\r\n{smuggled}"))),
        ("unknown encoding", with(format!("transfer-encoding: xchunked\r\n\r\n0\r\n\r\n{smuggled}"))),
        ("negative length", with("content-length: -1\r\n\r\n".to_owned())),
        ("length with a sign", with("content-length: +5\r\n\r\n{\"a\":".to_owned())),
        ("huge length", with("content-length: 99999999999999999999\r\n\r\n".to_owned())),
        ("bad chunk size", with("transfer-encoding: chunked\r\n\r\nzz\r\n\r\n".to_owned())),
        ("huge chunk size", with("transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n".to_owned())),
        ("long chunk extension", with(format!("transfer-encoding: chunked\r\n\r\n1;{}\r\n", "a".repeat(100_000)))),
        ("folded header", with(format!("x-a: 1\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}"))),
        ("bare line feeds", format!("GET /no HTTP/1.1\nhost: localhost\n\n{smuggled}").into_bytes()),
        ("carriage return in a header", get("GET /api/v1/me HTTP/1.1", "x-a: a\rb: c\r\n")),
        ("null in a header", get("GET /api/v1/me HTTP/1.1", "x-a: a\0b\r\n")),
        ("null in the path", get("GET /api/v1/me\0 HTTP/1.1", "")),
        ("two hosts", get("GET /api/docs HTTP/1.1", "host: evil.test\r\n")),
        ("no host", b"GET /api/docs HTTP/1.1\r\n\r\n".to_vec()),
        ("unknown version", get("GET /api/docs HTTP/9.9", "")),
        ("no version", b"GET /api/docs\r\n\r\n".to_vec()),
        ("method with a space", get("GET  /api/docs HTTP/1.1", "")),
        ("unknown method", get("BREW /api/docs HTTP/1.1", "")),
        ("connect", get("CONNECT 127.0.0.1:5432 HTTP/1.1", "")),
        ("trace", get("TRACE /api/docs HTTP/1.1", "")),
        ("path up", get("GET /api/docs/../../etc/passwd HTTP/1.1", "")),
        ("encoded path up", get("GET /api/%2e%2e/%2e%2e/etc/passwd HTTP/1.1", "")),
        ("another scheme", get("GET file:///etc/passwd HTTP/1.1", "")),
        ("long URL", get(&format!("GET /{} HTTP/1.1", "a".repeat(70_000)), "")),
        ("long URL within the buffer", get(&format!("GET /{} HTTP/1.1", "a".repeat(20_000)), "")),
        ("many headers", get("GET /api/docs HTTP/1.1", &"x-a: 1\r\n".repeat(150))),
        ("very many headers", get("GET /api/docs HTTP/1.1", &"x-a: 1\r\n".repeat(5_000))),
        ("large header", get("GET /api/docs HTTP/1.1", &format!("x-a: {}\r\n", "a".repeat(30_000)))),
        ("very large header", get("GET /api/docs HTTP/1.1", &format!("x-a: {}\r\n", "a".repeat(500_000)))),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("random bytes", (0..=255).chain(0..=255).collect()),
        ("broken HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        ("invalid UTF-8 in the query", get_bytes(key, b"/api/v1/transactions?status=\xff\xfe")),
        ("encoded invalid UTF-8", get_bytes(key, b"/api/v1/transactions?status=%ff%fe")),
        ("broken percent encoding", get_bytes(key, b"/api/v1/transactions?status=%zz%1")),
        (
            "invalid UTF-8 in the body",
            [with("content-length: 12\r\n\r\n".to_owned()), b"{\"export\":\"\xff".to_vec()].concat(),
        ),
    ];
    for encoding in ["gzip", "br", "deflate", "zstd", "gzip, br"] {
        let length = bomb.len();
        let bomb = [with(format!("content-encoding: {encoding}\r\ncontent-length: {length}\r\n\r\n")), bomb.clone()];
        requests.push(("compressed body", bomb.concat()));
    }
    requests
}

fn get_bytes(key: &str, target: &[u8]) -> Vec<u8> {
    let headers = format!(" HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\n\r\n");
    [b"GET ", target, headers.as_bytes()].concat()
}

/// The status of the first response; `None` if the connection is closed without one.
pub(super) async fn answer(web: &Web, request: &[u8]) -> Option<u16> {
    let stream = TcpStream::connect(("127.0.0.1", web.port)).await.expect("the web process listens");
    let (mut reader, mut writer) = stream.into_split();
    let exchange = async {
        // The process may close the connection before it has read everything.
        let _sent = writer.write_all(request).await;
        let mut response = vec![0; 64 << 10];
        // A request that is not complete has no response; it ends when this side has nothing more to send.
        let received = timeout(INCOMPLETE, reader.read(&mut response)).await;
        response.truncate(received.map_or(0, Result::unwrap_or_default));
        let _closed = writer.shutdown().await;
        let _ended = reader.read_to_end(&mut response).await;
        response
    };
    let response = timeout(TIMEOUT, exchange).await.expect("the connection is closed");
    let text = String::from_utf8_lossy(&response);
    let status = text.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5)?.parse().ok());
    assert!(text.matches("HTTP/1.1 2").count() == 0, "a request was smuggled: {text}");
    status
}
