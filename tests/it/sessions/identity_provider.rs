//! Sign-in at an OpenID Connect identity provider.

use reqwest::Method;
use reqwest::header::{HeaderMap, LOCATION, SET_COOKIE};
use serde_json::json;

use super::{ME, SESSION};
use crate::harness::declared::assert_declared;
use crate::harness::eventually;
use crate::harness::identity_provider::{Defect, IdentityProvider};
use crate::harness::test_system::{TestSystem, Web, items};

/// Where browsers find the service.
const PUBLIC_URL: &str = "https://dash.example.com";
const LOGIN: &str = "/api/v1/session/oidc/login";
/// Why sign-ins with a defect are refused, in the log.
const REASONS: [&str; 7] = [
    "Invalid nonce",
    "Invalid audiences",
    "Invalid issuer",
    "Expired",
    "Crypto error",
    "No signature found",
    "access_denied",
];

struct Reply {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Reply {
    fn location(&self) -> &str {
        self.headers.get(LOCATION).expect("a redirect").to_str().expect("a URL")
    }

    fn cookies(&self) -> Vec<&str> {
        self.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().expect("a cookie")).collect()
    }

    /// The name and the value of the cookie whose name ends with this.
    fn cookie(&self, name: &str) -> String {
        let cookies = self.cookies();
        let found = cookies.iter().filter_map(|cookie| cookie.split(';').next()).find(|pair| pair.contains(name));
        found.unwrap_or_else(|| panic!("{name} is not in {cookies:?}")).to_owned()
    }
}

/// Follows no redirect by itself, and reaches `PUBLIC_URL` without TLS.
struct Browser<'web> {
    web: &'web Web,
    http: reqwest::Client,
}

impl<'web> Browser<'web> {
    #[expect(clippy::disallowed_methods, reason = "tests send requests to our own servers, not to a provider")]
    fn new(web: &'web Web) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Self { web, http: http.build().expect("an HTTP client") }
    }

    async fn open(&self, url: &str, cookie: &str) -> Reply {
        let path = url.strip_prefix(PUBLIC_URL).unwrap_or(url);
        let url = if path.starts_with('/') { self.web.url(path) } else { path.to_owned() };
        let response = self.http.get(url).header("cookie", cookie).send().await.expect("a response");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        if path.starts_with('/') {
            assert_declared(&Method::GET, path, status);
        }
        Reply { status, headers, text: response.text().await.expect("a text") }
    }

    /// Begins a sign-in. Returns the cookie of the attempt, and the address of the callback.
    async fn begin(&self) -> (String, String) {
        let login = self.open(LOGIN, "").await;
        assert_eq!(login.status, 303, "{}", login.text);
        let authorized = self.open(login.location(), "").await;
        assert!(authorized.location().starts_with(PUBLIC_URL), "{}", authorized.location());
        (login.cookie("psp_sign_in"), authorized.location().to_owned())
    }

    async fn sign_in(&self) -> Reply {
        let (cookie, callback) = self.begin().await;
        self.open(&callback, &cookie).await
    }

    async fn me(&self, cookie: &str) -> serde_json::Value {
        let me = self.open(ME, cookie).await;
        assert_eq!(me.status, 200, "{}", me.text);
        serde_json::from_str(&me.text).expect("JSON")
    }
}

