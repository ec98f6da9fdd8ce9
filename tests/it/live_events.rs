//! Live events by WebSocket and as Server-Sent Events: the same messages, filters, replay, limits and access.

mod outages;

use std::time::Duration;

use nix::sys::signal::Signal;
use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db;
use psp_dashboard::domain::event::Event;
use psp_dashboard::domain::transaction::Source;
use psp_dashboard::operations::publish_events::publish_events;
use psp_dashboard::redis::Redis;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;

use crate::harness::event_stream::EventStream;
use crate::harness::messages::assert_described;
use crate::harness::socket::Socket;
use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, VIEWER, Web};
use crate::harness::{eventually, keys};

const STREAM: &str = "/api/v1/events";

/// Commits an event and announces it, unless Redis is away; returns its id.
async fn commit(system: &TestSystem, redis: &Redis, event: Event) -> i64 {
    let mut transaction = system.pool.begin().await.expect("the database responds");
    let events = db::events::insert(&mut transaction, vec![event], SystemClock.now()).await.expect("an insert");
    transaction.commit().await.expect("a commit");
    let _announced = tokio::time::timeout(Duration::from_millis(200), publish_events(redis, &events)).await;
    events[0].id
}

fn new_transactions(count: u64) -> Event {
    Event::NewTransactions { source: Source::Vima, count }
}

fn is_event(message: &Value) -> bool {
    !["connected", "gap", "pong", "subscribed", "error"].iter().any(|notice| message["type"] == *notice)
}

fn events(received: &[Value]) -> Vec<Value> {
    received.iter().filter(|message| is_event(message)).cloned().collect()
}

async fn ticket(web: &Web, key: &str) -> String {
    let response = web.request(Method::POST, "/api/v1/ws/ticket", Some(key), None).await.expect("a response");
    response.json()["ticket"].as_str().expect("a ticket").to_owned()
}

#[tokio::test]
async fn stream_sends_what_the_socket_sends() {
    let system = TestSystem::start(&[]).await;
    let redis = system.servers.redis().await;
    let web = system.start_web().await;
    let key = [("x-api-key", VIEWER), ("accept-encoding", "gzip, br")];
    let mut socket = Socket::connect_with_key(&web.socket(), VIEWER).await;
    let mut stream = EventStream::open(&web, "", &key).await;
    let mut syncs = EventStream::open(&web, "events=sync_*,job_failed&sources=payshack", &key).await;
    for (name, expected) in [
        ("content-type", "text/event-stream"),
        ("cache-control", "no-store"),
        ("x-accel-buffering", "no"),
        ("content-encoding", ""),
        ("vary", ""),
    ] {
        assert_eq!(stream.header(name), expected, "{name}");
    }
    let connected = stream.receive("connected").await;
    assert_eq!((&connected["last_event_id"], &connected["id"]), (&json!(0), &json!(0)), "{connected}");
    assert!(stream.retry_ms.is_some_and(|retry| (1_000..=5_000).contains(&retry)), "{:?}", stream.retry_ms);
    socket.receive("connected").await;

    let _worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    let reconciled = json!({"date": SystemClock.now().date_naive() - chrono::Days::new(1)}).to_string();
    system.run_job("reconcile", Some(&reconciled));
    let error = "no disk for a.b@example.com".to_owned();
    let last =
        commit(&system, &redis, Event::JobFailed { kind: "export".to_owned(), job_id: Uuid::nil(), error }).await;
    let failed = socket.receive("job_failed").await;
    assert_eq!(failed["id"].as_i64(), Some(last));
    assert!(failed["error"].as_str().is_some_and(|error| !error.contains("a.b@")), "masked for a viewer: {failed}");
    stream.receive("job_failed").await;
    syncs.receive("job_failed").await;

    let by_socket = events(&socket.received);
    assert_eq!(events(&stream.received), by_socket);
    for kind in ["sync_started", "sync_completed", "new_transactions", "metrics_updated", "reconciliation_completed"] {
        assert!(by_socket.iter().any(|event| event["type"] == kind), "no {kind} in {by_socket:?}");
    }
    let ids: Vec<i64> = by_socket.iter().map(|event| event["id"].as_i64().expect("an id")).collect();
    assert!(ids.is_sorted_by(|before, after| before < after), "ids strictly increase: {ids:?}");
    let selected = by_socket.into_iter().filter(|event| {
        let kind = event["type"].as_str().expect("a type");
        kind == "job_failed" || (kind.starts_with("sync_") && event["source"] == "payshack")
    });
    assert_eq!(events(&syncs.received), selected.collect::<Vec<_>>());
}

