//! Payments from the provider's page to WebSocket messages, listings and metrics.

use std::collections::BTreeSet;

use psp_dashboard::domain::money::parse_decimal;
use reqwest::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::harness::eventually;
use crate::harness::health::wait_for_health;
use crate::harness::socket::Socket;
use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, VIEWER, Web, items};

/// The totals of the sandbox over all sources and kinds: the number of payments, and the amount in one currency.
async fn sandbox_totals(system: &TestSystem, currency: &str) -> (i64, Decimal) {
    let truth = system.sandbox.get("truth").await;
    let mut count = 0;
    let mut amount = Decimal::ZERO;
    for (source, kind) in [("vima", "payin"), ("payshack", "payin"), ("payshack", "payout")] {
        let totals = &truth[source][kind];
        count += totals["count"].as_i64().expect("a count");
        for sums in totals["sums"][currency].as_object().expect("sums by status").values() {
            amount += parse_decimal(sums["amount"].as_str().expect("an amount")).expect("a decimal");
        }
    }
    (count, amount)
}

async fn trigger(web: &Web, body: Value) -> Value {
    let body = body.to_string();
    let response = web.request(Method::POST, "/api/v1/sync/trigger", Some(OPERATOR), Some(&body)).await;
    let response = response.expect("the web process responds");
    assert_eq!(response.status, 202, "{response:?}");
    let first = response.json()["jobs"][0]["job_id"].as_str().expect("a job").to_owned();
    assert_eq!(response.header("location"), format!("/api/v1/jobs/{first}"));
    response.json()
}

/// The number of payments in the `new_transactions` messages that a socket has received.
fn announced_payments(socket: &Socket) -> i64 {
    let messages = socket.received.iter().filter(|message| message["type"] == "new_transactions");
    messages.map(|message| message["count"].as_i64().expect("a count")).sum()
}

#[tokio::test]
async fn synced_payments_reach_the_socket_and_the_metrics() {
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
    let (count, amount) = sandbox_totals(&system, "INR").await;
    while announced_payments(&socket) < count {
        socket.receive("new_transactions").await;
    }
    system.wait_until_idle().await;
    for kind in ["sync_started", "sync_progress", "new_transactions", "metrics_updated"] {
        assert!(socket.received.iter().any(|message| message["type"] == kind), "no {kind} in {:?}", socket.received);
    }
    let ids: Vec<i64> = socket.received.iter().map(|message| message["id"].as_i64().expect("an id")).collect();
    assert!(ids.is_sorted(), "event ids never decrease: {ids:?}");
    assert_eq!(announced_payments(&socket), count);
    let overview = web.get("/api/v1/metrics/overview").await;
    assert_eq!(overview["total_count"].as_i64(), Some(count), "{overview}");
    assert_eq!(overview["total_amount"], Value::Null, "amounts in different currencies are not added: {overview}");
    let rupees = web.get("/api/v1/metrics/overview?currency=INR").await;
    let total_amount = rupees["total_amount"].as_str().expect("a single currency has a total");
    assert_eq!(parse_decimal(total_amount).expect("a decimal"), amount);
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
async fn listing_returns_every_payment_once_and_masks_it_for_viewers() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let _worker = system.start_jobs(&["worker"]);
    system.sync_both().await;
    let (count, _) = sandbox_totals(&system, "INR").await;
    let mut ids = BTreeSet::new();
    for page in web.pages(ADMIN, "/api/v1/transactions?limit=100").await {
        assert_eq!(page["total"].as_i64(), Some(count), "{}", page["total"]);
        for item in items(&page) {
            assert!(ids.insert(item["id"].as_str().expect("an id").to_owned()), "listed twice: {item}");
        }
    }
    assert_eq!(i64::try_from(ids.len()), Ok(count));
    let newest = web.get("/api/v1/transactions?limit=1").await;
    let id = newest["items"][0]["id"].as_str().expect("an id");
    let unmasked = web.get(&format!("/api/v1/transactions/{id}")).await;
    assert!(unmasked["raw_data"].is_object() && unmasked["history"].is_array(), "{unmasked}");
    let response = web.request(Method::GET, &format!("/api/v1/transactions/{id}"), Some(VIEWER), None).await;
    let masked = response.expect("the web process responds").json();
    assert_eq!(masked["raw_data"], Value::Null, "a viewer sees no raw payload");
    if let Some(email) = masked["user_email"].as_str() {
        assert!(email.contains("***"), "{email}");
    }
}

