//! Sign-in at an OpenID Connect identity provider, by two redirects of the browser.

use std::sync::Arc;

use poem::Request;
use poem::http::header::{HeaderValue, SET_COOKIE};
use poem::web::Data;
use poem_openapi::OpenApi;

use super::browser::SeeOther;
use crate::domain::access::{Principal, ProjectScope};
use crate::operations::audit::AuditContext;
use crate::operations::oidc::{SignInAnswer, SignInAttempt, SignInError, SignedIn};
use crate::web::http::auth::audit::Auditor;
use crate::web::http::auth::cookies::{SESSION, SIGN_IN};
use crate::web::http::auth::failed_sign_in;
use crate::web::http::auth::sessions::SessionOwner;
use crate::web::http::fails::{Fails, Failure};
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::Tag;
use crate::web::http::problem::{Problem, ProblemCode};
use crate::web::http::query::Query;
use crate::web::state::State;

/// The service has no identity provider.
#[derive(Debug)]
struct NotConfigured;

impl Failure for NotConfigured {
    const CODES: &'static [ProblemCode] = &[ProblemCode::NotFound];

    fn into_problem(self) -> Problem {
        let detail =
            "sign-in at an identity provider is not configured: set OIDC_ISSUER, or start a session with a key";
        Problem::new(ProblemCode::NotFound, detail)
    }
}

impl Failure for SignInError {
    const CODES: &'static [ProblemCode] =
        &[ProblemCode::Unauthenticated, ProblemCode::Forbidden, ProblemCode::ServiceUnavailable];

    fn into_problem(self) -> Problem {
        let detail = self.to_string();
        match self {
            Self::Unavailable(_) | Self::ClientRefused(_) => Problem::unavailable(&detail, self),
            Self::NoRole => Problem::new(ProblemCode::Forbidden, detail),
            Self::OtherAttempt | Self::NotSignedIn(_) | Self::CodeRefused | Self::InvalidToken(_) => {
                Problem::new(ProblemCode::Unauthenticated, detail)
            }
        }
    }
}

request_fields! {
    /// What an identity provider sends back.
    struct SignInQuery {
        /// The code of the sign-in.
        code: Option<String>,
        /// The value that the sign-in was begun with.
        state: Option<String>,
        /// Why the identity provider did not sign the user in.
        error: Option<String>,
    }
}

pub(in crate::web) struct OidcApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Access")]
impl OidcApi {
    /// Sign in
    ///
    /// Sends the browser to the identity provider (`OIDC_ISSUER`). To be opened, not to be fetched by a script.
    #[oai(path = "/session/oidc/login", method = "get", operation_id = "startSignIn")]
    async fn login(
        &self,
        state: Data<&Arc<State>>,
        request: &Request,
    ) -> Result<SeeOther, Fails<(NotConfigured, SignInError)>> {
        let provider = state.identity_provider.as_ref().ok_or(NotConfigured)?;
        let attempt = SignInAttempt::random();
        let location = provider.sign_in_url(&attempt).await?;
        let cookie = state.access.cookies().set(request.headers(), SIGN_IN, attempt.secret());
        Ok(SeeOther { location, cookies: vec![cookie] })
    }

    /// Complete a sign-in
    ///
    /// The identity provider sends the browser here. It gets a session, and continues at `/`. The role follows from the user's
    /// groups (`OIDC_ROLES`).
    #[oai(path = "/session/oidc/callback", method = "get", operation_id = "completeSignIn")]
    async fn callback(
        &self,
        state: Data<&Arc<State>>,
        auditor: Data<&Arc<Auditor>>,
        audit: AuditContext,
        request: &Request,
        query: Query<SignInQuery>,
    ) -> Result<SeeOther, Fails<(NotConfigured, SignInError)>> {
        let provider = state.identity_provider.as_ref().ok_or(NotConfigured)?;
        let cookies = state.access.cookies();
        let attempt_ends = cookies.clear(request.headers(), SIGN_IN);
        let secret = cookies.read(request.headers(), SIGN_IN).unwrap_or_default();
        let SignInQuery { code, state: value, error } = query.0;
        let answer = SignInAnswer { state: value, code, error };
        let user = provider.complete(&SignInAttempt::from_secret(secret), answer).await.map_err(|error| {
            failed_sign_in::report(&auditor, &audit, request, &error);
            with_cookie(error.into(), &attempt_ends)
        })?;
        let SignedIn { key_id, issuer, name, role } = user;
        let mut audit = audit;
        audit.principal = Principal::of_key(key_id, &*name, role, ProjectScope::All);
        let owner = SessionOwner { key_id, issuer: Some(issuer), name, role };
        let started = state.access.sessions().start(&owner, &audit).await?;
        let cookie = cookies.set(request.headers(), SESSION, &started.token);
        Ok(SeeOther { location: "/".to_owned(), cookies: vec![cookie, attempt_ends] })
    }
}

fn with_cookie(problem: Problem, cookie: &str) -> Problem {
    match HeaderValue::from_str(cookie) {
        Ok(value) => problem.with_header(SET_COOKIE, value),
        Err(_) => problem,
    }
}
