//! Clients that are silent or slow lose their connection, so that they cannot keep others from being served.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::export::insert_discrepancies;
use crate::harness::eventually;
use crate::harness::socket::Socket;
use crate::harness::test_system::{TestSystem, VIEWER, Web};

const EXPORT: &str = "/api/v1/export/reconciliation";

async fn connect(web: &Web) -> TcpStream {
    TcpStream::connect(("127.0.0.1", web.port)).await.expect("the web process listens")
}

async fn send(web: &Web, request: &str) -> TcpStream {
    let mut client = connect(web).await;
    client.write_all(request.as_bytes()).await.expect("the web process reads");
    client
}

/// Reads until the web process closes the connection.
async fn read_to_end(client: &mut TcpStream) -> String {
    let mut text = vec![];
    let reading = client.read_to_end(&mut text);
    // A reset also is an end.
    let _ended = tokio::time::timeout(crate::harness::TIMEOUT, reading).await.expect("the connection is closed");
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn silent_client_loses_its_connection() {
    let system = TestSystem::start(&[]).await;
    let settings = [("HTTP_HEADER_TIMEOUT_SECONDS", "1"), ("HTTP_IDLE_TIMEOUT_SECONDS", "2")];
    let web = system.start_web_with(&settings).await;
    assert_eq!(read_to_end(&mut connect(&web).await).await, "", "a client that sends nothing");

    let dripping = send(&web, "GET /health/live HTTP/1.1\r\n").await;
    eventually("the connection of an endless head to be closed", || {
        let header = dripping.try_write(b"x-header: 1\r\n");
        async move { header.is_err().then_some(()) }
    })
    .await;

    let mut idle = send(&web, "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let response = read_to_end(&mut idle).await;
    assert!(response.starts_with("HTTP/1.1 200"), "then it is idle, and closed: {response}");

    let mut head_of_second = send(&web, "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\nGET /health").await;
    let response = read_to_end(&mut head_of_second).await;
    assert!(response.starts_with("HTTP/1.1 200") && response.matches("HTTP/1.1").count() == 1, "{response}");
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused_with_503() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web_with(&[("HTTP_MAX_CONNECTIONS", "4")]).await;
    let mut sockets = vec![];
    for _ in 0..4 {
        sockets.push(Socket::connect_with_key(&web.socket(), VIEWER).await);
    }
    let mut client = send(&web, "GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let refused = read_to_end(&mut client).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("retry-after: 5"), "{refused}");
    assert!(refused.contains("too many connections"), "{refused}");
    drop(sockets);
    eventually("a connection to be free", || async {
        let mut client = send(&web, "GET /health/live HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        read_to_end(&mut client).await.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
}

/// Reads a little at a time until the connection is closed.
async fn read_slowly(mut client: TcpStream) {
    while let Ok(1..) = client.read(&mut [0; 256]).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn slow_client_does_not_block_exports() {
    let system = TestSystem::start(&[]).await;
    insert_discrepancies(&system, 50_000).await;
    // With so few connections, one export may run.
    let settings = [("DATABASE_MAX_CONNECTIONS", "4"), ("DOWNLOAD_MAX_SECONDS", "2")];
    let web = system.start_web_with(&settings).await;
    let request = format!("GET {EXPORT} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {VIEWER}\r\n\r\n");
    let slow = tokio::spawn(read_slowly(send(&web, &request).await));
    let aborted = "SELECT count(*) FROM audit_log WHERE outcome = 'the file was not complete after 2 s'";
    eventually("the export to be aborted", || async { (system.number(aborted).await == 1).then_some(()) }).await;
    eventually("another export to run", || async {
        (web.download(VIEWER, &format!("{EXPORT}?project=none"), &[]).await.status() == 200).then_some(())
    })
    .await;
    slow.abort();
}