#[tokio::test]
async fn stream_continues_after_the_last_event_and_ends_with_the_server() {
    let system = TestSystem::start(&[]).await;
    let redis = system.servers.redis().await;
    let mut web = system.start_web().await;
    let key = ("x-api-key", VIEWER);
    let mut ids = vec![];
    for count in 1..=4 {
        ids.push(commit(&system, &redis, new_transactions(count)).await);
    }
    let [first, second, ..] = [ids[0], ids[1]].map(|id| id.to_string());
    let received = async |query: &str, headers: &[(&str, &str)]| {
        let mut stream = EventStream::open(&web, query, headers).await;
        while stream.received.last().is_none_or(|message| message["id"].as_i64() != ids.last().copied()) {
            stream.next().await.expect("the stream goes on");
        }
        events(&stream.received).iter().map(|event| event["id"].as_i64().expect("an id")).collect::<Vec<_>>()
    };
    // The process must know all of them, so that the end of each list is known.
    received(&format!("since={first}"), &[key]).await;
    assert_eq!(received(&format!("since={first}"), &[key]).await, ids[1..]);
    let again = [key, ("last-event-id", second.as_str())];
    assert_eq!(received(&format!("since={first}"), &again).await, ids[2..], "the header takes precedence");
    assert_eq!(received("", &[key]).await, [0; 0], "without either, only what is new");
    let with_ticket = format!("since={first}&ticket={}", ticket(&web, VIEWER).await);
    assert_eq!(received(&with_ticket, &[]).await, ids[1..]);

    let prune = format!("DELETE FROM events WHERE id <= {second}");
    system.pool.execute(AssertSqlSafe(prune)).await.expect("the events exist");
    let restarted = system.start_web().await;
    let mut gap = EventStream::open(&restarted, &format!("since={first}"), &[key]).await;
    assert_eq!(gap.receive("gap").await["since"], ids[0]);
    assert_eq!(gap.receive("new_transactions").await["id"].as_i64(), Some(ids[2]));
    for (query, headers, status) in [
        (with_ticket.as_str(), &[][..], 401),
        ("", &[], 401),
        ("events=nonsense", &[key], 422),
        ("sources=paypal", &[key], 422),
        ("since=yesterday", &[key], 422),
        ("", &[key, ("last-event-id", "x")], 422),
    ] {
        let refused = web.send(Method::GET, &format!("{STREAM}?{query}"), headers).await;
        assert_eq!(refused.status, status, "{query} {headers:?} {refused:?}");
        assert_eq!(refused.header("content-type"), "application/problem+json", "{refused:?}");
    }

    let mut stream = EventStream::open(&web, "", &[key]).await;
    stream.receive("connected").await;
    stream.retry_ms = None;
    web.program.signal(Signal::SIGTERM);
    assert_eq!(stream.next().await, None);
    assert!(
        stream.retry_ms.is_some() && stream.comments.iter().any(|text| text.contains("stops")),
        "{:?}",
        stream.comments
    );
    assert_eq!(web.program.wait_for_exit(Duration::from_secs(10)).await.code(), Some(0));
}

