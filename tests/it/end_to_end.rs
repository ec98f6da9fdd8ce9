//! The whole way of a payment: from a provider's page to a WebSocket message, a listing and a metric.

use psp_dashboard::domain::money::parse_decimal;
use reqwest::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::harness::eventually;
use crate::harness::socket::Socket;
use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, VIEWER, Web};

/// The sums of the sandbox's truth over all sources and kinds: how many payments, and the amounts of one currency.
async fn truth(system: &TestSystem, currency: &str) -> (i64, Decimal) {
    let truth = system.sandbox.get("truth").await;
    let mut count = 0;
    let mut amount = Decimal::ZERO;
    for (source, kind) in [("vima", "payin"), ("payshack", "payin"), ("payshack", "payout")] {
        let of_kind = &truth[source][kind];
        count += of_kind["count"].as_i64().expect("a count");
        for sums in of_kind["sums"][currency].as_object().expect("sums by status").values() {
            amount += parse_decimal(sums["amount"].as_str().expect("an amount")).expect("a decimal");
        }
    }
    (count, amount)
}

async fn trigger(web: &Web, body: Value) -> Value {
    let body = body.to_string();
    let answer = web.request(Method::POST, "/api/v1/sync/trigger", Some(OPERATOR), Some(&body)).await;
    let answer = answer.expect("the web process answers");
    assert_eq!(answer.status, 202, "{answer:?}");
    let first = answer.json()["jobs"][0]["job_id"].as_str().expect("a job").to_owned();
    let location = answer.headers["location"].to_str().expect("plain text").to_owned();
    assert_eq!(location, format!("/api/v1/jobs/{first}"));
    answer.json()
}

/// How many payments a socket was told of.
fn announced(socket: &Socket) -> i64 {
    let told = socket.received.iter().filter(|message| message["type"] == "new_transactions");
    told.map(|message| message["count"].as_i64().expect("a count")).sum()
}

#[tokio::test]
async fn a_payment_travels_from_the_provider_to_the_dashboard() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let mut socket = Socket::connect_with_key(&web.socket(), VIEWER).await;
    let connected = socket.receive("connected").await;
    assert!(connected["server_version"].is_string() && connected["last_event_id"].is_i64(), "{connected}");
    let _worker = system.start_jobs(&["worker"]);

    let triggered = trigger(&web, json!({})).await;
    assert_eq!(triggered["jobs"].as_array().map(Vec::len), Some(2), "{triggered}");
    for source in ["vima", "payshack"] {
        let completed = |message: &Value| message["type"] == "sync_completed" && message["source"] == source;
        if !socket.received.iter().any(completed) {
            socket.receive_where("the end of the sync", completed).await;
        }
    }
    let (count, amount) = truth(&system, "INR").await;
    while announced(&socket) < count {
        socket.receive_where("the payments of the days before", |message| message["type"] == "new_transactions").await;
    }
    system.wait_until_idle().await;
    for kind in ["sync_started", "sync_progress", "new_transactions", "metrics_updated"] {
        assert!(socket.received.iter().any(|message| message["type"] == kind), "no {kind} in {:?}", socket.received);
    }
    let ids: Vec<i64> = socket.received.iter().map(|message| message["id"].as_i64().expect("an id")).collect();
    assert!(ids.is_sorted(), "ids never go back: {ids:?}");
    assert_eq!(announced(&socket), count);
    let overview = web.get("/api/v1/metrics/overview").await;
    assert_eq!(overview["total_count"].as_i64(), Some(count), "{overview}");
    assert_eq!(overview["total_amount"], Value::Null, "several currencies are not added up: {overview}");
    let rupees = web.get("/api/v1/metrics/overview?currency=INR").await;
    let shown = rupees["total_amount"].as_str().expect("one currency has a sum");
    assert_eq!(parse_decimal(shown).expect("a decimal"), amount);
    assert_eq!(rupees["currency"], "INR");
    let by_status: i64 = rupees["by_status"]
        .as_object()
        .expect("statuses")
        .values()
        .map(|sums| sums["count"].as_i64().expect("a count"))
        .sum();
    assert_eq!(Some(by_status), rupees["total_count"].as_i64());
}

