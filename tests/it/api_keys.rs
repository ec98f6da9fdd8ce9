//! API keys: the API and the command line that manage them, what they allow, and how fast they end.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use crate::export::insert_discrepancies;
use crate::harness::eventually;
use crate::harness::exports::EXPORTS;
use crate::harness::programs::{Output, Program, run};
use crate::harness::socket::Socket;
use crate::harness::test_system::{ADMIN, ApiResponse, OPERATOR, TestSystem, VIEWER, Web, items};

const KEYS: &str = "/api/v1/api-keys";
const ME: &str = "/api/v1/me";

async fn send(web: &Web, method: Method, path: &str, key: &str, body: Option<&Value>) -> ApiResponse {
    let body = body.map(ToString::to_string);
    web.request(method, path, Some(key), body.as_deref()).await.expect("the web process responds")
}

/// Creates a key as an admin; returns its id and its text.
async fn create_key(web: &Web, properties: Value) -> (String, String) {
    let response = send(web, Method::POST, KEYS, ADMIN, Some(&properties)).await;
    assert_eq!(response.status, 201, "{}", response.text);
    new_key(&response.json())
}

fn new_key(response: &Value) -> (String, String) {
    let text = |name: &str| response[name].as_str().unwrap_or_else(|| panic!("{name}: {response}")).to_owned();
    (text("id"), text("key"))
}

async fn status_of(web: &Web, key: &str) -> u16 {
    send(web, Method::GET, ME, key, None).await.status
}

/// The id and the properties of a listed key.
async fn listed(web: &Web, id: &str) -> Value {
    let keys = web.get(KEYS).await;
    items(&keys).iter().find(|key| key["id"] == id).cloned().unwrap_or_else(|| panic!("{id} is not in {keys}"))
}

/// Waits until a key gets a status, and returns the response.
async fn eventually_status(web: &Web, key: &str, status: u16) -> ApiResponse {
    eventually(&format!("the key to get {status}"), || async {
        Some(send(web, Method::GET, ME, key, None).await).filter(|response| response.status == status)
    })
    .await
}

#[tokio::test]
async fn keys_are_managed_by_api() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web_with(&[("API_KEY_ENVIRONMENT", "test")]).await;

    let scoped = json!({"name": "monetix", "role": "admin", "projects": ["monetix"], "expires_in_days": 30});
    let (scoped_id, scoped_key) = create_key(&web, scoped).await;
    assert!(scoped_key.starts_with("psp_test_") && scoped_key.len() == 9 + 64, "{scoped_key}");
    let key = listed(&web, &scoped_id).await;
    assert_eq!(
        [&key["projects"], &key["created_by"], &key["origin"], &key["allowed_networks"], &key["last_used_at"]],
        [&json!(["monetix"]), &json!("ada"), &json!("issued"), &Value::Null, &Value::Null]
    );
    assert!(scoped_key.starts_with(key["prefix"].as_str().expect("a prefix")) && !key["expires_at"].is_null(), "{key}");
    let stored = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM api_keys WHERE api_keys::text LIKE '%' || $1::text || '%'"#,
        scoped_key
    );
    assert_eq!(
        stored.fetch_one(&system.pool).await.expect("the database responds"),
        0,
        "the text of a key is not stored"
    );

    // It works at once, and cannot give itself more rights.
    assert_eq!(status_of(&web, &scoped_key).await, 200);
    for (method, path) in [(Method::GET, KEYS), (Method::POST, KEYS)] {
        let body = (method == Method::POST).then(|| json!({"name": "more", "role": "admin"}));
        let refused = send(&web, method, path, &scoped_key, body.as_ref()).await;
        assert!(refused.status == 403 && refused.text.contains("limited to monetix"), "{refused:?}");
    }
    for key in [OPERATOR, VIEWER] {
        assert_eq!(send(&web, Method::GET, KEYS, key, None).await.status, 403);
    }
    eventually("the use of the key to be recorded", || async {
        (!listed(&web, &scoped_id).await["last_used_at"].is_null()).then_some(())
    })
    .await;

    for (properties, field) in [
        (json!({"role": "viewer"}), "name"),
        (json!({"name": "a"}), "role"),
        (json!({"name": "a", "role": "root"}), "role"),
        (json!({"name": "a", "role": "viewer", "projects": []}), "projects"),
        (json!({"name": "a", "role": "viewer", "projects": ""}), "projects"),
        (json!({"name": "a", "role": "viewer", "projects": [" "]}), "projects"),
        (json!({"name": "a", "role": "viewer", "allowed_networks": []}), "allowed_networks"),
        (json!({"name": "a", "role": "viewer", "allowed_networks": ["10.0.0.0/99"]}), "allowed_networks"),
        (json!({"name": "a", "role": "viewer", "expires_in_days": 0}), "expires_in_days"),
    ] {
        let refused = send(&web, Method::POST, KEYS, ADMIN, Some(&properties)).await;
        let fields: Vec<Value> =
            refused.json()["errors"].as_array().expect("errors").iter().map(|error| error["field"].clone()).collect();
        assert!(refused.status == 422 && fields == [field], "{properties}: {refused:?}");
    }

    // Keys of API_KEYS are listed, and changed only there.
    let keys = web.get(KEYS).await;
    let ada = items(&keys).iter().find(|key| key["name"] == "ada").expect("the key of the request");
    assert_eq!([&ada["origin"], &ada["role"]], ["setting", "admin"], "{ada}");
    let path = format!("{KEYS}/{}", ada["id"].as_str().expect("an id"));
    for (method, path) in [(Method::DELETE, path.clone()), (Method::POST, format!("{path}/rotate"))] {
        let refused = send(&web, method, &path, ADMIN, None).await;
        assert!(refused.status == 409 && refused.text.contains("API_KEYS"), "{refused:?}");
    }
    let missing = format!("{KEYS}/00000000-0000-7000-8000-000000000000");
    assert_eq!(send(&web, Method::DELETE, &missing, ADMIN, None).await.status, 404);

    let away = json!({"name": "away", "role": "viewer", "allowed_networks": ["203.0.113.0/24", "2001:db8::/32"]});
    let (_, away) = create_key(&web, away).await;
    let refused = send(&web, Method::GET, ME, &away, None).await;
    assert!(refused.status == 403 && refused.text.contains("127.0.0.1"), "{refused:?}");
    let (_, local) =
        create_key(&web, json!({"name": "local", "role": "viewer", "allowed_networks": ["127.0.0.0/8"]})).await;
    assert_eq!(status_of(&web, &local).await, 200);

    rotate_and_expire(&system, &web, &scoped_id, &scoped_key).await;
}