#[tokio::test]
async fn users_of_the_identity_provider_get_the_role_of_their_groups() {
    let (system, provider) = tokio::join!(TestSystem::start(&[]), IdentityProvider::start());
    let settings: Vec<_> = provider.settings().into_iter().chain([("PUBLIC_URL", PUBLIC_URL)]).collect();
    provider.set_defect(Defect::Down);
    let web = system.start_web_with(&settings).await;
    let browser = Browser::new(&web);
    let down = browser.open(LOGIN, "").await;
    assert_eq!(down.status, 503, "{}", down.text);
    assert!(down.text.contains("OIDC_ISSUER"), "{}", down.text);
    provider.set_defect(Defect::None);
    eventually("the discovery to be repeated", || async {
        (browser.open(LOGIN, "").await.status == 303).then_some(())
    })
    .await;

    let signed_in = browser.sign_in().await;
    assert_eq!((signed_in.status, signed_in.location()), (303, "/"), "{}", signed_in.text);
    let session = signed_in.cookie("psp_session");
    let attributes = format!("{session}; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200; Secure");
    let ended = "__Host-psp_sign_in=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0; Secure";
    assert!(session.starts_with("__Host-psp_session="), "{session}");
    assert_eq!(signed_in.cookies(), [&attributes, ended]);
    let me = browser.me(&session).await;
    assert_eq!((&me["name"], &me["role"]), (&json!("grace@example.com"), &json!("operator")));
    assert_eq!(me["authentication"], "identity_provider_session");

    provider.set_user(json!({"sub": "user-2", "preferred_username": "alan", "groups": "support"}));
    refuse_sign_ins(&browser, &provider).await;
    for reason in REASONS {
        assert!(web.program.output().contains(reason), "{reason} is not in the log");
    }
    provider.rotate_key();
    let second = eventually("the new key to be read", || async {
        Some(browser.sign_in().await).filter(|signed_in| signed_in.status == 303)
    })
    .await;
    let second = browser.me(&second.cookie("psp_session")).await;
    assert_eq!((&second["name"], &second["role"]), (&json!("alan"), &json!("viewer")));
    let audit = web.get("/api/v1/audit?operation=completeSignIn&outcome=succeeded").await;
    let principals: Vec<_> = items(&audit).iter().map(|entry| entry["principal"].as_str()).collect();
    assert_eq!(principals.last(), Some(&Some("grace@example.com")), "{audit}");
    eventually("refused sign-ins to be recorded, up to a number per minute", || async {
        let refused = web.get("/api/v1/audit?operation=completeSignIn&outcome=refused").await;
        (items(&refused).len() >= 10).then_some(())
    })
    .await;
    // One key id per user.
    provider.set_user(json!({"sub": "user-1", "groups": ["support", "finance"]}));
    assert_eq!(browser.sign_in().await.status, 303);
    let ids = system.number("SELECT count(DISTINCT key_id) FROM sessions WHERE issuer IS NOT NULL").await;
    assert_eq!((ids, system.number("SELECT count(*) FROM sessions").await), (2, 4));

    let signed_out = [("cookie", session.as_str()), ("origin", PUBLIC_URL)];
    assert_eq!(web.send(Method::DELETE, SESSION, &signed_out).await.status, 204);
    assert_eq!(browser.open(ME, &session).await.status, 401);
}

/// Sign-ins that fail leave no session, and end the attempt.
async fn refuse_sign_ins(browser: &Browser<'_>, provider: &IdentityProvider) {
    for (defect, status) in [
        (Defect::Nonce, 401),
        (Defect::Audience, 401),
        (Defect::Issuer, 401),
        (Defect::Expired, 401),
        (Defect::OtherKey, 401),
        (Defect::Altered, 401),
        (Defect::Unsigned, 401),
        (Defect::CodeRefused, 401),
        (Defect::AccessDenied, 401),
    ] {
        provider.set_defect(defect);
        let refused = browser.sign_in().await;
        assert_eq!(refused.status, status, "{defect:?}: {}", refused.text);
        assert_eq!(refused.cookies().len(), 1, "{defect:?}: only the attempt ends: {:?}", refused.cookies());
    }
    provider.set_defect(Defect::None);
    let (cookie, callback) = browser.begin().await;
    let (other_cookie, _) = browser.begin().await;
    let (code, state) = callback.split_once("&state=").expect("a code and a state");
    for (callback, cookie) in [
        (callback.clone(), ""),
        (callback.clone(), other_cookie.as_str()),
        (format!("{code}&state=wrong"), cookie.as_str()),
        (code.to_owned(), cookie.as_str()),
        (format!("{PUBLIC_URL}/api/v1/session/oidc/callback?state={state}"), cookie.as_str()),
        (format!("{PUBLIC_URL}/api/v1/session/oidc/callback"), cookie.as_str()),
    ] {
        let refused = browser.open(&callback, cookie).await;
        assert_eq!(refused.status, 401, "{callback}: {}", refused.text);
        assert!(refused.text.contains("was not begun in this browser"), "{}", refused.text);
    }
    assert_eq!(browser.open(&callback, &cookie).await.status, 303, "the right browser can still sign in");
    assert_eq!(browser.open(&callback, &cookie).await.status, 401, "but only once");
    provider.set_user(json!({"sub": "user-3", "groups": ["strangers"]}));
    let refused = browser.sign_in().await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert!(refused.text.contains("none of your groups has a role"), "{}", refused.text);
    provider.set_user(json!({"sub": "user-2", "preferred_username": "alan", "groups": "support"}));
}

#[tokio::test]
async fn sign_in_is_explained_where_it_is_not_configured() {
    let system = TestSystem::start(&[]).await;
    let web = system.start_web().await;
    for path in [LOGIN, "/api/v1/session/oidc/callback"] {
        let response = web.send(Method::GET, path, &[]).await;
        assert_eq!(response.status, 404, "{response:?}");
        assert!(response.text.contains("OIDC_ISSUER"), "{response:?}");
    }
}
