//! Saved views: who sees and changes which, what is stored, and what becomes of them.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Executor;

use crate::harness::keys::create_key;
use crate::harness::programs::{Program, run};
use crate::harness::test_system::{ADMIN, ApiResponse, OPERATOR, TestSystem, VIEWER, Web, items};

const PATH: &str = "/api/v1/views";

async fn send(web: &Web, key: &str, method: Method, path: &str, body: Value) -> ApiResponse {
    let body = (!body.is_null()).then(|| body.to_string());
    web.request(method, path, Some(key), body.as_deref()).await.expect("the web process responds")
}

async fn save(web: &Web, key: &str, body: Value) -> Value {
    let saved = send(web, key, Method::POST, PATH, body).await;
    assert_eq!(saved.status, 201, "{saved:?}");
    saved.json()
}

fn path_of(view: &Value) -> String {
    format!("{PATH}/{}", view["id"].as_str().expect("an id"))
}

async fn names(web: &Web, key: &str, query: &str) -> Vec<String> {
    let page = send(web, key, Method::GET, &format!("{PATH}{query}"), Value::Null).await.json();
    assert_eq!(page["total"], items(&page).len(), "{page}");
    items(&page).iter().map(|view| view["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn personal_views_are_private_and_shared_ones_are_seen_by_all() {
    let system = TestSystem::start(&[]).await;
    let limited = create_key(&system, "operator", &["acme"]);
    let web = system.start_web().await;
    let filters = json!({"status": ["failed"], "min_amount": "10000", "search": "asha.rao@example.com"});
    let personal = save(&web, VIEWER, json!({"name": " Mine ", "page": "payments", "filters": filters})).await;
    assert_eq!((&personal["name"], &personal["filters"]), (&json!("Mine"), &filters), "{personal}");
    assert_eq!((&personal["shared"], &personal["is_own"]), (&json!(false), &json!(true)), "{personal}");
    let shared =
        save(&web, OPERATOR, json!({"name": "Ours", "page": "payments", "filters": filters, "shared": true})).await;
    save(&web, OPERATOR, json!({"name": "Jobs", "page": "jobs"})).await;
    for (key, query, expected) in [
        (VIEWER, "", vec!["Ours", "Mine"]),
        (OPERATOR, "", vec!["Jobs", "Ours"]),
        (ADMIN, "", vec!["Ours"]),
        (OPERATOR, "?of_page=jobs", vec!["Jobs"]),
        (VIEWER, "?of_page=jobs", vec![]),
    ] {
        assert_eq!(names(&web, key, query).await, expected, "{key} {query}");
    }
    // A viewer sees no personal data that someone else has saved.
    for (key, search) in
        [(OPERATOR, "asha.rao@example.com"), (ADMIN, "asha.rao@example.com"), (VIEWER, "a***@example.com")]
    {
        let view = send(&web, key, Method::GET, &path_of(&shared), Value::Null).await.json();
        assert_eq!(view["filters"]["search"], search, "{view}");
        assert_eq!(view["is_own"], key == OPERATOR, "{view}");
    }
    let change = json!({"name": "Changed"});
    for (key, view, read, changed) in [
        (ADMIN, &personal, 404, 404),
        (OPERATOR, &personal, 404, 404),
        (VIEWER, &shared, 200, 403),
        (&limited, &shared, 200, 403),
        (ADMIN, &shared, 200, 200),
        (OPERATOR, &shared, 200, 200),
        (VIEWER, &personal, 200, 200),
    ] {
        let path = path_of(view);
        assert_eq!(send(&web, key, Method::GET, &path, Value::Null).await.status, read, "{path}");
        assert_eq!(send(&web, key, Method::PATCH, &path, change.clone()).await.status, changed, "{path}");
    }
    let kept = send(&web, OPERATOR, Method::GET, &path_of(&shared), Value::Null).await.json();
    assert_eq!((&kept["owner"], &kept["filters"]), (&shared["owner"], &filters), "an admin does not become the owner");
    for (key, view, status) in
        [(VIEWER, &shared, 403), (ADMIN, &personal, 404), (ADMIN, &shared, 200), (ADMIN, &shared, 404)]
    {
        assert_eq!(send(&web, key, Method::DELETE, &path_of(view), Value::Null).await.status, status);
    }
}

#[tokio::test]
async fn sharing_needs_an_operator_and_views_are_limited() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web_with(&[("RATE_LIMIT_PER_KEY", "0")]).await;
    let body = json!({"name": "a", "page": "payments"});
    let refused = send(&web, VIEWER, Method::POST, PATH, json!({"name": "a", "page": "jobs", "shared": true})).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    let own = save(&web, VIEWER, body.clone()).await;
    let refused = send(&web, VIEWER, Method::PATCH, &path_of(&own), json!({"shared": true})).await;
    assert_eq!(refused.status, 403, "{refused:?}");
    for (body, field) in [
        (json!({}), "name"),
        (json!({"name": "a"}), "page"),
        (json!({"name": " ", "page": "jobs"}), "name"),
        (json!({"name": "a", "page": "Jobs!"}), "page"),
        (json!({"name": "a", "page": "jobs", "filters": {"a": {"b": 1}}}), "filters"),
        (json!({"name": "a", "page": "jobs", "filters": {"a": "\u{0}"}}), "filters"),
        (json!({"name": "a", "page": "jobs", "filters": {"a": "b".repeat(9_000)}}), "filters"),
        (json!({"name": "a", "page": "jobs", "filters": "a"}), "filters"),
        (json!({"name": "a", "page": "jobs", "sharde": true}), "sharde"),
    ] {
        let refused = send(&web, VIEWER, Method::POST, PATH, body.clone()).await;
        assert_eq!(
            (refused.status, &refused.json()["errors"][0]["field"]),
            (422, &json!(field)),
            "{body}: {refused:?}"
        );
    }
    let copy = "
        INSERT INTO saved_views SELECT gen_random_uuid(), name, page, filters, shared, owner_key, owner, created_at, updated_at
          FROM saved_views, generate_series(1, 199)";
    system.pool.execute(copy).await.expect("there is one");
    let refused = send(&web, VIEWER, Method::POST, PATH, body.clone()).await;
    assert_eq!(refused.status, 409, "{refused:?}");
    assert_eq!(send(&web, OPERATOR, Method::POST, PATH, body).await.status, 201, "another key has its own");
}

#[tokio::test]
async fn changes_of_views_are_audited_and_a_person_is_erased_from_them() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let filters = json!({"search": "asha.rao@example.com"});
    let view = save(&web, OPERATOR, json!({"name": "Asha", "page": "payments", "filters": filters})).await;
    let other =
        save(&web, OPERATOR, json!({"name": "Failed", "page": "payments", "filters": {"status": "failed"}})).await;
    assert_eq!(send(&web, OPERATOR, Method::PATCH, &path_of(&other), json!({"filters": {}})).await.status, 200);
    for (operation, before, after) in [
        ("createView", Value::Null, json!({"status": "failed"})),
        ("updateView", json!({"status": "failed"}), json!({})),
    ] {
        let entries = web.get(&format!("/api/v1/audit?operation={operation}")).await;
        let entry = &entries["items"][0];
        assert_eq!((&entry["before"]["filters"], &entry["after"]["filters"]), (&before, &after), "{entry}");
    }
    let erased = run(Program::Psp, &["erase", "--email", "asha.rao@example.com", "--yes"], system.settings());
    assert!(erased.status.success(), "{erased:?}");
    assert_eq!(send(&web, OPERATOR, Method::GET, &path_of(&view), Value::Null).await.status, 404);
    assert_eq!(send(&web, OPERATOR, Method::GET, &path_of(&other), Value::Null).await.status, 200);
    let entries = web.get("/api/v1/audit?operation=createView").await.to_string();
    assert!(!entries.contains("asha.rao"), "{entries}");
}

#[tokio::test]
async fn views_follow_a_rotated_key() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let body = json!({"name": "finance", "role": "viewer"});
    let key = send(&web, ADMIN, Method::POST, "/api/v1/api-keys", body).await.json();
    let (old, id) = (key["key"].as_str().expect("a key"), key["id"].as_str().expect("an id"));
    save(&web, old, json!({"name": "Mine", "page": "payments"})).await;
    let rotate = format!("/api/v1/api-keys/{id}/rotate");
    let replaced = send(&web, ADMIN, Method::POST, &rotate, Value::Null).await;
    let new = replaced.json()["key"].as_str().expect("a key").to_owned();
    assert_eq!(names(&web, &new, "").await, ["Mine"], "{replaced:?}");
}
