//! Sign-in at an OpenID Connect identity provider, by the authorization code flow with PKCE.
//!
//! The issuer is discovered at the first sign-in, not at the start of the process, so that an identity provider that is down
//! stops nobody who has a key. The library verifies signature, issuer, audience, expiry and nonce of the ID token; the access
//! token is not used.

mod attempt;
pub(in crate::operations) mod http;
mod types;

use std::sync::Arc;
use std::time::{Duration, Instant};

use openidconnect::core::{
    CoreAuthenticationFlow, CoreClientAuthMethod, CoreErrorResponseType, CoreJwsSigningAlgorithm, CoreProviderMetadata,
};
use openidconnect::{
    AuthType, AuthorizationCode, ClaimsVerificationError, ClientId, ClientSecret, IssuerUrl, PkceCodeChallenge,
    RedirectUrl, RequestTokenError, Scope, SignatureVerificationError, TokenResponse,
};
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

pub use attempt::SignInAttempt;

use self::http::{Http, HttpError, causes};
use self::types::{Claims, IssuerClient, TokenRefusal, Tokens};
use crate::clock::SharedClock;
use crate::config::OidcConfig;
use crate::domain::access::{KeyId, Role};

/// How long a discovery document, with its keys, is used.
const DISCOVERY_AGE: Duration = Duration::from_hours(1);
/// How old it must be to be read again because of an unknown key.
const DISCOVERY_AGE_OF_UNKNOWN_KEY: Duration = Duration::from_secs(2);
/// How long a failed discovery is not repeated.
const FAILURE_AGE: Duration = Duration::from_secs(5);
/// The longest name of a user.
const MAX_NAME_CHARS: usize = 200;
/// The longest error code that is shown.
const MAX_ERROR_CHARS: usize = 60;

/// Only public keys: with a shared secret, or none, anyone who knows it could write tokens.
const SIGNING_ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// A user whom the identity provider has authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The same for each sign-in of the user.
    pub key_id: KeyId,
    pub issuer: String,
    /// For people.
    pub name: String,
    pub role: Role,
}

/// What the identity provider sends back by way of the browser.
#[derive(Debug, Default)]
pub struct SignInAnswer {
    pub state: Option<String>,
    pub code: Option<String>,
    /// Why the user is not signed in.
    pub error: Option<String>,
}

/// Why nobody is signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error("the identity provider cannot be used ({0}): check OIDC_ISSUER and whether it is up; keys still work")]
    Unavailable(String),
    #[error(
        "the identity provider refuses this service ({0}): check OIDC_CLIENT_ID, OIDC_CLIENT_SECRET and PUBLIC_URL"
    )]
    ClientRefused(String),
    #[error("this sign-in was not begun in this browser, or too long ago: open /api/v1/session/oidc/login again")]
    OtherAttempt,
    /// With the code of the error.
    #[error("the identity provider has not signed you in ({0}): open /api/v1/session/oidc/login again")]
    NotSignedIn(String),
    #[error("the identity provider did not accept the code: open /api/v1/session/oidc/login again")]
    CodeRefused,
    /// With the reason, for the log.
    #[error("the ID token of the identity provider is not valid: open /api/v1/session/oidc/login again")]
    InvalidToken(String),
    #[error("you are signed in, but none of your groups has a role here: ask an administrator (OIDC_ROLES)")]
    NoRole,
}

pub struct IdentityProvider {
    config: OidcConfig,
    http: Http,
    discovery: Mutex<Discovery>,
    clock: SharedClock,
}

#[derive(Default)]
struct Discovery {
    latest: Option<(Instant, Arc<CoreProviderMetadata>)>,
    failure: Option<(Instant, String)>,
}

impl IdentityProvider {
    /// Fails if TLS cannot be initialized.
    pub fn new(config: OidcConfig, clock: SharedClock) -> Result<Self, reqwest::Error> {
        Ok(Self { http: Http::new(&config)?, config, discovery: Mutex::default(), clock })
    }

