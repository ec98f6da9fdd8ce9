//! Inputs made to break something: each is refused or harmless, memory stays flat, and `/health` answers all the while.

mod raw_requests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use self::raw_requests::{answer, raw_requests};
use crate::harness::is_long;
use crate::harness::programs::Memory;
use crate::harness::test_system::{OPERATOR, TestSystem, VIEWER, Web};

/// Far more than on an idle machine, where it is a few milliseconds: test machines are busy.
const HEALTH_WITHIN: Duration = Duration::from_secs(5);
/// How much the memory may grow: less than one of the larger inputs, if each were kept.
const MAX_GROWTH_MIB: f64 = 64.0;

const TEXTS: [&str; 38] = [
    "' OR '1'='1",
    "'; DROP TABLE transactions; --",
    "1); SELECT pg_sleep(10); --",
    "' UNION SELECT key_hash FROM api_keys --",
    "$$; COPY transactions TO PROGRAM 'id'; $$",
    "\\'; SELECT 1; --",
    "%' AND 1=CAST((SELECT version()) AS int) --",
    "{{7*7}}",
    "${7*7}",
    "<%= 7 * 7 %>",
    "#{7*7}",
    "${jndi:ldap://127.0.0.1:1/a}",
    "{{constructor.constructor('return 1')()}}",
    "../../../../etc/passwd",
    "..\\..\\..\\windows\\win.ini",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "....//....//etc/passwd",
    "/etc/passwd%00.csv",
    "file:///etc/passwd",
    "http://169.254.169.254/latest/meta-data/",
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "=HYPERLINK(\"http://127.0.0.1\")",
    "() { :; }; echo vulnerable",
    "`id`",
    "| id",
    "&& id",
    "\u{0}",
    "a\r\nset-cookie: a=b",
    "a\u{202e}b",
    "\u{feff}\u{200b}\u{2060}",
    "\u{1d11e}\u{10ffff}",
    "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
    "ﷺﷺﷺﷺﷺﷺﷺﷺ",
    "-9223372036854775809",
    "1e309",
    "NaN",
    "0x7fffffff",
];

/// Fields that accept only certain values, so that every text above is an error.
const TYPED_FIELDS: [&str; 8] = [
    "/api/v1/transactions?status=",
    "/api/v1/transactions?limit=",
    "/api/v1/transactions?cursor=",
    "/api/v1/transactions?sort_by=",
    "/api/v1/metrics/overview?timezone=",
    "/api/v1/metrics/trends?granularity=",
    "/api/v1/reconciliation/discrepancies?from_date=",
    "/api/v1/jobs?state=",
];
/// Fields that accept any text: it may find nothing, but it must do nothing else.
const TEXT_FIELDS: [&str; 4] = [
    "/api/v1/transactions?search=",
    "/api/v1/transactions?project=",
    "/api/v1/transactions?min_amount=",
    "/api/v1/export/transactions?merchant_id=",
];
const PATHS: [&str; 4] = ["/api/v1/transactions/", "/api/v1/exports/", "/api/v1/merchants/acme/", "/api/v1/"];

/// What is expected of an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Refused,
    /// Refused, or answered without effect.
    Harmless,
}

struct Input {
    method: Method,
    path: String,
    body: Option<String>,
    expected: Expected,
}

fn get(path: String, expected: Expected) -> Input {
    Input { method: Method::GET, path, body: None, expected }
}

fn post(path: &str, body: String) -> Input {
    Input { method: Method::POST, path: path.to_owned(), body: Some(body), expected: Expected::Refused }
}

fn inputs() -> Vec<Input> {
    let mut inputs = vec![];
    for text in TEXTS {
        let encoded: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let segment = encoded.replace('+', "%20");
        inputs.extend(TYPED_FIELDS.iter().map(|field| get(format!("{field}{encoded}"), Expected::Refused)));
        inputs.extend(TEXT_FIELDS.iter().map(|field| get(format!("{field}{encoded}"), Expected::Harmless)));
        inputs.extend(PATHS.iter().map(|path| get(format!("{path}{segment}"), Expected::Refused)));
        inputs.push(post("/api/v1/sync/trigger", json!({"source": text}).to_string()));
        inputs.push(post("/api/v1/exports", json!({"export": text, "format": "csv"}).to_string()));
    }
    inputs.extend(bodies().into_iter().map(|body| post("/api/v1/sync/trigger", body)));
    inputs
}

