//! Which calls leave an entry, and with what in it.

use psp_dashboard::domain::job::SYNC_VIMA;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;

use crate::export::insert_discrepancies;
use crate::harness::ingest_fixture::insert_transactions;
use crate::harness::programs::{Program, run};
use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, Web, items};

/// They change nothing.
const UNAUDITED: [&str; 5] = [
    "createWebSocketTicket",
    "backtestAlertRule",
    "previewJobBulkAction",
    "previewDiscrepancyBulkAction",
    "lookUpTransactions",
];
const PATCH: Method = Method::PATCH;
const POST: Method = Method::POST;

/// What they change did not exist before.
const CREATIONS: [&str; 6] = [
    "triggerSync",
    "triggerSyncOfSource",
    "runReconciliation",
    "replayQuarantinedRecord",
    "orderExport",
    "confirmBulkAction",
];
/// A job records how they end.
const UNFINISHED: [&str; 2] = ["orderExport", "confirmBulkAction"];

/// A call that changes something, and the operation that the audit log names.
struct Change {
    operation: &'static str,
    method: Method,
    path: String,
    body: Option<Value>,
    /// What of its subject is recorded from before.
    has_before: bool,
}

fn change(operation: &'static str, method: Method, path: &str, body: impl Into<Option<Value>>) -> Change {
    let has_before = !CREATIONS.contains(&operation);
    Change { operation, method, path: format!("/api/v1{path}"), body: body.into(), has_before }
}

async fn insert_job(system: &TestSystem, state: &str) -> Uuid {
    let id = Uuid::now_v7();
    let insert = format!(
        "INSERT INTO jobs (id, kind, args, queue, priority, state, trigger, due_at, max_attempts, created_at, finished_at)
         VALUES ('{id}', 'housekeeping', '{{}}', 'maintenance', 10, '{state}', 'api', now() + interval '1 day', 1, now(),
                 CASE '{state}' WHEN 'failed' THEN now() END)"
    );
    system.pool.execute(AssertSqlSafe(insert)).await.expect("the database accepts it");
    id
}

/// One change by each operation. They do not depend on each other.
async fn changes(system: &TestSystem, web: &Web) -> Vec<Change> {
    insert_discrepancies(system, 3).await;
    let discrepancies: Vec<Uuid> =
        sqlx::query_scalar!("SELECT id FROM discrepancies").fetch_all(&system.pool).await.expect("a response");
    let (waiting, failed) = (insert_job(system, "scheduled").await, insert_job(system, "failed").await);
    let (record, export, export_job) = (Uuid::now_v7(), Uuid::now_v7(), insert_job(system, "scheduled").await);
    let (preview, running, bulk_job) = (Uuid::now_v7(), Uuid::now_v7(), insert_job(system, "scheduled").await);
    let keys = web.get("/api/v1/api-keys").await;
    let admin = items(&keys).iter().find(|key| key["name"] == "ada").expect("the key of the test");
    let key_id = admin["id"].as_str().expect("an id");
    let queue = SYNC_VIMA.queue;
    let insert = format!(
        "INSERT INTO quarantine (id, source, kind, reason, raw, raw_hash, run_id, first_seen_at, last_seen_at)
         VALUES ('{record}', 'vima', 'payin', 'no', '{{}}', sha256('a'), gen_random_uuid(), now(), now());
         INSERT INTO exports (id, job_id, name, format, wanted, requested_by, role, file_name, created_at)
         VALUES ('{export}', '{export_job}', 'transactions', 'csv', '{{}}', 'ada', 'admin', 'a.csv', now());
         INSERT INTO queue_pauses (queue, paused_at, paused_by) VALUES ('{queue}', now(), 'ada');
         INSERT INTO bulk_actions (id, kind, filter, token_hash, requested_by_key, requested_by, role, item_count, created_at,
                                   expires_at, confirmed_at, job_id)
         SELECT id, 'cancel_jobs', '{{}}', token_hash, '{key_id}', 'ada', 'admin', 0, now(), now() + interval '1 hour',
                CASE WHEN job_id IS NOT NULL THEN now() END, job_id
           FROM (VALUES ('{preview}'::uuid, sha256('token'), NULL::uuid), ('{running}', sha256('other'), '{bulk_job}'))
                    AS action (id, token_hash, job_id)"
    );
    system.pool.execute(AssertSqlSafe(insert)).await.expect("the database accepts it");
    let discrepancy = "/reconciliation/discrepancies";
    vec![
        change("triggerSync", POST, "/sync/trigger", json!({"mode": "full"})),
        change("triggerSyncOfSource", POST, "/sync/trigger/vima", None),
        change("replayQuarantinedRecord", POST, &format!("/sync/quarantine/{record}/replay"), None),
        change("moveDiscrepancy", PATCH, &format!("{discrepancy}/{}", discrepancies[0]), json!({"state": "ignored"})),
        change("moveDiscrepancies", PATCH, discrepancy, json!({"ids": discrepancies[1..], "assignee": "otto"})),
        change("runReconciliation", POST, "/reconciliation/run", json!({"date": "2026-01-10"})),
        change("cancelJob", POST, &format!("/jobs/{waiting}/cancel"), None),
        change("retryJob", POST, &format!("/jobs/{failed}/retry"), None),
        change("pauseQueue", POST, "/queues/maintenance/pause", None),
        change("resumeQueue", POST, &format!("/queues/{queue}/resume"), None),
        change("orderExport", POST, "/exports", json!({"export": "transactions"})),
        change("removeExport", Method::DELETE, &format!("/exports/{export}"), None),
        change("confirmBulkAction", POST, "/bulk-actions", json!({"token": "token"})),
        change("stopBulkAction", POST, &format!("/bulk-actions/{running}/stop"), None),
    ]
}

