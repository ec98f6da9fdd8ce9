//! Optimistic concurrency: a change of something that has changed since it was read is a 412, and changes nothing.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};
use uuid::Uuid;

use crate::export::insert_discrepancies;
use crate::harness::test_system::{ADMIN, ApiResponse, OPERATOR, TestSystem, Web, items};

const DISCREPANCIES: &str = "/api/v1/reconciliation/discrepancies";

async fn send(web: &Web, method: Method, path: &str, if_match: &str, body: &Value) -> ApiResponse {
    web.send_json(method, path, ADMIN, &[("if-match", if_match)], body).await
}

/// The tag of one resource, which is the same in the header, in the body and in the list.
async fn tag(web: &Web, list: &str, id: &str) -> String {
    let path = format!("{list}/{id}");
    let response = web.request(Method::GET, &path, Some(ADMIN), None).await.expect("the web process responds");
    let etag = response.header("etag").to_owned();
    assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "{path}: {response:?}");
    assert_eq!(response.json()["etag"], json!(etag), "{path}");
    let page = web.get(list).await;
    let listed = items(&page).iter().find(|item| item["id"] == id).expect("it is in the list");
    assert_eq!(listed["etag"], json!(etag), "{list}");
    etag
}

fn assert_failed(response: &ApiResponse) {
    assert_eq!((response.status, &response.json()["code"]), (412, &json!("PRECONDITION_FAILED")), "{response:?}");
    assert!(response.json()["detail"].as_str().is_some_and(|detail| detail.contains("read it again")), "{response:?}");
}

async fn first_discrepancy(system: &TestSystem) -> String {
    insert_discrepancies(system, 1).await;
    let id = sqlx::query_scalar!("SELECT id FROM discrepancies LIMIT 1").fetch_one(&system.pool).await;
    id.expect("there is one").to_string()
}

#[tokio::test]
async fn discrepancy_is_updated_only_in_the_version_that_was_read() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let id = first_discrepancy(&system).await;
    let path = format!("{DISCREPANCIES}/{id}");
    let read = tag(&web, DISCREPANCIES, &id).await;
    let (weak, several) = (format!("W/{read}"), format!("\"other\", {read}"));
    for (if_match, status) in [
        (read.as_str(), 200),
        (weak.as_str(), 412),
        ("\"other\"", 412),
        ("", 400),
        ("7", 400),
        ("*, \"7\"", 400),
        ("\"other\", ", 412),
        ("*", 200),
        (several.as_str(), 200),
    ] {
        // It changes nothing, so the version stays.
        let response = send(&web, Method::PATCH, &path, if_match, &json!({"state": "open"})).await;
        assert_eq!(response.status, status, "{if_match}: {response:?}");
    }
    let changed = send(&web, Method::PATCH, &path, &read, &json!({"assignee": "ada"})).await;
    let second = changed.header("etag").to_owned();
    assert_eq!((changed.status, &changed.json()["etag"]), (200, &json!(second)), "{changed:?}");
    assert_ne!(second, read);
    assert_failed(&send(&web, Method::PATCH, &path, &read, &json!({"assignee": "otto"})).await);
    assert_eq!(tag(&web, DISCREPANCIES, &id).await, second);
    // A run is somebody else too.
    system
        .pool
        .execute("UPDATE discrepancies SET amount_diff = amount_diff + 1")
        .await
        .expect("the database accepts it");
    assert_failed(&send(&web, Method::PATCH, &path, &second, &json!({"state": "resolved"})).await);
    assert_eq!(web.get(&path).await["state"], "open");
    // A condition is no way to find out what exists; and without one, everything is as before.
    let unknown = format!("{DISCREPANCIES}/{}", Uuid::nil());
    assert_eq!(send(&web, Method::PATCH, &unknown, "*", &json!({"state": "resolved"})).await.status, 404);
    assert_eq!(web.send_json(Method::PATCH, &path, OPERATOR, &[], &json!({"state": "resolved"})).await.status, 200);
}

#[tokio::test]
async fn of_concurrent_writers_exactly_one_wins() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let id = first_discrepancy(&system).await;
    let path = format!("{DISCREPANCIES}/{id}");
    for round in 0..5 {
        let read = tag(&web, DISCREPANCIES, &id).await;
        let writes = (0..8).map(|writer| {
            let body = json!({"note": format!("{round} {writer}")});
            let (web, path, read) = (&web, &path, &read);
            async move { (send(web, Method::PATCH, path, read, &body).await.status, body["note"].clone()) }
        });
        let outcomes = join_all(writes).await;
        let won: Vec<&Value> = outcomes.iter().filter(|(status, _)| *status == 200).map(|(_, note)| note).collect();
        assert_eq!(won, [&web.get(&path).await["note"]], "{outcomes:?}");
        assert!(outcomes.iter().all(|(status, _)| [200, 412].contains(status)), "{outcomes:?}");
    }
    assert_eq!(system.number("SELECT count(*) FROM discrepancy_changes").await, 5);
}

