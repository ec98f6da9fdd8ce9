//! Webhooks: what an endpoint gets, in which order, how often, and what happens if it fails. The receiver is on this machine and
//! verifies the signatures itself.

mod management;

use std::time::Duration;

use psp_dashboard::clock::{Clock, SystemClock};
use psp_dashboard::db::events;
use psp_dashboard::domain::event::Event;
use psp_dashboard::domain::transaction::Source;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor, PgPool};

use crate::harness::eventually;
use crate::harness::test_system::{ADMIN, ApiResponse, TestSystem, Web};
use crate::harness::webhook_receiver::{Answer, Received, WebhookReceiver};

const WEBHOOKS: &str = "/api/v1/webhooks";

async fn send(web: &Web, method: Method, path: &str, body: Option<&Value>) -> ApiResponse {
    let body = body.map(ToString::to_string);
    web.request(method, path, Some(ADMIN), body.as_deref()).await.expect("the web process responds")
}

async fn ok(web: &Web, method: Method, path: &str, body: Option<&Value>) -> Value {
    let response = send(web, method.clone(), path, body).await;
    assert!((200..300).contains(&response.status), "{method} {path}: {response:?}");
    response.json()
}

struct Endpoint {
    path: String,
    secret: String,
}

impl Endpoint {
    async fn create(web: &Web, receiver: &WebhookReceiver, mut properties: Value) -> Self {
        properties["url"] = json!(receiver.url);
        let created = ok(web, Method::POST, WEBHOOKS, Some(&properties)).await;
        let text = |name: &str| created[name].as_str().unwrap_or_else(|| panic!("{name}: {created}")).to_owned();
        Self { path: format!("{WEBHOOKS}/{}", text("id")), secret: text("secret") }
    }

    async fn get(&self, web: &Web) -> Value {
        web.get(&self.path).await
    }

    async fn deliveries(&self, web: &Web, query: &str) -> Vec<Value> {
        let page = web.get(&format!("{}/deliveries?limit=100{query}", self.path)).await;
        page["items"].as_array().expect("items").clone()
    }
}

/// Records events, each in a transaction of its own.
async fn record(pool: &PgPool, recorded: Vec<Event>) {
    for event in recorded {
        record_together(pool, vec![event]).await;
    }
}

async fn record_together(pool: &PgPool, recorded: Vec<Event>) {
    let mut transaction = pool.begin().await.expect("the database responds");
    events::insert(&mut transaction, recorded, SystemClock.now()).await.expect("the events are recorded");
    transaction.commit().await.expect("the database responds");
}

fn new_transactions(source: Source, counts: std::ops::Range<u64>) -> Vec<Event> {
    counts.map(|count| Event::NewTransactions { source, count }).collect()
}

fn counts(received: &[Received]) -> Vec<u64> {
    received.iter().map(|request| request.json()["data"]["count"].as_u64().expect("a count")).collect()
}

/// As if the time of the next attempts had come.
async fn bring_forward(pool: &PgPool) {
    pool.execute("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE state = 'pending'")
        .await
        .expect("the database responds");
}