async fn call(web: &Web, change: &Change) -> u16 {
    let body = change.body.as_ref().map(Value::to_string);
    let response = web.request(change.method.clone(), &change.path, Some(ADMIN), body.as_deref()).await;
    response.expect("the web process responds").status
}

/// What the operations change.
async fn state(system: &TestSystem) -> String {
    let state = sqlx::query_scalar!(
        r#"SELECT concat_ws(' ',
                     (SELECT json_agg((id, state, due_at, cancel_requested_at) ORDER BY id) FROM jobs),
                     (SELECT json_agg(queue ORDER BY queue) FROM queue_pauses),
                     (SELECT json_agg((id, state, assignee) ORDER BY id) FROM discrepancies),
                     (SELECT json_agg(id ORDER BY id) FROM exports)) AS "state!""#
    );
    state.fetch_one(&system.pool).await.expect("a response")
}

#[tokio::test]
async fn changes_are_audited_or_do_not_happen() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let changes = changes(&system, &web).await;
    let before = state(&system).await;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
                  CREATE TRIGGER refuse BEFORE INSERT ON audit_log FOR EACH ROW EXECUTE FUNCTION refuse()";
    system.pool.execute(refuse).await.expect("the database accepts it");
    for change in &changes {
        assert_eq!(call(&web, change).await, 500, "{} without an audit log", change.operation);
        assert_eq!(state(&system).await, before, "{} changed something without an entry", change.operation);
    }
    system.pool.execute("DROP TRIGGER refuse ON audit_log").await.expect("the database accepts it");
    for change in &changes {
        let status = call(&web, change).await;
        assert!((200..300).contains(&status), "{}: {status}", change.operation);
        let page = web.get(&format!("/api/v1/audit?operation={}", change.operation)).await;
        let [entry] = items(&page).as_slice() else { panic!("{}: {page}", change.operation) };
        assert_eq!((&entry["principal"], &entry["address"]), (&json!("ada"), &json!("127.0.0.1")), "{entry}");
        let outcome = if UNFINISHED.contains(&change.operation) { Value::Null } else { json!("succeeded") };
        assert_eq!(entry["outcome"], outcome, "{entry}");
        assert_eq!((entry["before"].is_null(), entry["after"].is_null()), (!change.has_before, false), "{entry}");
        assert!(entry["key_id"].as_str().is_some_and(|id| !id.starts_with("00000000-")), "{entry}");
    }
    assert_ne!(state(&system).await, before);
}

