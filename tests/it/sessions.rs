//! Browser sessions: the cookie instead of a key, `Origin`, and how a session ends.

mod identity_provider;

use reqwest::Method;
use sqlx::Executor;
use uuid::Uuid;

use crate::harness::eventually;
use crate::harness::programs::{Program, run};
use crate::harness::socket::Socket;
use crate::harness::test_system::{ADMIN, ApiResponse, OPERATOR, TestSystem, VIEWER, Web, items};

const ME: &str = "/api/v1/me";
const SESSION: &str = "/api/v1/session";
const TICKET: &str = "/api/v1/ws/ticket";
const FOREIGN: &str = "http://evil.example.com";

/// A browser that shows the pages of one web process.
struct Browser<'web> {
    web: &'web Web,
    origin: String,
    cookie: String,
}

impl<'web> Browser<'web> {
    /// Exchanges a key for a session.
    async fn sign_in(web: &'web Web, key: &str) -> Self {
        let response = web.send(Method::POST, SESSION, &[("x-api-key", key)]).await;
        assert_eq!(response.status, 201, "{response:?}");
        Self::with_cookie(web, cookie_of(&response).to_owned())
    }

    fn with_cookie(web: &'web Web, cookie: String) -> Self {
        Self { web, origin: format!("http://127.0.0.1:{}", web.port), cookie }
    }

    /// The same browser at another web process.
    fn at(&self, web: &'web Web) -> Self {
        Self::with_cookie(web, self.cookie.clone())
    }

    /// Sends a request with the cookie, and with `Origin` as browsers do: unless it only reads.
    async fn send(&self, method: Method, path: &str) -> ApiResponse {
        let origin = (method != Method::GET).then_some(("origin", self.origin.as_str()));
        let headers: Vec<_> = [("cookie", self.cookie.as_str())].into_iter().chain(origin).collect();
        self.web.send(method, path, &headers).await
    }

    async fn status(&self) -> u16 {
        self.send(Method::GET, ME).await.status
    }

    async fn open_socket(&self) -> Socket {
        let mut socket =
            Socket::connect_with(&self.web.socket(), &[("cookie", &self.cookie), ("origin", &self.origin)]).await;
        socket.receive("connected").await;
        socket
    }

    async fn is_signed_out(&self) {
        eventually("the session to be refused", || async { (self.status().await == 401).then_some(()) }).await;
    }
}

/// The name and the value of a cookie that is set.
fn cookie_of(response: &ApiResponse) -> &str {
    response.header("set-cookie").split(';').next().expect("a name and a value")
}

#[tokio::test]
async fn cookie_replaces_the_key_in_a_browser() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    let started = web.send(Method::POST, SESSION, &[("authorization", &format!("Bearer {OPERATOR}"))]).await;
    assert_eq!(started.status, 201, "{started:?}");
    let cookie = started.header("set-cookie");
    let token = cookie.strip_prefix("psp_session=").expect(cookie).split(';').next().expect("a value");
    assert!(token.len() == 64 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{cookie}");
    assert_eq!(cookie, format!("psp_session={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200"));
    assert_eq!((&started.json()["name"], &started.json()["role"]), (&"otto".into(), &"operator".into()));

    let behind_tls = [("x-api-key", VIEWER), ("x-forwarded-proto", "https")];
    let secure = web.send(Method::POST, SESSION, &behind_tls).await;
    let cookie = secure.header("set-cookie");
    assert!(cookie.starts_with("__Host-psp_session=") && cookie.ends_with("; Secure"), "{cookie}");

    let browser = Browser::with_cookie(&web, cookie_of(&started).to_owned());
    let me = browser.send(Method::GET, ME).await;
    assert_eq!(me.status, 200, "{me:?}");
    assert_eq!((&me.json()["name"], &me.json()["authentication"]), (&"otto".into(), &"key_session".into()));
    assert_eq!(me.json()["session_expires_at"], started.json()["expires_at"]);
    let by_key = web.send(Method::GET, ME, &[("x-api-key", VIEWER), ("cookie", &browser.cookie)]).await;
    assert_eq!((&by_key.json()["name"], &by_key.json()["authentication"]), (&"vera".into(), &"api_key".into()));
    assert!(by_key.json()["session_expires_at"].is_null(), "a key comes before a cookie: {by_key:?}");

    let file = browser.send(Method::GET, "/api/v1/export/transactions?format=csv").await;
    assert_eq!(file.status, 200, "a browser downloads with its cookie: {file:?}");
    let again = browser.send(Method::POST, SESSION).await;
    assert_eq!(again.status, 409, "a session is not prolonged by itself: {again:?}");
    let stored = system.number("SELECT count(*) FROM sessions WHERE position(name in 'otto vera') > 0").await;
    assert_eq!(stored, 2);
    let stores_token = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM sessions WHERE sessions::text LIKE '%' || $1::text || '%'"#,
        token
    );
    assert_eq!(
        stores_token.fetch_one(&system.pool).await.expect("the database responds"),
        0,
        "only a digest is stored"
    );
}

