//! The authorization matrix: every operation of the access policy, called by everyone.
//!
//! Objects are named by ids that do not exist, so that nothing is prepared or changed: a 404 shows that the caller was let in.

use std::collections::BTreeMap;

use psp_dashboard::domain::access::Role;
use psp_dashboard::web::http::auth::policy::{POLICIES, Policy, ScopeRule};
use reqwest::Method;
use sqlx::{AssertSqlSafe, Executor};

use crate::harness::keys::create_key;
use crate::harness::test_system::{ADMIN, OPERATOR, TestSystem, VIEWER, Web};

/// Who calls.
struct Column {
    name: &'static str,
    credential: Credential,
    /// `None`: the credential is not accepted from anyone.
    role: Option<Role>,
    is_limited: bool,
}

enum Credential {
    None,
    Key(String),
    /// The cookie of a session that was started with this key, sent by a page of the service itself or of another host.
    Session {
        key: &'static str,
        is_own_page: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    Allowed,
    Unauthenticated,
    Forbidden,
}

fn expected(policy: &Policy, column: &Column) -> Expected {
    let Some(least) = policy.role else { return Expected::Allowed };
    match column.role {
        None => Expected::Unauthenticated,
        Some(role) if role < least => Expected::Forbidden,
        // Before the role: a page of another host learns nothing.
        Some(_) if is_foreign(&column.credential) && needs_origin(policy) => Expected::Forbidden,
        Some(_) if column.is_limited && policy.scope == ScopeRule::AllProjects => Expected::Forbidden,
        Some(_) => Expected::Allowed,
    }
}

fn is_foreign(credential: &Credential) -> bool {
    matches!(credential, Credential::Session { is_own_page: false, .. })
}

/// Another page could make the browser send it with the cookie: a change, or a connection for live events.
fn needs_origin(policy: &Policy) -> bool {
    policy.method != "GET" || policy.is_live()
}

fn actual(status: u16) -> Expected {
    match status {
        401 => Expected::Unauthenticated,
        403 => Expected::Forbidden,
        _ => Expected::Allowed,
    }
}

async fn columns(system: &TestSystem) -> Vec<Column> {
    let column = |name, key: &str, role| {
        let credential = Credential::Key(key.to_owned());
        Column { name, credential, role: Some(role), is_limited: false }
    };
    let session = |name, key, role, is_own_page| {
        let credential = Credential::Session { key, is_own_page };
        Column { name, credential, role: Some(role), is_limited: false }
    };
    let limited = |name, role: Role| {
        let key = create_key(system, role.as_str(), &["acme"]);
        Column { name, credential: Credential::Key(key), role: Some(role), is_limited: true }
    };
    let refused = |name, key| Column { name, credential: Credential::Key(key), role: None, is_limited: false };
    let [expired, revoked] = ["expires_at", "revoked_at"].map(|column| (column, create_key(system, "admin", &[])));
    for (column, key) in [&expired, &revoked] {
        let statement = format!(
            "UPDATE api_keys SET {column} = now() - interval '1 minute' WHERE key_hash = sha256(convert_to('{key}', 'UTF8'))"
        );
        let updated = system.pool.execute(AssertSqlSafe(statement)).await.expect("the column exists");
        assert_eq!(updated.rows_affected(), 1, "{column}");
    }
    vec![
        Column { name: "no key", credential: Credential::None, role: None, is_limited: false },
        column("viewer", VIEWER, Role::Viewer),
        column("operator", OPERATOR, Role::Operator),
        column("admin", ADMIN, Role::Admin),
        limited("scoped viewer", Role::Viewer),
        limited("scoped admin", Role::Admin),
        refused("expired key", expired.1),
        refused("revoked key", revoked.1),
        session("session of a viewer", VIEWER, Role::Viewer, true),
        session("session of an admin", ADMIN, Role::Admin, true),
        session("session of an admin on a page of another host", ADMIN, Role::Admin, false),
    ]
}

async fn call(web: &Web, policy: &Policy, credential: &Credential) -> u16 {
    let path = policy.path.split('/').map(|part| match part {
        "{id}" => "00000000-0000-0000-0000-000000000000",
        "{source}" => "neither",
        part if part.starts_with('{') => "nothing",
        part => part,
    });
    let path = path.collect::<Vec<_>>().join("/");
    let method: Method = policy.method.parse().expect("a method");
    // No body is valid, so that a call that is allowed changes nothing.
    let body = (method != Method::GET && method != Method::DELETE).then_some(r#"{"no such field": 1}"#);
    let key = match credential {
        Credential::None => None,
        Credential::Key(key) => Some(key.as_str()),
        Credential::Session { key, is_own_page } => {
            let cookie = start_session(web, key).await;
            let own = format!("http://127.0.0.1:{}", web.port);
            let origin = if *is_own_page { own.as_str() } else { "http://evil.example.com" };
            return web.send(method, &path, &[("cookie", &cookie), ("origin", origin)]).await.status;
        }
    };
    web.request(method, &path, key, body).await.expect("the web process responds").status
}

/// A new one for each call, because one of the operations ends it. Returns its cookie.
async fn start_session(web: &Web, key: &str) -> String {
    let started = web.send(Method::POST, "/api/v1/session", &[("x-api-key", key)]).await;
    started.header("set-cookie").split(';').next().expect("a cookie").to_owned()
}

#[tokio::test]
async fn every_operation_admits_exactly_those_that_its_policy_names() {
    let system = TestSystem::start(&[]).await;
    let columns = columns(&system).await;
    let web = system.start_web().await;
    let mut wrong = vec![];
    for policy in POLICIES {
        for column in &columns {
            let status = call(&web, policy, &column.credential).await;
            let (expected, actual) = (expected(policy, column), actual(status));
            if expected != actual || status >= 500 {
                wrong.push(format!("{} as {}: {status}, expected {expected:?}", policy.operation, column.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The matrix covers the whole document.
#[test]
fn every_operation_of_the_document_has_a_policy() {
    let document: serde_json::Value =
        serde_json::from_str(include_str!("../../openapi/openapi.json")).expect("the committed document");
    let policies: BTreeMap<&str, (&str, &str)> =
        POLICIES.iter().map(|policy| (policy.operation, (policy.method, policy.path))).collect();
    let mut operations = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            let id = operation["operationId"].as_str().expect("an id");
            assert_eq!(policies.get(id), Some(&(method.to_uppercase().as_str(), path.as_str())), "{id}");
            operations += 1;
        }
    }
    assert!(operations > 50, "{operations}");
}