    /// The address at the identity provider to which the browser is sent.
    pub async fn sign_in_url(&self, attempt: &SignInAttempt) -> Result<String, SignInError> {
        let metadata = self.discover(DISCOVERY_AGE).await?;
        let (state, nonce) = (attempt.state(), attempt.nonce());
        let challenge = PkceCodeChallenge::from_code_verifier_sha256(&attempt.pkce_verifier());
        let client = self.client(&metadata)?;
        let request = client.authorize_url(CoreAuthenticationFlow::AuthorizationCode, move || state, move || nonce);
        let (url, _, _) = request.add_scopes(self.scopes(&metadata)).set_pkce_challenge(challenge).url();
        Ok(url.to_string())
    }

    /// Completes an attempt. The answer comes from the browser, so nothing in it is believed before its state was checked.
    pub async fn complete(&self, attempt: &SignInAttempt, answer: SignInAnswer) -> Result<SignedIn, SignInError> {
        if !attempt.has_state(&answer.state.unwrap_or_default()) {
            return Err(SignInError::OtherAttempt);
        }
        if let Some(error) = answer.error {
            return Err(SignInError::NotSignedIn(error_code(&error)));
        }
        let code = answer.code.ok_or(SignInError::OtherAttempt)?;
        let metadata = self.discover(DISCOVERY_AGE).await?;
        let tokens = self.exchange(&metadata, attempt, &code).await?;
        match self.verify(&metadata, attempt, &tokens) {
            // The identity provider may have changed its keys.
            Err(ClaimsVerificationError::SignatureVerification(SignatureVerificationError::NoMatchingKey)) => {
                let metadata = self.discover(DISCOVERY_AGE_OF_UNKNOWN_KEY).await?;
                self.verify(&metadata, attempt, &tokens)
            }
            verified => verified,
        }
        .map_err(|error| SignInError::InvalidToken(causes(&error)))
        .and_then(|claims| self.user(claims))
    }

