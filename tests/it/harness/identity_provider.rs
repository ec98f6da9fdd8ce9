//! An OpenID Connect identity provider: discovery, keys, authorization and tokens. Everyone who asks is signed in at once as the
//! user that the test has set, with the defect that the test has set.

#![expect(clippy::needless_pass_by_value, reason = "the handlers of poem take their extractors by value")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use chrono::{TimeDelta, Utc};
use poem::http::StatusCode;
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::web::{Data, Form, Json, Query, Redirect};
use poem::{EndpointExt, IntoResponse, Request, Response, Route, Server, get, handler, post};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;
use uuid::Uuid;

pub(crate) const CLIENT_ID: &str = "psp-dashboard";
pub(crate) const CLIENT_SECRET: &str = "client-secret-for-tests";

/// What is wrong with the next tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    None,
    Nonce,
    Audience,
    Issuer,
    Expired,
    /// Signed with a key that is not published.
    OtherKey,
    /// Changed after it was signed.
    Altered,
    /// `alg` is `none`.
    Unsigned,
    /// The token endpoint refuses the code.
    CodeRefused,
    /// The user is not signed in.
    AccessDenied,
    /// Every endpoint fails.
    Down,
}

pub(crate) struct IdentityProvider {
    pub(crate) url: String,
    state: Shared,
    server: JoinHandle<()>,
}

type Shared = Arc<Mutex<State>>;

struct State {
    url: String,
    key: SigningKey,
    user: Value,
    defect: Defect,
    /// By the code.
    sign_ins: HashMap<String, Authorize>,
}

/// The parameters of the authorization endpoint.
#[derive(Debug, Clone, Deserialize)]
struct Authorize {
    client_id: String,
    redirect_uri: String,
    response_type: String,
    scope: String,
    state: String,
    nonce: String,
    code_challenge: String,
    code_challenge_method: String,
}

#[derive(Debug, Deserialize)]
struct TokenRequest {
    grant_type: String,
    code: String,
    redirect_uri: String,
    code_verifier: String,
}

struct SigningKey {
    id: String,
    pair: EcdsaKeyPair,
}

impl SigningKey {
    fn new() -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a key");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).expect("the key is valid");
        Self { id: Uuid::new_v4().to_string(), pair }
    }

    fn public(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.pair.public_key().as_ref();
        let [x, y] = [&point[1..33], &point[33..]].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id, "x": x, "y": y})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
        let text = format!("{header}.{claims}");
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes()).expect("a signature");
        format!("{text}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

impl IdentityProvider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a free port");
        let address = listener.local_addr()[0].as_socket_addr().map(SocketAddr::to_string).expect("an address");
        let url = format!("http://{address}");
        let user = json!({"sub": "user-1", "email": "grace@example.com", "groups": ["finance"]});
        let (key, sign_ins) = (SigningKey::new(), HashMap::new());
        let state = State { url: url.clone(), key, user, defect: Defect::None, sign_ins };
        let state: Shared = Arc::new(Mutex::new(state));
        let routes = Route::new()
            .at("/.well-known/openid-configuration", get(discovery))
            .at("/keys", get(keys))
            .at("/authorize", get(authorize))
            .at("/token", post(token))
            .data(Arc::clone(&state));
        let server = tokio::spawn(async move {
            Server::new_with_acceptor(listener).run(routes).await.expect("the server runs");
        });
        Self { url, state, server }
    }

    /// The settings of `psp web`.
    pub(crate) fn settings(&self) -> [(&'static str, &str); 4] {
        [
            ("OIDC_ISSUER", &self.url),
            ("OIDC_CLIENT_ID", CLIENT_ID),
            ("OIDC_CLIENT_SECRET", CLIENT_SECRET),
            ("OIDC_ROLES", "finance=operator,support=viewer"),
        ]
    }

    pub(crate) fn set_defect(&self, defect: Defect) {
        lock(&self.state).defect = defect;
    }

    /// The claims of the user.
    pub(crate) fn set_user(&self, user: Value) {
        lock(&self.state).user = user;
    }

    /// Signs with a new key, and publishes only that.
    pub(crate) fn rotate_key(&self) {
        lock(&self.state).key = SigningKey::new();
    }
}

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(state: &Shared) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[handler]
fn discovery(state: Data<&Shared>) -> Response {
    let state = lock(&state);
    if state.defect == Defect::Down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    let url = &state.url;
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "scopes_supported": ["openid", "email", "profile", "groups"],
        "id_token_signing_alg_values_supported": ["ES256", "HS256"],
    }))
    .into_response()
}