async fn rotate_and_expire(system: &TestSystem, web: &Web, id: &str, key: &str) {
    let rotate = format!("{KEYS}/{id}/rotate");
    let rotated = send(web, Method::POST, &rotate, ADMIN, Some(&json!({"overlap_hours": 1}))).await;
    assert_eq!(rotated.status, 201, "{}", rotated.text);
    let rotated = rotated.json();
    let (new_id, new) = new_key(&rotated);
    assert_eq!([&rotated["replaces"], &rotated["projects"]], [&json!(id), &json!(["monetix"])], "{rotated}");
    assert_eq!([status_of(web, key).await, status_of(web, &new).await], [200, 200], "both work");
    assert_eq!(listed(web, id).await["replaced_by"], json!(new_id));
    let again = send(web, Method::POST, &rotate, ADMIN, None).await;
    assert!(again.status == 409 && again.text.contains(&new_id), "{again:?}");

    // The end of the overlap.
    sqlx::query!("UPDATE api_keys SET expires_at = now() - interval '1 s' WHERE replaced_by IS NOT NULL")
        .execute(&system.pool)
        .await
        .expect("the database responds");
    let expired = eventually_status(web, key, 401).await;
    assert!(expired.text.contains("this key expired on 20"), "{expired:?}");
    assert_eq!(listed(web, id).await["expired"], true);
    assert_eq!(
        send(web, Method::POST, &format!("{KEYS}/{new_id}/rotate"), ADMIN, Some(&json!({"overlap_hours": 721})))
            .await
            .status,
        422
    );
    assert_eq!(
        send(web, Method::POST, &format!("{KEYS}/{new_id}/rotate"), ADMIN, Some(&json!({"overlap_hours": 0})))
            .await
            .status,
        201
    );
    assert_eq!(status_of(web, &new).await, 401, "without an overlap it ends at once");
}

fn psp_keys(system: &TestSystem, arguments: &[&str]) -> Output {
    let arguments: Vec<&str> = ["keys"].into_iter().chain(arguments.iter().copied()).collect();
    run(Program::Psp, &arguments, system.settings())
}

/// Creates a key by a command; returns its id and its text.
fn key_by_command(system: &TestSystem, arguments: &[&str]) -> (String, String) {
    let output = psp_keys(system, arguments);
    assert!(output.status.success(), "{output:?}");
    let id = output.stderr.split_whitespace().rfind(|word| word.len() == 36).expect("the id of the key");
    (id.to_owned(), output.stdout.trim().to_owned())
}