#[tokio::test]
async fn scheduled_syncs_pick_up_new_payments() {
    let system = TestSystem::start(&["--live-per-second", "20"]).await;
    let web = system.start_web().await;
    let every_second = [("VIMA_SYNC_INTERVAL_SECONDS", "1"), ("PAYSHACK_SYNC_INTERVAL_SECONDS", "1")];
    let _worker_and_scheduler = system.start_jobs_with(&["worker", "--scheduler"], &every_second);
    let total = async || web.get("/api/v1/metrics/overview").await["total_count"].as_i64().unwrap_or(0);
    let first = eventually("the first payments", || async { Some(total().await).filter(|total| *total > 0) }).await;
    eventually("more payments", || async { (total().await > first + 20).then_some(()) }).await;
    let status = web.get("/api/v1/sync/status").await;
    let sources = status["sources"].as_array().expect("sources");
    assert_eq!(sources.len(), 2, "{status}");
    // The web process checks its health at most once a second, and the payments may have arrived within the first one.
    let health = wait_for_health(&web, 200, "healthy").await;
    assert_eq!(health["workers"]["alive"], 1, "{health}");
    assert_eq!(health["scheduler"]["alive"], true, "{health}");
}

#[tokio::test]
async fn repeated_sync_trigger_joins_the_queued_job() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let first = trigger(&web, json!({"source": "vima"})).await;
    let second = trigger(&web, json!({"source": "vima", "mode": "incremental"})).await;
    assert_eq!(first["jobs"], second["jobs"]);
    let range = json!({"source": "vima", "mode": "range", "from_date": "2026-01-01", "to_date": "2026-01-02"});
    assert_ne!(trigger(&web, range).await["jobs"], first["jobs"]);
    let forced = trigger(&web, json!({"source": "vima", "force": true})).await;
    assert_ne!(forced["jobs"], first["jobs"]);
    let by_path = web.request(Method::POST, "/api/v1/sync/trigger/payshack", Some(OPERATOR), None).await;
    assert_eq!(by_path.expect("the web process responds").status, 202);
    let refused = web.request(Method::POST, "/api/v1/sync/trigger", Some(VIEWER), Some("{}")).await;
    assert_eq!(refused.expect("the web process responds").status, 403);
}

#[tokio::test]
async fn repeated_idempotency_key_returns_the_first_response() {
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
async fn socket_ticket_opens_one_connection() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let ticket = web.request(Method::POST, "/api/v1/ws/ticket", Some(ADMIN), None).await.expect("a response");
    let ticket = ticket.json()["ticket"].as_str().expect("a ticket").to_owned();
    let url = format!("{}?ticket={ticket}", web.socket());
    let mut socket = Socket::connect(&url).await;
    socket.receive("connected").await;
    socket.send(&json!({"type": "ping"})).await;
    socket.receive("pong").await;
    socket.send(&json!({"type": "subscribe", "events": ["sync_*"], "sources": ["vima"]})).await;
    socket.receive("subscribed").await;
    socket.send(&json!({"type": "subscribe", "events": ["no_such_event"]})).await;
    socket.receive("error").await;
    assert_eq!(Socket::refused_status(&url).await, 401, "the ticket is used up");
    assert_eq!(Socket::refused_status(&web.socket()).await, 401, "a socket needs a ticket or a key");
}