/// With nothing but the document: an operation that a later release adds is tested too.
#[tokio::test]
async fn every_call_of_an_operation_that_changes_something_leaves_an_entry() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let document = web.get("/api/openapi.json").await;
    let mut operations = vec![];
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods").iter().filter(|(method, _)| *method != "get") {
            let name = operation["operationId"].as_str().expect("an id");
            let path =
                path.replace("{id}", &Uuid::nil().to_string()).replace("{source}", "vima").replace("{name}", "none");
            operations.push((name.to_owned(), method.to_uppercase(), path));
        }
    }
    assert!(operations.len() >= 13, "{operations:?}");
    operations.retain(|(name, ..)| !UNAUDITED.contains(&name.as_str()));
    for (operation, method, path) in operations {
        let method: Method = method.parse().expect("a method");
        let response = web.request(method, &path, Some(ADMIN), Some("{}")).await.expect("the web process responds");
        let page = web.get(&format!("/api/v1/audit?operation={operation}")).await;
        let [entry] = items(&page).as_slice() else { panic!("{operation} left no entry ({response:?}): {page}") };
        assert!(entry["outcome"].is_string() && entry["request_id"].is_string(), "{entry}");
    }
}

#[tokio::test]
async fn views_of_raw_payloads_and_commands_are_audited_and_entries_can_be_filtered() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    insert_transactions(&system.pool, 1..=1).await;
    let id = sqlx::query_scalar!("SELECT id FROM transactions").fetch_one(&system.pool).await.expect("a payment");
    let path = format!("/api/v1/transactions/{id}");
    let headers = [("x-api-key", ADMIN), ("x-request-id", "mine")];
    let response = web.download(ADMIN, &path, &headers[1..]).await;
    assert_eq!(response.headers()["x-request-id"], "mine");
    let response = web.request(Method::GET, &path, Some(OPERATOR), None).await.expect("a response");
    assert_eq!(response.json()["raw_data"], Value::Null);
    for arguments in [&["enqueue", "housekeeping"][..], &["quarantine", "replay"]] {
        let output =
            run(Program::Jobs, arguments, system.settings().into_iter().chain([("USER", "root-ada".to_owned())]));
        assert!(output.status.success(), "{output:?}");
    }

    let all = web.get("/api/v1/audit").await;
    let [replay, enqueue, view] = items(&all).as_slice() else { panic!("{all}") };
    assert_eq!((&view["operation"], &view["principal"]), (&json!("getTransaction"), &json!("ada")), "{view}");
    assert_eq!(
        (&view["client_request_id"], &view["details"]["transaction_id"]),
        (&json!("mine"), &json!(id)),
        "{view}"
    );
    for (entry, operation) in [(enqueue, "psp-jobs enqueue"), (replay, "psp-jobs quarantine replay")] {
        assert_eq!((&entry["operation"], &entry["principal"]), (&json!(operation), &json!("root-ada")), "{entry}");
        assert!(entry["key_id"].as_str().is_some_and(|id| id.ends_with("-000000000001")), "{entry}");
        assert_eq!((&entry["request_id"], &entry["address"]), (&Value::Null, &Value::Null), "{entry}");
    }

    let (began_at, request_id) =
        (view["began_at"].as_str().expect("a time"), view["request_id"].as_str().expect("an id"));
    let key_id = view["key_id"].as_str().expect("an id");
    for (query, total) in [
        ("principal=ada".to_owned(), 1),
        ("principal=root-ada&operation=psp-jobs%20enqueue".to_owned(), 1),
        (format!("key_id={key_id}"), 1),
        (format!("request_id={request_id}"), 1),
        (format!("to={began_at}"), 0),
        (format!("from={began_at}"), 3),
        (format!("from={began_at}&to=2999-01-01T00:00:00Z&outcome=succeeded"), 3),
        ("outcome=failed".to_owned(), 0),
    ] {
        assert_eq!(web.get(&format!("/api/v1/audit?{query}")).await["total"], total, "{query}");
    }
    for query in ["from=yesterday", "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "request_id=mine"] {
        let response = web.request(Method::GET, &format!("/api/v1/audit?{query}"), Some(ADMIN), None).await;
        assert_eq!(response.expect("a response").status, 422, "{query}");
    }
    let pages = web.pages(ADMIN, "/api/v1/audit?limit=2").await;
    let listed: Vec<&Value> = pages.iter().flat_map(items).collect();
    assert_eq!(listed, items(&all).iter().collect::<Vec<_>>());
}
