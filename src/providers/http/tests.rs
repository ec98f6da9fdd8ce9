//! How a request behaves against a real server that misbehaves.

use std::io;
use std::sync::Mutex;

use opentelemetry_sdk::trace::SpanData;
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::clock::ManualClock;
use crate::domain::secret::Secret;
use crate::domain::trace::Sampling;
use crate::observability::traces::Work;
use crate::observability::traces::layer::TraceLayer;
use crate::providers::rate_limit::Unlimited;
use crate::providers::stub_server::{Answer, ReceivedRequest, StubServer};

type Fault = fn() -> Answer;

const KEY: &str = "k3y/with+odd=letters";
/// Some want it in the path.
const KEY_IN_PATH: &str = "k3y-in-the-path";

fn quick() -> HttpSettings {
    HttpSettings { request_timeout: Duration::from_secs(20), retry: RetryPolicy::quick(), ..HttpSettings::default() }
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at("2026-01-15T12:00:00.990Z".parse().expect("a time")))
}

fn client(settings: HttpSettings) -> HttpClient {
    HttpClient::new(Upstream::Vima, settings, Arc::new(Unlimited), clock()).expect("a client")
}

/// Asks the server with the keys in the address, and wants a number.
async fn fetch(client: &HttpClient, server: &StubServer) -> Result<u32, ProviderError> {
    let redactor = Redactor::new(&[&Secret::new(KEY), &Secret::new(KEY_IN_PATH)]);
    let url = server.url().join(KEY_IN_PATH).expect("an address");
    let request = |client: &Client| client.get(url.clone()).query(&[("apikey", KEY)]);
    client
        .fetch(Endpoint::Operations, &redactor, request, |answer| {
            answer.parse().map_err(|_| Rejection::Unreadable("no number".into()))
        })
        .await
}

/// Fails as `fault` says twice, then answers.
fn twice(fault: impl Fn() -> Answer + Send + Sync + 'static) -> StubServer {
    StubServer::start(move |number, _| if number < 2 { fault() } else { Answer::ok("7") })
}

#[tokio::test]
async fn transient_errors_are_retried() {
    let faults: [Fault; 9] = [
        || Answer::status(500),
        || Answer::status(502),
        || Answer::status(503),
        || Answer::status(504),
        || Answer::HangUp,
        || Answer::Cut("12"),
        || Answer::Endless,
        || Answer::ok("<html>please log in</html>"),
        || Answer::ok(""),
    ];
    for fault in faults {
        let server = twice(fault);
        let settings = HttpSettings { max_response_bytes: 100_000, ..quick() };
        assert_eq!(fetch(&client(settings), &server).await, Ok(7));
        assert_eq!(server.requests().len(), 3);
    }
}