#[tokio::test]
async fn every_page_of_the_listing_is_walked_once() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let _worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    let (count, _) = truth(&system, "INR").await;
    let mut seen = std::collections::BTreeSet::new();
    let mut path = "/api/v1/transactions?limit=100".to_owned();
    loop {
        let page = web.get(&path).await;
        assert_eq!(page["total"].as_i64(), Some(count), "{}", page["total"]);
        for item in page["items"].as_array().expect("items") {
            assert!(seen.insert(item["id"].as_str().expect("an id").to_owned()), "twice: {item}");
        }
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/api/v1/transactions?limit=100&cursor={cursor}");
    }
    assert_eq!(i64::try_from(seen.len()), Ok(count));
    let newest = web.get("/api/v1/transactions?limit=1").await;
    let id = newest["items"][0]["id"].as_str().expect("an id");
    let whole = web.get(&format!("/api/v1/transactions/{id}")).await;
    assert!(whole["raw_data"].is_object() && whole["history"].is_array(), "{whole}");
    let answer = web.request(Method::GET, &format!("/api/v1/transactions/{id}"), Some(VIEWER), None).await;
    let masked = answer.expect("the web process answers").json();
    assert_eq!(masked["raw_data"], Value::Null, "a viewer sees no raw payload");
    if let Some(email) = masked["user_email"].as_str() {
        assert!(email.contains("***"), "{email}");
    }
}

#[tokio::test]
async fn metrics_grow_while_payments_come_in() {
    let system = TestSystem::start(&["--live-per-second", "20"]).await;
    let web = system.start_web().await;
    let often = [("VIMA_SYNC_INTERVAL_SECONDS", "1"), ("PAYSHACK_SYNC_INTERVAL_SECONDS", "1")];
    let _both = system.start_jobs_with(&["worker", "--scheduler"], &often);
    let total = async || web.get("/api/v1/metrics/overview").await["total_count"].as_i64().unwrap_or(0);
    let first = eventually("the first payments", || async { Some(total().await).filter(|total| *total > 0) }).await;
    eventually("more payments", || async { (total().await > first + 20).then_some(()) }).await;
    let status = web.get("/api/v1/sync/status").await;
    let sources = status["sources"].as_array().expect("sources");
    assert_eq!(sources.len(), 2, "{status}");
    let health = web.get("/health").await;
    assert_eq!((&health["status"], &health["workers"]["alive"]), (&json!("healthy"), &json!(1)), "{health}");
    assert_eq!(health["scheduler"]["alive"], true, "{health}");
}

#[tokio::test]
async fn a_second_trigger_joins_the_first() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let first = trigger(&web, json!({"source": "vima"})).await;
    let second = trigger(&web, json!({"source": "vima", "mode": "incremental"})).await;
    assert_eq!(first["jobs"], second["jobs"]);
    let range = json!({"source": "vima", "mode": "range", "from_date": "2026-01-01", "to_date": "2026-01-02"});
    assert_ne!(trigger(&web, range).await["jobs"], first["jobs"]);
    let forced = trigger(&web, json!({"source": "vima", "force": true})).await;
    assert_ne!(forced["jobs"], first["jobs"]);
    let plain = web.request(Method::POST, "/api/v1/sync/trigger/payshack", Some(OPERATOR), None).await;
    assert_eq!(plain.expect("the web process answers").status, 202);
    let refused = web.request(Method::POST, "/api/v1/sync/trigger", Some(VIEWER), Some("{}")).await;
    assert_eq!(refused.expect("the web process answers").status, 403);
}

#[tokio::test]
async fn an_idempotency_key_gives_the_same_answer() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let post = async |body: &str| {
        let headers = [("idempotency-key", "once"), ("x-api-key", OPERATOR), ("content-type", "application/json")];
        web.post_with("/api/v1/sync/trigger", &headers, body).await
    };
    let first = post(r#"{"source":"vima","force":true}"#).await;
    let again = post(r#"{"source":"vima","force":true}"#).await;
    assert_eq!((first.status, &first.text), (202, &again.text));
    assert_eq!(post(r#"{"source":"payshack"}"#).await.status, 409);
    assert_eq!(system.number("SELECT count(*) FROM jobs").await, 1);
}

#[tokio::test]
async fn a_ticket_opens_the_socket_once() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let ticket = web.request(Method::POST, "/api/v1/ws/ticket", Some(ADMIN), None).await.expect("an answer");
    let ticket = ticket.json()["ticket"].as_str().expect("a ticket").to_owned();
    let address = format!("{}?ticket={ticket}", web.socket());
    let mut socket = Socket::connect(&address).await;
    socket.receive("connected").await;
    socket.send(&json!({"type": "ping"})).await;
    socket.receive("pong").await;
    socket.send(&json!({"type": "subscribe", "events": ["sync_*"], "sources": ["vima"]})).await;
    socket.receive("subscribed").await;
    socket.send(&json!({"type": "subscribe", "events": ["no_such_event"]})).await;
    socket.receive("error").await;
    assert_eq!(Socket::refused_status(&address).await, 401, "a ticket opens one socket");
    assert_eq!(Socket::refused_status(&web.socket()).await, 401, "nothing is open by accident");
}