    /// The discovery document, read again if it is older than `max_age`. Concurrent sign-ins share one request.
    async fn discover(&self, max_age: Duration) -> Result<Arc<CoreProviderMetadata>, SignInError> {
        let mut discovery = self.discovery.lock().await;
        if let Some((_, metadata)) = discovery.latest.as_ref().filter(|(read_at, _)| read_at.elapsed() < max_age) {
            return Ok(Arc::clone(metadata));
        }
        if let Some((_, cause)) = discovery.failure.as_ref().filter(|(failed_at, _)| failed_at.elapsed() < FAILURE_AGE)
        {
            return Err(SignInError::Unavailable(cause.clone()));
        }
        match self.request_metadata().await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                *discovery = Discovery { latest: Some((Instant::now(), Arc::clone(&metadata))), failure: None };
                Ok(metadata)
            }
            Err(cause) => {
                tracing::warn!(error = cause, "the discovery document of the identity provider cannot be read");
                discovery.failure = Some((Instant::now(), cause.clone()));
                Err(SignInError::Unavailable(cause))
            }
        }
    }

    async fn request_metadata(&self) -> Result<CoreProviderMetadata, String> {
        let issuer = IssuerUrl::new(self.config.issuer.as_str().to_owned()).map_err(|error| causes(&error))?;
        let metadata = CoreProviderMetadata::discover_async(issuer, &self.http).await;
        let metadata = metadata.map_err(|error| causes(&error))?;
        if self.config.issuer.is_https() && metadata.authorization_endpoint().url().scheme() != "https" {
            return Err(HttpError::Insecure.to_string());
        }
        Ok(metadata)
    }

    fn client(&self, metadata: &CoreProviderMetadata) -> Result<IssuerClient, SignInError> {
        let OidcConfig { client_id, client_secret, redirect_url, .. } = &self.config;
        let redirect_url = RedirectUrl::new(redirect_url.clone());
        let redirect_url = redirect_url.map_err(|error| SignInError::ClientRefused(causes(&error)))?;
        let secret = ClientSecret::new(client_secret.expose().to_owned());
        let client =
            IssuerClient::from_provider_metadata(metadata.clone(), ClientId::new(client_id.clone()), Some(secret));
        // HTTP Basic is the default of the standard.
        let methods = metadata.token_endpoint_auth_methods_supported();
        let only_in_body = methods.is_some_and(|methods| {
            methods.contains(&CoreClientAuthMethod::ClientSecretPost)
                && !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
        });
        let auth_type = if only_in_body { AuthType::RequestBody } else { AuthType::BasicAuth };
        Ok(client.set_redirect_uri(redirect_url).set_auth_type(auth_type))
    }

    /// `openid` is added by the library. Some issuers send groups only if their scope is requested, others refuse it.
    fn scopes(&self, metadata: &CoreProviderMetadata) -> Vec<Scope> {
        let of_groups = Scope::new(self.config.groups_claim.clone());
        let has_groups = metadata.scopes_supported().is_some_and(|scopes| scopes.contains(&of_groups));
        let scopes = ["email", "profile"].map(|name| Scope::new(name.to_owned()));
        scopes.into_iter().chain(has_groups.then_some(of_groups)).collect()
    }

    async fn exchange(
        &self,
        metadata: &CoreProviderMetadata,
        attempt: &SignInAttempt,
        code: &str,
    ) -> Result<Tokens, SignInError> {
        let client = self.client(metadata)?;
        let request = client.exchange_code(AuthorizationCode::new(code.to_owned()));
        let request = request.map_err(|error| SignInError::Unavailable(causes(&error)))?;
        let tokens = request.set_pkce_verifier(attempt.pkce_verifier()).request_async(&self.http).await;
        tokens.map_err(token_error)
    }

    fn verify<'tokens>(
        &self,
        metadata: &CoreProviderMetadata,
        attempt: &SignInAttempt,
        tokens: &'tokens Tokens,
    ) -> Result<&'tokens Claims, ClaimsVerificationError> {
        let client = self.client(metadata).map_err(|error| ClaimsVerificationError::Other(error.to_string()))?;
        let now = self.clock.now();
        let verifier = client.id_token_verifier().set_allowed_algs(SIGNING_ALGORITHMS).set_time_fn(move || now);
        let token = tokens.id_token().ok_or_else(|| ClaimsVerificationError::Other("there is none".to_owned()))?;
        token.claims(&verifier, &attempt.nonce())
    }

    fn user(&self, claims: &Claims) -> Result<SignedIn, SignInError> {
        let groups = claims.additional_claims().groups(&self.config.groups_claim);
        let role = self.config.role_of(&groups).ok_or(SignInError::NoRole)?;
        let (issuer, subject) = (self.config.issuer.as_str().to_owned(), claims.subject().as_str());
        let digest = Sha256::digest(format!("{}:{issuer}{subject}", issuer.len())).into();
        Ok(SignedIn { key_id: KeyId::of_digest(&digest), name: name_of(claims), issuer, role })
    }
}

fn token_error(error: RequestTokenError<HttpError, TokenRefusal>) -> SignInError {
    match error {
        RequestTokenError::ServerResponse(refusal) => match refusal.error() {
            CoreErrorResponseType::InvalidGrant => SignInError::CodeRefused,
            other => SignInError::ClientRefused(other.to_string()),
        },
        // The response may contain tokens, so it is not shown.
        RequestTokenError::Parse(error, _) => SignInError::Unavailable(causes(&error)),
        RequestTokenError::Request(error) => SignInError::Unavailable(causes(&error)),
        RequestTokenError::Other(cause) => SignInError::Unavailable(cause),
    }
}

/// The code of an error such as `access_denied`; other texts are not shown.
fn error_code(text: &str) -> String {
    let is_code = text.len() <= MAX_ERROR_CHARS && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_code { text.to_owned() } else { "unknown error".to_owned() }
}

/// The e-mail address unless the issuer says that it was not verified, else the user name, else the id at the issuer.
fn name_of(claims: &Claims) -> String {
    let email = claims.email().filter(|_| claims.email_verified() != Some(false)).map(|email| email.as_str());
    let name = email.or_else(|| claims.preferred_username().map(|name| name.as_str()));
    let name = name.filter(|name| !name.trim().is_empty()).unwrap_or(claims.subject().as_str());
    name.chars().filter(|character| !character.is_control()).take(MAX_NAME_CHARS).collect()
}