/// Creates a resource, and returns its id and its tag.
async fn create(web: &Web, list: &str, body: &Value) -> (String, String) {
    let created = web.send_json(Method::POST, list, ADMIN, &[], body).await;
    assert_eq!(created.status, 201, "{list}: {created:?}");
    let (id, etag) = (created.json()["id"].as_str().expect("an id").to_owned(), created.header("etag").to_owned());
    assert_eq!(tag(web, list, &id).await, etag, "{list}");
    (id, etag)
}

#[tokio::test]
async fn rules_webhooks_and_schedules_are_changed_only_in_the_version_that_was_read() {
    let system = TestSystem::start(&[]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let store = format!("file://{}", folder.path().display());
    let web = system.start_web_with(&[("EXPORT_STORE", &store)]).await;
    let digest =
        json!({"name": "d", "cron": "0 7 * * *", "kind": "digest", "destination": "object_store", "folder": "a"});
    for (list, body, change, bookkeeping) in [
        (
            "/api/v1/alert-rules",
            json!({"name": "r", "kind": "quarantine", "threshold": "5"}),
            json!({"enabled": false}),
            "SELECT",
        ),
        (
            "/api/v1/webhooks",
            json!({"url": "http://127.0.0.1:9999/"}),
            json!({"enabled": false}),
            "UPDATE webhooks SET last_attempt_at = now(), failing_since = now(), last_event_id = last_event_id + 1",
        ),
        (
            "/api/v1/report-schedules",
            digest,
            json!({"enabled": false}),
            "UPDATE report_schedules SET next_run_at = now()",
        ),
    ] {
        let (id, read) = create(&web, list, &body).await;
        let path = format!("{list}/{id}");
        system.pool.execute(bookkeeping).await.expect("the database accepts it");
        assert_eq!(tag(&web, list, &id).await, read, "{list}: no person has changed it");
        let changed = send(&web, Method::PATCH, &path, &read, &change).await;
        let second = changed.header("etag").to_owned();
        assert_eq!((changed.status, tag(&web, list, &id).await), (200, second.clone()), "{changed:?}");
        assert_ne!(second, read, "{list}");
        for method in [Method::PATCH, Method::DELETE] {
            assert_failed(&send(&web, method, &path, &read, &json!({"enabled": true})).await);
        }
        assert_eq!(web.get(&path).await["enabled"], false, "{list}");
        assert_eq!(send(&web, Method::DELETE, &path, &second, &json!({})).await.status, 200, "{list}");
    }
}

#[tokio::test]
async fn keys_are_rotated_and_revoked_only_in_the_version_that_was_read() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let list = "/api/v1/api-keys";
    let (id, read) = create(&web, list, &json!({"name": "finance", "role": "viewer"})).await;
    let path = format!("{list}/{id}");
    let used = format!("UPDATE api_keys SET last_used_at = now() WHERE id = '{id}'");
    system.pool.execute(AssertSqlSafe(used)).await.expect("the database accepts it");
    assert_eq!(tag(&web, list, &id).await, read, "it was only used");
    for (method, path) in [(Method::POST, format!("{path}/rotate")), (Method::DELETE, path.clone())] {
        assert_failed(&send(&web, method, &path, "\"0\"", &json!({})).await);
    }
    let rotated = send(&web, Method::POST, &format!("{path}/rotate"), &read, &json!({})).await;
    let replacement = rotated.json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(rotated.header("etag"), tag(&web, list, &replacement).await);
    assert_failed(&send(&web, Method::DELETE, &path, &read, &json!({})).await);
    let current = tag(&web, list, &id).await;
    assert_eq!(send(&web, Method::DELETE, &path, &current, &json!({})).await.status, 200);
    assert_eq!(web.request(Method::GET, &path, Some(ADMIN), None).await.expect("a response").status, 404);
    // Those of the setting cannot be changed here.
    let keys = web.get(list).await;
    let setting = items(&keys).iter().find(|key| key["origin"] == "setting").expect("the keys of the tests");
    let path = format!("{list}/{}", setting["id"].as_str().expect("an id"));
    let response = web.request(Method::GET, &path, Some(ADMIN), None).await.expect("a response");
    assert_eq!((response.status, response.header("etag"), &response.json()), (200, "", setting));
}

#[tokio::test]
async fn pages_of_other_origins_may_send_conditions_and_read_tags() {
    let system = TestSystem::start(&[]).await;
    let origin = "https://dashboard.example";
    let web = system.start_web_with(&[("CORS_ALLOWED_ORIGINS", origin)]).await;
    let preflight = [("origin", origin), ("access-control-request-method", "PATCH")];
    let allowed = web.options(DISCREPANCIES, &preflight).await;
    assert!(allowed.header("access-control-allow-headers").contains("If-Match"), "{allowed:?}");
    let read = web.send(Method::GET, DISCREPANCIES, &[("origin", origin), ("x-api-key", ADMIN)]).await;
    assert!(read.header("access-control-expose-headers").contains("ETag"), "{read:?}");
}