#[tokio::test]
async fn keys_are_managed_by_command_and_the_last_admin_stays() {
    let system = TestSystem::start(&[]).await;
    let (admin_id, admin) = key_by_command(&system, &["create", "--name", "root", "--role", "admin"]);
    assert!(admin.starts_with("psp_live_"), "{admin}");
    let web = system.start_web_with(&[("API_KEYS", "")]).await;
    let path = format!("{KEYS}/{admin_id}");
    let refused = send(&web, Method::DELETE, &path, &admin, None).await;
    assert!(refused.status == 409 && refused.text.contains("last key with the role admin"), "{refused:?}");
    let scoped = ["create", "--name", "one", "--role", "admin", "--project", "monetix", "--expires-in-days", "9"];
    let (scoped_id, _) = key_by_command(&system, &scoped);
    assert_eq!(send(&web, Method::DELETE, &path, &admin, None).await.status, 409, "a limited admin cannot manage keys");
    let (_, second) =
        key_by_command(&system, &["create", "--name", "second", "--role", "admin", "--network", "127.0.0.1"]);
    assert_eq!(send(&web, Method::DELETE, &path, &admin, None).await.status, 200);
    assert_eq!(status_of(&web, &admin).await, 401, "at once in the process that revoked it");
    eventually_status(&web, &second, 200).await;

    let (new_id, new) = key_by_command(&system, &["rotate", &scoped_id, "--overlap-hours", "2"]);
    eventually_status(&web, &new, 200).await;
    let list = psp_keys(&system, &["list"]).stdout;
    for text in [&scoped_id, &new_id, "monetix; all networks", "all projects; 127.0.0.1/32", "psp_live_"] {
        assert!(list.contains(text), "{text}: {list}");
    }
    assert!(!list.contains(&admin_id), "a revoked key is not listed: {list}");
    let revoked = psp_keys(&system, &["revoke", &new_id]);
    assert!(revoked.status.success(), "{revoked:?}");
    eventually_status(&web, &new, 401).await;
    for arguments in [
        &["revoke", &new_id][..],
        &["rotate", &scoped_id],
        &["create", "--name", " ", "--role", "viewer"],
        &["create", "--name", "a", "--role", "viewer", "--project", ""],
        &["create", "--name", "a", "--role", "viewer", "--network", "home"],
        &["create", "--name", "a", "--role", "viewer", "--expires-in-days", "0"],
    ] {
        assert!(!psp_keys(&system, arguments).status.success(), "{arguments:?}");
    }
}

#[tokio::test]
async fn revoked_key_loses_everything_that_it_opened() {
    let system = TestSystem::start(&[]).await;
    insert_discrepancies(&system, 50_000).await;
    let (web, other) = tokio::join!(system.start_web(), system.start_web());
    let worker = system.start_jobs(&["worker"]);
    let (id, key) = create_key(&web, json!({"name": "leaver", "role": "operator"})).await;
    eventually_status(&other, &key, 200).await;

    let mut socket = Socket::connect_with_key(&other.socket(), &key).await;
    socket.receive("connected").await;
    let ticket = send(&other, Method::POST, "/api/v1/ws/ticket", &key, None).await.json();
    let file = other.download(&key, "/api/v1/export/reconciliation", &[]).await;
    assert_eq!(file.status(), 200);
    // The worker cannot finish the export while the table is locked.
    let mut lock = system.pool.begin().await.expect("the database responds");
    sqlx::query!("LOCK TABLE transactions IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.expect("the lock");
    let export = send(&other, Method::POST, EXPORTS, &key, Some(&json!({"export": "transactions"}))).await.json();
    let export_path = format!("{EXPORTS}/{}", export["id"].as_str().expect("an id"));
    eventually("the export to run", || async { (web.get(&export_path).await["state"] == "running").then_some(()) })
        .await;

    assert_eq!(send(&web, Method::DELETE, &format!("{KEYS}/{id}"), ADMIN, None).await.status, 200);
    assert_eq!(status_of(&web, &key).await, 401, "the process that revoked it");
    assert_eq!(socket.closed().await, (1008, "key revoked".to_owned()));
    eventually_status(&other, &key, 401).await;
    let with_ticket = format!("{}?ticket={}", other.socket(), ticket["ticket"].as_str().expect("a ticket"));
    assert_eq!(Socket::refused_status(&with_ticket).await, 401, "a ticket of the key");
    let end = file.bytes().await.map(|bytes| bytes.len());
    assert!(end.is_err(), "the file breaks off: {end:?}");
    let failed = eventually("the export to be stopped", || async {
        Some(web.get(&export_path).await).filter(|export| export["state"] == "failed")
    })
    .await;
    assert!(failed["error"].as_str().is_some_and(|error| error.contains("key revoked")), "{failed}");
    lock.rollback().await.expect("the database responds");
    drop(worker);
}

#[tokio::test]
async fn unreadable_key_table_does_not_serialize_requests_and_fails_closed() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let (_, key) = create_key(&web, json!({"name": "finance", "role": "viewer"})).await;
    let mut lock = system.pool.begin().await.expect("the database responds");
    sqlx::query!("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.expect("the lock");
    let refused = eventually_status(&web, &key, 503).await;
    assert!(refused.text.contains("API keys"), "{refused:?}");
    // One after the other, they would take longer than the client waits.
    let statuses = join_all((0..40).map(|_| status_of(&web, &key))).await;
    assert_eq!(statuses, [503; 40]);
    assert_eq!(status_of(&web, VIEWER).await, 200, "keys of API_KEYS need no table");
    lock.rollback().await.expect("the database responds");
    eventually_status(&web, &key, 200).await;
}