#[handler]
fn keys(state: Data<&Shared>) -> Json<Value> {
    Json(json!({"keys": [lock(&state).key.public()]}))
}

#[handler]
fn authorize(state: Data<&Shared>, Query(request): Query<Authorize>) -> Redirect {
    assert_eq!((&*request.client_id, &*request.response_type), (CLIENT_ID, "code"));
    assert_eq!(request.code_challenge_method, "S256");
    assert_eq!(request.scope, "openid email profile groups");
    let mut state = lock(&state);
    let Authorize { redirect_uri, state: value, .. } = &request;
    if state.defect == Defect::AccessDenied {
        return Redirect::see_other(format!("{redirect_uri}?error=access_denied&state={value}"));
    }
    let code = Uuid::new_v4().to_string();
    let location = format!("{redirect_uri}?code={code}&state={value}&session_state=ignored");
    state.sign_ins.insert(code, request);
    Redirect::see_other(location)
}

#[handler]
fn token(state: Data<&Shared>, request: &Request, Form(form): Form<TokenRequest>) -> Response {
    let mut state = lock(&state);
    let credentials = BASE64_STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}"));
    if request.header("authorization") != Some(&format!("Basic {credentials}")) {
        return refusal(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&form.code_verifier));
    let matches = |sign_in: &Authorize| {
        sign_in.redirect_uri == form.redirect_uri
            && sign_in.code_challenge == challenge
            && form.grant_type == "authorization_code"
    };
    // A code is valid once.
    let sign_in = state.sign_ins.remove(&form.code).filter(matches);
    let Some(sign_in) = sign_in.filter(|_| state.defect != Defect::CodeRefused) else {
        return refusal(StatusCode::BAD_REQUEST, "invalid_grant");
    };
    let id_token = state.id_token(&sign_in);
    Json(json!({"access_token": "unused", "token_type": "Bearer", "expires_in": 300, "id_token": id_token}))
        .into_response()
}

fn refusal(status: StatusCode, error: &str) -> Response {
    Json(json!({"error": error})).with_status(status).into_response()
}

impl State {
    fn id_token(&self, sign_in: &Authorize) -> String {
        let defect = self.defect;
        // Days, because the clock of the programs may be shifted.
        let until = if defect == Defect::Expired { TimeDelta::days(-2) } else { TimeDelta::days(2) };
        let now = now();
        let mut claims = json!({
            "iss": if defect == Defect::Issuer { "https://other.example.com" } else { &*self.url },
            "aud": if defect == Defect::Audience { "another-client" } else { CLIENT_ID },
            "nonce": if defect == Defect::Nonce { "another nonce" } else { &*sign_in.nonce },
            "iat": now.timestamp(),
            "exp": (now + until).timestamp(),
        });
        let user = self.user.as_object().expect("claims").clone();
        claims.as_object_mut().expect("claims").extend(user);
        let header = json!({"alg": "ES256", "typ": "JWT", "kid": self.key.id});
        match defect {
            Defect::OtherKey => SigningKey { id: self.key.id.clone(), ..SigningKey::new() }.sign(&header, &claims),
            Defect::Altered => {
                let signed = self.key.sign(&header, &claims);
                claims["groups"] = json!(["support"]);
                let parts: Vec<&str> = signed.split('.').collect();
                format!("{}.{}.{}", parts[0], BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()), parts[2])
            }
            Defect::Unsigned => {
                let [header, claims] =
                    [json!({"alg": "none"}), claims].map(|it| BASE64_URL_SAFE_NO_PAD.encode(it.to_string()));
                format!("{header}.{claims}.")
            }
            _ => self.key.sign(&header, &claims),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the identity provider is another system, with a clock of its own")]
fn now() -> chrono::DateTime<Utc> {
    Utc::now()
}
