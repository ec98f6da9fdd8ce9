//! Checks each request against the [access policy](super::policy) before its handler runs.
//!
//! The check stands in front of the router, so that it cannot be forgotten: what the policy does not list is a 404 or a 405, and
//! a handler only runs for a caller who may call it.

use std::sync::Arc;

use poem::error::NotFoundError;
use poem::http::header::{ALLOW, HeaderValue};
use poem::{Endpoint, FromRequest, IntoResponse, Request, RequestBody, Response};

use super::Access;
use super::audit::{Auditor, context_of};
use super::credentials::Credential;
use super::policy::{self, AuditRule, CostClass, Found, Policy, ScopeRule};
use crate::domain::access::{Principal, ProjectScope, Role};
use crate::domain::masking::PiiAccess;
use crate::web::http::client_address::Client;
use crate::web::http::problem::{Problem, ProblemCode};

/// Wraps the router.
pub(in crate::web) struct Authorization<E> {
    endpoint: E,
    access: Arc<Access>,
    auditor: Arc<Auditor>,
}

impl<E> Authorization<E> {
    pub(in crate::web) fn new(endpoint: E, access: Arc<Access>, auditor: Arc<Auditor>) -> Self {
        Self { endpoint, access, auditor }
    }
}

impl<E: Endpoint> Endpoint for Authorization<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let policy = match policy::find(request.method(), request.uri().path()) {
            Found::Policy(policy) => policy,
            Found::OtherMethods(methods) => return Err(method_not_allowed(&methods).into()),
            Found::Nothing => return Err(NotFoundError.into()),
        };
        let mut watch = None;
        let mut audit = context_of(&request, policy);
        match identify(&self.access, policy, &request).await {
            Ok(Some(principal)) => audit.principal = principal,
            Ok(None) => {}
            Err(problem) => {
                self.auditor.refused(audit, policy, &request, problem.code.status());
                return Err(problem.into());
            }
        }
        if let Some(least) = policy.role {
            if let Err(problem) = authorize(policy, least, &audit.principal) {
                self.auditor.refused(audit, policy, &request, problem.code.status());
                return Err(problem.into());
            }
            let key_watch = self.access.watch(&audit.principal);
            request.extensions_mut().insert(key_watch.clone());
            watch = Some(key_watch).filter(|_| policy.cost == CostClass::Export);
            request.extensions_mut().insert(Caller(audit.principal.clone()));
            request.extensions_mut().insert(audit.clone());
        }
        let path = request.uri().path().to_owned();
        let result = self.endpoint.call(request).await.map(IntoResponse::into_response);
        if policy.audit == AuditRule::Always {
            self.auditor.complete(&audit, &path, &result).await?;
        }
        Ok(match watch {
            Some(watch) => watch.break_off(result?),
            None => result?,
        })
    }
}

/// The caller of an operation that needs a key: 401 without a valid one.
async fn identify(access: &Access, policy: &Policy, request: &Request) -> Result<Option<Principal>, Problem> {
    if policy.role.is_none() {
        return Ok(None);
    }
    let address = request.extensions().get::<Client>().and_then(|client| client.address);
    let credential = Credential::find(request, policy.accepts_ticket());
    Ok(Some(access.authenticate(credential, address).await?))
}

/// 403 if the key is not enough.
fn authorize(policy: &Policy, least: Role, principal: &Principal) -> Result<(), Problem> {
    if principal.role < least {
        let (needed, actual) = (least.as_str(), principal.role.as_str());
        let detail = format!("this operation needs the role {needed}, and the key has {actual}");
        return Err(Problem::new(ProblemCode::Forbidden, detail));
    }
    if policy.scope == ScopeRule::AllProjects && principal.scope.is_limited() {
        let detail = format!(
            "this operation covers all projects, and the key is limited to {}: use a key without a project scope",
            principal.scope
        );
        return Err(Problem::new(ProblemCode::Forbidden, detail));
    }
    Ok(())
}

fn method_not_allowed(methods: &[&str]) -> Problem {
    let problem = Problem::method_not_allowed();
    match HeaderValue::from_str(&methods.join(", ")) {
        Ok(allowed) => problem.with_header(ALLOW, allowed),
        Err(_) => problem,
    }
}

/// The caller of the request, for handlers of operations that need a key.
#[derive(Debug, Clone)]
pub(in crate::web) struct Caller(pub(in crate::web) Principal);

impl Caller {
    /// The projects of a filter: the requested ones, or without any, those of the key. Empty means all. 403 if one of them is
    /// not in the key's scope. Filters are built from it alone, so that none can forget the scope.
    pub(in crate::web) fn projects(&self, requested: &[String]) -> Result<Vec<String>, Problem> {
        let selected = self.0.scope.select(requested);
        selected.map_err(|error| Problem::new(ProblemCode::Forbidden, error.to_string()))
    }

    pub(in crate::web) fn pii_access(&self) -> PiiAccess {
        PiiAccess::for_role(self.0.role)
    }

    /// The name of a list for its cursors, which keys with another scope cannot use.
    pub(in crate::web) fn listing(&self, name: &str) -> String {
        match &self.0.scope {
            ProjectScope::All => name.to_owned(),
            ProjectScope::Only(projects) => format!("{name} of {projects:?}"),
        }
    }
}

impl<'a> FromRequest<'a> for Caller {
    async fn from_request(request: &'a Request, _body: &mut RequestBody) -> poem::Result<Self> {
        let caller = request.extensions().get::<Self>().cloned();
        Ok(caller.ok_or_else(|| Problem::internal("a handler needs the caller, but its access policy needs no key"))?)
    }
}