#[tokio::test]
async fn slow_response_times_out() {
    let server = StubServer::start(|_, _| Answer::Silence);
    let settings = HttpSettings {
        request_timeout: Duration::from_millis(30),
        retry: RetryPolicy { attempts: 2, ..RetryPolicy::quick() },
        ..quick()
    };
    let error = fetch(&client(settings), &server).await.expect_err("silence");
    assert!(matches!(error, ProviderError::Unreachable { .. }), "{error}");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn persistent_failures_end_with_their_error() {
    let provider = Upstream::Vima;
    let cases: [(Fault, ProviderError, usize); 5] = [
        (|| Answer::status(503), ProviderError::Unavailable { provider, status: 503, retry_after: None }, 6),
        (|| Answer::Endless, ProviderError::TooLarge { provider, limit: 100_000 }, 6),
        (
            || Answer::ok("<html> <b>hm</b>"),
            ProviderError::Unreadable {
                provider,
                reason: "no number".into(),
                excerpt: "<html> <b>hm</b>".into(),
                page: Secret::new("<html> <b>hm</b>"),
            },
            6,
        ),
        (
            || Answer::Full(404, "", r#"{"message": "no such account"}"#.into()),
            ProviderError::Refused { provider, status: 404, message: "no such account".into() },
            1,
        ),
        (
            || Answer::status(401),
            ProviderError::Unauthenticated { provider, message: "HTTP 401: <html>no</html>".into() },
            1,
        ),
    ];
    for (fault, expected, attempts) in cases {
        let server = StubServer::start(move |_, _| fault());
        let settings = HttpSettings { max_response_bytes: 100_000, ..quick() };
        assert_eq!(fetch(&client(settings), &server).await, Err(expected));
        assert_eq!(server.requests().len(), attempts);
    }
    let redirect = || Answer::Full(302, "location: http://127.0.0.1:9/", String::new());
    let server = StubServer::start(move |_, _| redirect());
    assert!(matches!(fetch(&client(quick()), &server).await, Err(ProviderError::Refused { status: 302, .. })));
}

#[tokio::test]
async fn rate_limit_responses_cost_no_attempt() {
    // The test clock is 10 ms before that date; without a header, the cap of the backoff applies.
    const DATE: &str = "retry-after: Thu, 15 Jan 2026 12:00:01 GMT";
    for (status, header) in [
        (429, "retry-after: 0"),
        (429, DATE),
        (429, "retry-after: soon"),
        (429, ""),
        (503, "retry-after: 0"),
        (503, DATE),
    ] {
        let server = StubServer::start(move |number, _| match number {
            0..6 => Answer::Full(status, header, String::new()),
            _ => Answer::ok("7"),
        });
        let settings = HttpSettings { retry: RetryPolicy { attempts: 1, ..RetryPolicy::quick() }, ..quick() };
        assert_eq!(fetch(&client(settings), &server).await, Ok(7), "{status} {header}");
    }
}

#[tokio::test]
async fn long_rate_limit_wait_is_left_to_the_queue() {
    // The date is 301.01 s after the clock of the test.
    let date = "retry-after: Thu, 15 Jan 2026 12:05:02 GMT";
    for (header, millis) in [("retry-after: 301", 301_000), (date, 301_010), ("retry-after: 99999999", 3_600_000)] {
        let server = StubServer::start(move |_, _| Answer::Full(429, header, String::new()));
        let settings = HttpSettings {
            retry: RetryPolicy {
                longest_wait: Duration::from_millis(5),
                total_wait: Duration::from_millis(9),
                ..RetryPolicy::quick()
            },
            ..quick()
        };
        let error = fetch(&client(settings), &server).await.expect_err(header);
        assert_eq!(server.requests().len(), 2, "{error}");
        let retry_after = Duration::from_millis(millis);
        assert_eq!(error, ProviderError::RateLimited { provider: Upstream::Vima, retry_after });
    }
}

/// Every request takes a turn, and a 429 holds up everybody.
#[derive(Default)]
struct Counted(Mutex<Vec<Option<Duration>>>);

#[async_trait::async_trait]
impl RateLimit for Counted {
    async fn acquire(&self) {
        self.0.lock().expect("no panic").push(None);
    }

    async fn pause_for(&self, wait: Duration) {
        self.0.lock().expect("no panic").push(Some(wait));
    }
}

#[tokio::test]
async fn every_attempt_acquires_the_rate_limit() {
    let server = StubServer::start(|number, _| match number {
        0 => Answer::status(500),
        1 => Answer::Full(429, "retry-after: 0", String::new()),
        _ => Answer::ok("7"),
    });
    let rate_limit = Arc::new(Counted::default());
    let client = HttpClient::new(Upstream::Vima, quick(), rate_limit.clone(), clock()).expect("a client");
    assert_eq!(fetch(&client, &server).await, Ok(7));
    assert_eq!(*rate_limit.0.lock().expect("no panic"), [None, None, Some(Duration::ZERO), None]);
}

#[tokio::test]
async fn dropped_request_closes_the_connection() {
    let server = StubServer::start(|_, _| Answer::Silence);
    let client = client(quick());
    tokio::select! {
        outcome = fetch(&client, &server) => panic!("{outcome:?}"),
        () = server.request_received.notified() => {}
    }
    timeout(Duration::from_secs(10), server.disconnected.notified()).await.expect("the connection is closed");
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn invalid_characters_do_not_affect_the_page() {
    for (sent, expected) in [(&b"[\"Jos\xe9\"]"[..], "[\"Jos\u{fffd}\"]"), (b"[\"A\0B\"]", r#"["A\u0000B"]"#)] {
        let server = StubServer::start(move |_, _| Answer::Bytes(sent));
        let redactor = Redactor::new(&[]);
        let read = |answer: &str| Ok::<_, Rejection>(answer.to_owned());
        let answer =
            client(quick()).fetch(Endpoint::Operations, &redactor, |client| client.get(server.url()), read).await;
        assert_eq!(answer, Ok(expected.to_owned()));
        assert!(serde_json::from_str::<Vec<String>>(expected).is_ok(), "it is JSON");
    }
}

#[tokio::test]
async fn response_without_content_is_null() {
    let server = StubServer::start(|_, _| Answer::status(204));
    let read = |answer: &str| Ok::<_, Rejection>(answer.to_owned());
    let request = |client: &Client| client.get(server.url());
    assert_eq!(
        client(quick()).fetch(Endpoint::Operations, &Redactor::new(&[]), request, read).await,
        Ok("null".to_owned())
    );
}

/// The log of this thread, as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn listen() -> (Log, DefaultGuard) {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    (log, tracing::subscriber::set_default(subscriber))
}

#[tokio::test]
async fn key_is_in_no_log_and_no_error() {
    let echo = |status| {
        move |_: usize, request: &ReceivedRequest| Answer::Full(status, "", format!("not found: {}", request.line))
    };
    let (log, _guard) = listen();
    // tracing caches whether a callsite is enabled from the first thread that reaches it, and the threads of other tests
    // have no subscriber: reach the callsite once, then rebuild the cache.
    let unreachable = StubServer::start(|_, _| Answer::HangUp);
    let mut output = vec![format!("{:?}", fetch(&client(quick()), &unreachable).await)];
    tracing::callsite::rebuild_interest_cache();
    for status in [200, 401, 404] {
        let server = StubServer::start(echo(status));
        let error = fetch(&client(quick()), &server).await.expect_err("no number");
        assert!(error.to_string().contains("[redacted]"), "{error}");
        output.extend([error.to_string(), format!("{error:?}")]);
    }
    output.push(String::from_utf8_lossy(&log.0.lock().expect("no panic")).into_owned());
    let output = output.concat();
    assert!(output.contains("provider.request") && output.contains("duration_ms"), "the log was captured: {output}");
    for form in [KEY, KEY_IN_PATH, "k3y%2Fwith%2Bodd%3Dletters", "apikey=k3y"] {
        assert!(!output.contains(form), "{form} in {output}");
    }
}

#[tokio::test]
async fn calls_are_steps_of_a_trace_that_is_not_sent() {
    let exported: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = Arc::clone(&exported);
    let export = Box::new(move |step: SpanData| sink.lock().expect("no panic").push(step.name.into_owned()));
    let layer = TraceLayer::new(Sampling::default(), Some(export));
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let server = StubServer::start(|_, _| Answer::ok("7"));
    // As in the test of the log: the callsite must be enabled.
    assert_eq!(fetch(&client(quick()), &server).await, Ok(7));
    tracing::callsite::rebuild_interest_cache();

    let span = info_span!("attempt");
    let trace = traces::start(Work::Own, None);
    trace.attach(&span);
    assert_eq!(fetch(&client(quick()), &server).instrument(span).await, Ok(7));
    assert_eq!(*exported.lock().expect("no panic"), ["vima operations", "attempt"]);
    let requests = server.requests();
    let [_, request] = &requests[..] else { panic!("{requests:?}") };
    let trace_id = trace.context.trace_id.to_string();
    for header in &request.headers {
        let is_of_trace =
            ["trace", "baggage", "b3", "x-b3", "x-request-id"].iter().any(|name| header.starts_with(name));
        assert!(!is_of_trace && !header.contains(&trace_id), "{request:?}");
    }
}

#[tokio::test]
async fn invalid_settings_fail_at_once() {
    let redactor = Redactor::new(&[]);
    let request = |client: &Client| client.get("http://127.0.0.1/").header("authorization", "Bearer a\nb");
    let error =
        client(quick()).fetch(Endpoint::Operations, &redactor, request, |_| Ok(())).await.expect_err("no request");
    assert!(matches!(error, ProviderError::Misconfigured { .. }), "{error}");
}