/// Bodies that are deeply nested, large, or almost JSON.
fn bodies() -> Vec<String> {
    let nested = |open: &str, close: &str, depth: usize| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    let many_fields: Vec<String> = (0..20_000).map(|number| format!("\"f{number}\":1")).collect();
    vec![
        nested("[", "]", 100_000),
        nested("{\"a\":", "}", 100_000),
        format!("{{\"source\":{}}}", nested("[", "]", 1_000)),
        format!("{{\"source\":\"{}\"}}", "a".repeat(900_000)),
        format!("{{\"source\":\"{}\"}}", "a".repeat(2_000_000)),
        format!("{{{}}}", many_fields.join(",")),
        format!("{{\"source\":1e{}}}", "9".repeat(10_000)),
        "{\"source\":\"vima\",\"source\":\"payshack\",\"mode\":1}".to_owned(),
        "{\"source\":\"\\ud800\"}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "\"text\"".to_owned(),
        "{\"__proto__\":{\"role\":\"admin\"}}".to_owned(),
        "\u{feff}{\"source\":\"vima\"}".to_owned(),
        "{'source':'vima'}".to_owned(),
        "{\"source\":NaN}".to_owned(),
        "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>".to_owned(),
    ]
}

/// The longest time that `/health` takes until `stop` is set.
async fn watch_health(web: &Web, stop: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let response = web.request(Method::GET, "/health/live", None, None).await.expect("the web process responds");
        assert_eq!(response.status, 200);
        longest = longest.max(started.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    longest
}

async fn send_inputs(web: &Web) -> usize {
    let inputs = inputs();
    for Input { method, path, body, expected } in &inputs {
        let key = if *method == Method::POST { OPERATOR } else { VIEWER };
        let response = web.request(method.clone(), path, Some(key), body.as_deref()).await;
        // A body that is refused before it was read may end with the connection.
        let Ok(response) = response else { continue };
        let what: String =
            format!("{method} {path} {}", body.as_deref().unwrap_or_default()).chars().take(300).collect();
        assert!(response.status < 500, "{what}: {response:?}");
        assert!(*expected == Expected::Harmless || response.status >= 400, "{what}: {response:?}");
        let bounded = response.status < 400 || response.text.len() < 16 << 10;
        assert!(bounded, "{what}: an error of {} bytes", response.text.len());
        assert!(!response.headers.contains_key("set-cookie"), "{what}: {response:?}");
    }
    let raw = raw_requests(VIEWER);
    for (what, request) in &raw {
        let status = answer(web, request).await;
        assert!(status.is_none_or(|status| (400..500).contains(&status)), "{what}: {status:?}");
    }
    inputs.len() + raw.len()
}

#[tokio::test]
async fn hostile_inputs_are_refused_with_flat_memory() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    // The first use of each part needs memory that stays.
    send_inputs(&web).await;
    let before = web.program.memory_mib(Memory::Resident);
    let stop = AtomicBool::new(false);
    let (count, longest) = tokio::join!(
        async {
            let count = send_inputs(&web).await;
            stop.store(true, Ordering::Relaxed);
            count
        },
        watch_health(&web, &stop)
    );
    let after = web.program.memory_mib(Memory::Resident);
    println!("{count} inputs; /health took at most {longest:?}; memory {before:.1} -> {after:.1} MiB");
    assert!(count >= 500, "{count}");
    assert!(after - before < MAX_GROWTH_MIB, "memory grew from {before:.1} to {after:.1} MiB");
    assert!(longest < HEALTH_WITHIN, "{longest:?}");
    assert_eq!(system.number("SELECT count(*) FROM jobs").await, 0, "nothing was started");
    assert_eq!(system.number("SELECT count(*) FROM exports").await, 0, "nothing was created");
}

/// Thousands of clients need as many open files.
fn allow_many_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("the soft limit can be raised");
}

/// Clients that begin a request and never end it make room for others.
#[tokio::test]
async fn half_open_connections_do_not_keep_others_out() {
    allow_many_files();
    let system = TestSystem::start(&[]).await;
    let (limit, clients) = if is_long() { ("800", 2_000) } else { ("100", 300) };
    let web = system.start_web_with(&[("HTTP_MAX_CONNECTIONS", limit)]).await;
    let before = web.program.memory_mib(Memory::Resident);
    let (stop, mut half_open) = (AtomicBool::new(false), vec![]);
    let connect = async {
        for number in 0..clients {
            let Ok(mut client) = TcpStream::connect(("127.0.0.1", web.port)).await else { continue };
            let head = if number % 2 == 0 { "" } else { "GET /health HTTP/1.1\r\nhost: localhost\r\nx-a: " };
            // A connection that made room for another may be closed already.
            let _sent = client.write_all(head.as_bytes()).await;
            half_open.push(client);
        }
        stop.store(true, Ordering::Relaxed);
    };
    let ((), longest) = tokio::join!(connect, watch_health(&web, &stop));
    let last = web.request(Method::GET, "/health", None, None).await.expect("the web process responds");
    let after = web.program.memory_mib(Memory::Resident);
    println!("{clients} half-open connections; /health took at most {longest:?}; memory {before:.1} -> {after:.1} MiB");
    assert_eq!((half_open.len(), last.status), (clients, 200));
    assert!(longest < HEALTH_WITHIN, "{longest:?}");
    assert!(after - before < MAX_GROWTH_MIB, "memory grew from {before:.1} to {after:.1} MiB");
}