#[tokio::test]
async fn request_by_cookie_needs_the_right_origin() {
    let system = TestSystem::start(&[]).await;
    let allowed = "https://dashboard.example.com";
    let web = system.start_web_with(&[("CORS_ALLOWED_ORIGINS", allowed)]).await;
    let browser = Browser::sign_in(&web, ADMIN).await;
    let (cookie, own) = (("cookie", &*browser.cookie), ("origin", &*browser.origin));
    let https = ("x-forwarded-proto", "https");
    let secure = (cookie.0, &*format!("__Host-{}", cookie.1));
    for (headers, expected) in [
        (&[cookie][..], 403),
        (&[cookie, ("origin", FOREIGN)], 403),
        (&[cookie, ("origin", "null")], 403),
        (&[cookie, own], 200),
        (&[cookie, ("origin", allowed)], 200),
        (&[secure, https, own], 403),
        (&[secure, https, ("origin", &own.1.replace("http:", "https:"))], 200),
        // A page cannot send a key by accident.
        (&[("x-api-key", ADMIN), ("origin", FOREIGN)], 200),
        (&[("x-api-key", ADMIN), cookie, ("origin", FOREIGN)], 200),
    ] {
        let response = web.send(Method::POST, TICKET, headers).await;
        assert_eq!(response.status, expected, "{headers:?}: {response:?}");
        assert!(!response.headers.contains_key("access-control-allow-credentials"));
    }
    let reading = web.send(Method::GET, ME, &[cookie, ("origin", FOREIGN)]).await;
    assert_eq!(reading.status, 200, "reading needs no origin, because the page does not get the response");
    assert!(!reading.headers.contains_key("access-control-allow-origin"), "{reading:?}");
    for origin in [None, Some(("origin", FOREIGN))] {
        let headers: Vec<_> = [cookie].into_iter().chain(origin).collect();
        assert_eq!(Socket::refused_status_with(&web.socket(), &headers).await, 403, "{origin:?}");
        let ended = web.send(Method::DELETE, SESSION, &headers).await;
        assert_eq!(ended.status, 403, "another page cannot sign the user out: {ended:?}");
    }
    browser.open_socket().await;
}

#[tokio::test]
async fn ended_session_stops_in_every_process() {
    let system = TestSystem::start(&[]).await;
    let (web, other) = tokio::join!(system.start_web(), system.start_web());
    let browser = Browser::sign_in(&web, VIEWER).await;
    let elsewhere = browser.at(&other);
    let mut sockets = [browser.open_socket().await, elsewhere.open_socket().await];
    let ticket = browser.send(Method::POST, TICKET).await.json()["ticket"].as_str().expect("a ticket").to_owned();

    let by_key = web.send(Method::DELETE, SESSION, &[("x-api-key", VIEWER)]).await;
    assert_eq!(by_key.status, 409, "a key has no session: {by_key:?}");
    let ended = browser.send(Method::DELETE, SESSION).await;
    assert_eq!(ended.status, 204, "{ended:?}");
    assert_eq!(ended.header("set-cookie"), "psp_session=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    assert_eq!(browser.status().await, 401, "the process that ended it refuses it at once");
    elsewhere.is_signed_out().await;
    for socket in &mut sockets {
        assert_eq!(socket.closed().await.0, 1008);
    }
    let with_ticket = format!("{}?ticket={ticket}", web.socket());
    assert_eq!(Socket::refused_status(&with_ticket).await, 401, "a ticket of an ended session is refused");
    for operation in ["startSession", "endSession"] {
        let page = web.get(&format!("/api/v1/audit?operation={operation}&outcome=succeeded")).await;
        let [entry] = items(&page).as_slice() else { panic!("{operation}: {page}") };
        assert_eq!(entry["principal"], "vera", "{entry}");
    }
    let other_session = Browser::sign_in(&web, VIEWER).await;
    assert_eq!(other_session.status().await, 200, "the key and its other sessions are not affected");
}

#[tokio::test]
async fn session_ends_with_its_key_and_with_time() {
    let system = TestSystem::start(&[]).await;
    let created = run(Program::Psp, &["keys", "create", "--name", "temp", "--role", "viewer"], system.settings());
    let key = created.stdout.split_whitespace().find(|word| word.starts_with("psp_")).expect("a key").to_owned();
    let web = system.start_web().await;
    let of_key = Browser::sign_in(&web, &key).await;
    assert_eq!(of_key.status().await, 200);
    let mut socket = of_key.open_socket().await;
    let id = sqlx::query_scalar!("SELECT id FROM api_keys WHERE name = 'temp'");
    let id: Uuid = id.fetch_one(&system.pool).await.expect("the key exists");
    let revoked = run(Program::Psp, &["keys", "revoke", &id.to_string()], system.settings());
    assert!(revoked.status.success(), "{revoked:?}");
    of_key.is_signed_out().await;
    assert_eq!(socket.closed().await.0, 1008);

    let expiring = Browser::sign_in(&web, OPERATOR).await;
    let mut socket = expiring.open_socket().await;
    let expire = "UPDATE sessions SET created_at = created_at - interval '13 hours', expires_at = expires_at - interval '13 hours'";
    system.pool.execute(expire).await.expect("the sessions exist");
    expiring.is_signed_out().await;
    assert_eq!(socket.closed().await.0, 1008);

    let unknown = Browser::with_cookie(&web, format!("psp_session={}", "0".repeat(64)));
    assert_eq!(unknown.status().await, 401);
}