#[tokio::test]
async fn stream_is_open_to_whom_the_socket_is() {
    let system = TestSystem::start(&[]).await;
    let redis = system.servers.redis().await;
    let web = system.start_web_with(&[("WEBSOCKETS_PER_KEY", "1")]).await;
    // The limit is of sockets and streams together.
    let mut stream = EventStream::open(&web, "", &[("x-api-key", OPERATOR)]).await;
    stream.receive("connected").await;
    let socket = format!("{}?ticket={}", web.socket(), ticket(&web, OPERATOR).await);
    assert_eq!(Socket::refused_status(&socket).await, 429);
    drop(stream);
    eventually("the stream to make room for a socket", || async {
        let status = web.send(Method::GET, STREAM, &[("x-api-key", OPERATOR)]).await.status;
        (status == 200).then_some(())
    })
    .await;

    let started = web.send(Method::POST, "/api/v1/session", &[("x-api-key", VIEWER)]).await;
    let cookie = started.header("set-cookie").split(';').next().expect("a cookie").to_owned();
    let own = format!("http://127.0.0.1:{}", web.port);
    for (origin, status) in [(None, 200), (Some(own.as_str()), 200), (Some("http://evil.example.com"), 403)] {
        let headers: Vec<_> =
            [("cookie", cookie.as_str())].into_iter().chain(origin.map(|it| ("origin", it))).collect();
        eventually("the last stream to be closed", || async {
            let response = web.send(Method::GET, STREAM, &headers).await;
            (response.status != 429).then(|| assert_eq!(response.status, status, "{origin:?}"))
        })
        .await;
    }

    let scoped = keys::create_key(&system, "viewer", &["acme"]);
    let mut limited = eventually("the new key to be known", || async {
        EventStream::try_open(web.port, "", &[("x-api-key", &scoped)]).await.ok()?.ok()
    })
    .await;
    limited.receive("connected").await;
    commit(&system, &redis, new_transactions(1)).await;
    commit(&system, &redis, Event::MetricsUpdated { sources: vec![Source::Vima] }).await;
    limited.receive("metrics_updated").await;
    assert_eq!(events(&limited.received).len(), 1, "the other one is not about its projects: {:?}", limited.received);
    let list = web.get("/api/v1/api-keys").await;
    let is_new = |key: &&Value| key["name"] == "made by a test";
    let id = list["items"].as_array().expect("keys").iter().find(is_new).expect("the new key")["id"]
        .as_str()
        .expect("an id");
    let revoked = web.request(Method::DELETE, &format!("/api/v1/api-keys/{id}"), Some(ADMIN), None).await;
    assert!(revoked.expect("a response").status < 300);
    assert_eq!(limited.next().await, None, "a revoked key ends the stream");
    assert!(limited.comments.iter().any(|comment| comment.contains("revoked")), "{:?}", limited.comments);
}

#[tokio::test]
async fn documents_of_events_are_served_without_a_key() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let committed = include_str!("../../openapi/asyncapi.yaml");
    let get = async |path| web.request(Method::GET, path, None, None).await.expect("the web process responds");
    assert_eq!(get("/api/asyncapi.yaml").await.text, committed);
    let json = get("/api/asyncapi.json").await.json();
    assert_eq!(json["asyncapi"], "3.0.0");
    for message in json["components"]["messages"].as_object().expect("messages").values() {
        for example in message["examples"].as_array().expect("examples") {
            assert_described(&example["payload"]);
        }
    }
    let page = get("/api/docs/events").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    assert!(page.text.contains("id=\"sync_progress\""));
    assert!(get("/api/docs").await.text.contains("/api/docs/events"), "Swagger UI leads to the page");
}

#[tokio::test]
async fn legacy_events_are_sent_under_both_names_if_they_are_switched_on() {
    let system = TestSystem::start(&[]).await;
    let redis = system.servers.redis().await;
    let web = system.start_web_with(&[("LEGACY_EVENTS", "true")]).await;
    let key = [("x-api-key", VIEWER)];
    let mut socket = Socket::connect_with_key(&web.socket(), VIEWER).await;
    socket.receive("connected").await;
    let mut stream = EventStream::open(&web, "events=new_transaction,sync_*", &key).await;
    stream.receive("connected").await;
    let id = commit(&system, &redis, new_transactions(3)).await;
    socket.receive("new_transaction").await;
    stream.receive("new_transaction").await;
    let expected = ["new_transactions", "new_transaction"].map(|name| (json!(name), json!(id)));
    for received in [&socket.received, &stream.received] {
        let received: Vec<(Value, Value)> =
            events(received).into_iter().map(|message| (message["type"].clone(), message["id"].clone())).collect();
        assert_eq!(received, expected);
    }

    let current = system.start_web().await;
    let path = "/api/v1/events?events=new_transaction";
    let refused = current.request(Method::GET, path, Some(VIEWER), None).await.expect("a response");
    assert_eq!((refused.status, &refused.json()["errors"][0]["field"]), (422, &json!("events")), "{refused:?}");
}