async fn execute(pool: &PgPool, statement: &str) {
    pool.execute(AssertSqlSafe(statement.to_owned())).await.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// The receiver is down, then slow, while events of several writers are committed; then a worker is killed in the middle.
#[tokio::test]
async fn receiver_that_was_down_gets_every_event_once_by_id_in_the_order_of_commits() {
    let system = TestSystem::start(&[]).await;
    let (web, mut worker) = (system.start_web().await, system.start_jobs(&["worker"]));
    let receiver = WebhookReceiver::start(Answer::Status(503)).await;
    let filter = json!({"events": ["new_*", "job_failed"], "sources": ["vima"]});
    let endpoint = Endpoint::create(&web, &receiver, filter).await;

    record(&system.pool, new_transactions(Source::Vima, 0..1)).await;
    let first = receiver.wait_for_requests(1).await;
    first.assert_genuine(&endpoint.secret);
    let job_failed =
        Event::JobFailed { kind: "export".to_owned(), job_id: uuid::Uuid::nil(), error: "a@example.com".to_owned() };
    let writers = (0..4).map(|writer| {
        let pool = system.pool.clone();
        tokio::spawn(async move {
            record(&pool, new_transactions(Source::Payshack, 900..905)).await;
            record(&pool, new_transactions(Source::Vima, writer * 10 + 1..writer * 10 + 11)).await;
            record(&pool, vec![Event::MetricsUpdated { sources: vec![Source::Vima] }]).await;
        })
    });
    for writer in writers {
        writer.await.expect("no panic");
    }
    record(&system.pool, vec![job_failed]).await;
    let committed = sqlx::query_scalar!(
        r#"SELECT (body ->> 'count')::bigint AS "count!" FROM events
            WHERE body ->> 'type' = 'new_transactions' AND body ->> 'source' = 'vima' ORDER BY id"#
    );
    let committed: Vec<i64> = committed.fetch_all(&system.pool).await.expect("the database responds");
    assert_eq!(committed.len(), 41);
    eventually("every event to wait", || async { (endpoint.get(&web).await["pending"] == json!(42)).then_some(()) })
        .await;
    let health = endpoint.get(&web).await;
    assert!(health["failing_since"].is_string() && health["enabled"] == true, "{health}");
    let pending = endpoint.deliveries(&web, "&state=pending").await;
    let attempted: Vec<&Value> = pending.iter().filter(|delivery| delivery["attempts"] != 0).collect();
    let [head] = attempted.as_slice() else { panic!("only the oldest message is attempted: {attempted:?}") };
    assert_eq!([&head["status_code"], &head["response"]], [&json!(503), &json!("thank you")], "{head}");
    assert!(head["next_attempt_at"].is_string() && head["message_id"] == json!(first.id), "{head}");

    // It is back, and slow enough for the worker to be killed in the middle.
    receiver.set(Answer::Slow(Duration::from_millis(50)));
    bring_forward(&system.pool).await;
    receiver.wait_for(10).await;
    worker.kill();
    let _worker = system.start_jobs(&["worker"]);
    let accepted = receiver.wait_for(42).await;
    let expected: Vec<u64> = committed.iter().map(|count| count.unsigned_abs()).collect();
    assert_eq!(counts(&accepted[..41]), expected, "in the order of commits");
    assert_eq!(accepted[0].id, first.id, "the id of a message is the same in every attempt");
    let last = accepted[41].json();
    assert_eq!((&last["type"], &last["data"]["error"]), (&json!("job_failed"), &json!("a***@example.com")), "{last}");
    for request in &accepted {
        request.assert_genuine(&endpoint.secret);
    }
    let repeated = receiver.received().iter().filter(|request| request.accepted).count() - 42;
    assert!(repeated <= 1, "{repeated} were repeated; only one was in flight at the kill");
    eventually("the last to be recorded", || async {
        let health = endpoint.get(&web).await;
        (health["pending"] == 0 && health["failing_since"].is_null()).then_some(())
    })
    .await;
    assert_eq!(endpoint.deliveries(&web, "&state=delivered").await.len(), 42);
}

/// Endpoints that do not reply wait for a time-out in a slot of the worker each. Syncs get the other slots.
#[tokio::test]
async fn receivers_that_do_not_reply_leave_slots_for_other_jobs() {
    let system = TestSystem::start(&[]).await;
    let (web, _worker) =
        (system.start_web().await, system.start_jobs_with(&["worker"], &[("WORKER_CONCURRENCY", "4")]));
    let silent = WebhookReceiver::start(Answer::Never).await;
    for _ in 0..5 {
        Endpoint::create(&web, &silent, json!({})).await;
    }
    record(&system.pool, new_transactions(Source::Vima, 1..2)).await;
    let running = "SELECT count(*) FROM jobs WHERE kind = 'deliver-webhook' AND state = 'running'";
    eventually("deliveries to wait", || async { (system.number(running).await == 3).then_some(()) }).await;
    system.run_job("sync-vima", None);
    let live = "SELECT count(*) FROM jobs WHERE kind = 'deliver-webhook' AND finished_at IS NULL";
    assert!(system.number(live).await <= 3);
}
