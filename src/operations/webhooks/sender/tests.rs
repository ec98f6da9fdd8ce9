use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::header::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::operations::webhooks::target::Lookup;
use crate::outbound::Outbound;

const MESSAGE: SignedMessage<'static> =
    SignedMessage { id: "msg_1", timestamp: 1, signature: "v1,x", payload: r#"{"type":"test"}"# };

fn config(allow_loopback: bool) -> WebhooksConfig {
    WebhooksConfig { keys: None, allow_loopback, outbound: Outbound::default() }
}

/// A server on this machine that counts its connections and answers each with `answer`.
async fn server(answer: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (address, connections) = (listener.local_addr().expect("a bound socket"), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut request = vec![0; 16 << 10];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                let _ = stream.shutdown().await;
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {}
            });
        }
    });
    (address, connections)
}

/// A sender for whose names each lookup finds the next of these addresses; also returns how many lookups there were.
fn resolving(allowed: AllowedTargets, addresses: &[[u8; 4]]) -> (WebhookSender, Arc<AtomicUsize>) {
    let (lookups, addresses) = (Arc::new(AtomicUsize::new(0)), addresses.to_vec());
    let counted = Arc::clone(&lookups);
    let lookup: Lookup = Arc::new(move |_| {
        let found = addresses.get(counted.fetch_add(1, Ordering::SeqCst)).copied();
        Box::pin(async move { Ok(vec![SocketAddr::from((found.expect("no further lookup"), 0))]) })
    });
    let resolver = CheckedResolver { allowed, lookup };
    (WebhookSender::with_resolver(&config(false), resolver).expect("this machine speaks TLS"), lookups)
}

#[tokio::test]
async fn name_that_resolves_to_this_machine_is_refused_before_a_connection() {
    let (local, connections) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let (sender, lookups) = resolving(AllowedTargets::Public, &[[127, 0, 0, 1]]);
    let url = format!("https://hooks.example.com:{}/", local.port());
    let sent = sender.send(&url, &MESSAGE, DateTime::UNIX_EPOCH).await;
    assert_eq!((sent.reply, sent.response), (Reply::None, None));
    assert!(sent.error.as_ref().is_some_and(|error| error.contains("must be a public address")), "{:?}", sent.error);
    assert_eq!((lookups.load(Ordering::SeqCst), connections.load(Ordering::SeqCst)), (1, 0));
}

/// A name that resolves to an allowed address when it is checked, and to another one a moment later (DNS rebinding).
#[tokio::test]
async fn connection_is_made_to_the_address_that_was_checked() {
    let (local, connections) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let (sender, lookups) =
        resolving(AllowedTargets::PublicAndLoopback, &[[127, 0, 0, 1], [10, 0, 0, 1], [10, 0, 0, 1]]);
    let url = format!("http://hooks.localhost:{}/", local.port());
    let sent = sender.send(&url, &MESSAGE, DateTime::UNIX_EPOCH).await;
    assert!(sent.reply.is_success(), "{sent:?}");
    assert_eq!(
        (lookups.load(Ordering::SeqCst), connections.load(Ordering::SeqCst)),
        (1, 1),
        "one lookup, and its address"
    );
    let sent = sender.send(&url, &MESSAGE, DateTime::UNIX_EPOCH).await;
    assert!(sent.error.is_some_and(|error| error.contains("must be a public address")), "the next one is refused");
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn response_is_bounded_and_redirects_are_not_followed() {
    let long: &'static str = Box::leak(
        format!("HTTP/1.1 503 No\r\nretry-after: 120\r\ncontent-length: 90000\r\n\r\n{}", "x\0".repeat(45_000))
            .into_boxed_str(),
    );
    let (other, redirected) = server("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let redirect: &'static str = Box::leak(
        format!("HTTP/1.1 307 Elsewhere\r\nlocation: http://{other}/\r\ncontent-length: 0\r\n\r\n").into_boxed_str(),
    );
    let sender = WebhookSender::new(&config(true)).expect("this machine speaks TLS");
    let wait = Some(Duration::from_mins(2));
    for (answer, reply) in [
        (long, Reply::Status { code: 503, retry_after: wait }),
        (redirect, Reply::Status { code: 307, retry_after: None }),
    ] {
        let (address, _) = server(answer).await;
        let sent = sender.send(&format!("http://{address}/"), &MESSAGE, DateTime::UNIX_EPOCH).await;
        assert_eq!(sent.reply, reply, "{sent:?}");
        let response = sent.response.unwrap_or_default();
        assert!(response.chars().count() <= MAX_RESPONSE_BYTES && !response.contains('\0'));
        assert!(sent.error.is_some_and(|error| !error.contains("http")), "an error does not contain the URL");
    }
    assert_eq!(redirected.load(Ordering::SeqCst), 0);
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("an address");
    let sent = sender.send(&format!("http://{silent}/s3cret"), &MESSAGE, DateTime::UNIX_EPOCH).await;
    let error = sent.error.expect("nobody listens");
    assert!(sent.reply == Reply::None && !error.contains("s3cret"), "{error}");
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let now = "2026-01-15T10:00:00Z".parse().expect("a time");
    for (text, expected) in [
        ("120", Some(120)),
        ("Thu, 15 Jan 2026 10:00:30 GMT", Some(30)),
        ("Thu, 15 Jan 2026 09:00:00 GMT", None),
        ("soon", None),
        ("-5", None),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
        assert_eq!(retry_after(&headers, now), expected.map(Duration::from_secs), "{text}");
    }
}
