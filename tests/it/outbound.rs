//! Where requests go that leave the programs: to the address of a setting, and nowhere else.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::eventually;
use crate::harness::programs::{Program, run};
use crate::harness::test_system::TestSystem;

/// A server that records the head of each request.
struct StandIn {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl StandIn {
    /// Answers every request with this status line and these headers.
    async fn start(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound socket"));
        let heads: Arc<Mutex<Vec<String>>> = Arc::default();
        let received = Arc::clone(&heads);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(respond(stream, answer.clone(), Arc::clone(&received)));
            }
        });
        Self { url, heads }
    }

    fn requests(&self, part: &str) -> usize {
        self.heads.lock().expect("no panic").iter().filter(|head| head.contains(part)).count()
    }
}

async fn respond(mut stream: TcpStream, answer: String, received: Arc<Mutex<Vec<String>>>) {
    let mut head = vec![0; 16 << 10];
    let read = stream.read(&mut head).await.unwrap_or_default();
    received.lock().expect("no panic").push(String::from_utf8_lossy(&head[..read]).into_owned());
    // Some clients disconnect early.
    let _ = stream.write_all(format!("{answer}\r\nconnection: close\r\n\r\n").as_bytes()).await;
    // A connection that is closed before its request was read is reset, and the answer may be lost.
    let _ = stream.shutdown().await;
    while stream.read(&mut head).await.is_ok_and(|read| read > 0) {}
}

#[tokio::test]
async fn redirects_and_proxies_of_the_environment_are_not_followed() {
    let system = TestSystem::start(&[]).await;
    let other = StandIn::start("HTTP/1.1 200 OK\r\ncontent-length: 0".to_owned()).await;
    let proxy = StandIn::start("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0".to_owned()).await;
    let location = format!("HTTP/1.1 307 Temporary Redirect\r\ncontent-length: 0\r\nlocation: {}/elsewhere", other.url);
    let front = StandIn::start(location).await;
    let at = |path: &str| format!("{}{path}", front.url);
    let (vima, payshack, rates) = (at("/vima"), at("/payshack"), at("/rates?key=s3cret"));
    let mut settings: Vec<(&'static str, &str)> =
        vec![("VIMA_BASE_URL", &vima), ("PAYSHACK_API_URL", &payshack), ("FX_RATES_URL", &rates)];
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        settings.push((name, &proxy.url));
    }
    let _worker = system.start_jobs_with(&["worker"], &settings);
    for kind in ["sync-vima", "sync-payshack", "refresh-fx-rates"] {
        system.enqueue(kind, None);
    }
    for path in ["GET /vima/operation", "POST /payshack/", "GET /rates"] {
        eventually(path, || async { (front.requests(path) > 0).then_some(()) }).await;
    }

    let mut checked = system.settings();
    checked.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
    checked.extend([
        ("EXPORT_STORE", "s3://bucket/exports".to_owned()),
        ("AWS_ENDPOINT", front.url.clone()),
        ("AWS_REGION", "eu-west-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "made-up".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "made-up".to_owned()),
        ("AWS_SESSION_TOKEN", "made-up-token".to_owned()),
    ]);
    // Blocking, which would stop the stand-ins.
    let check = tokio::task::spawn_blocking(move || run(Program::Psp, &["check"], checked)).await.expect("no panic");
    assert!(check.stdout.contains("FAIL  export store"), "{check:?}");
    assert!(front.requests("PUT /bucket/exports/") > 0, "{check:?}");
    assert_eq!((other.requests(""), proxy.requests("")), (0, 0));
}

#[tokio::test]
async fn requests_take_the_proxy_that_is_set() {
    let system = TestSystem::start(&[]).await;
    let proxy = StandIn::start("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0".to_owned()).await;
    let settings = [
        ("VIMA_BASE_URL", "http://vima.invalid/api"),
        ("ALLOW_INSECURE_PROVIDER_URLS", "true"),
        ("OUTBOUND_PROXY", proxy.url.as_str()),
    ];
    let _worker = system.start_jobs_with(&["worker"], &settings);
    system.enqueue("sync-vima", None);
    let request = "GET http://vima.invalid/api/operation";
    eventually(request, || async { (proxy.requests(request) > 0).then_some(()) }).await;
}
