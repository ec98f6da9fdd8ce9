//! Checks each request against the [access policy](super::policy) before its handler runs.
//!
//! The check stands in front of the router, so that it cannot be forgotten: what the policy does not list is a 404 or a 405, and
//! a handler only runs for a caller who may call it, within the [limits](crate::web::http::limits).

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
use crate::operations::audit::AuditContext;
use crate::web::http::client_address::Client;
use crate::web::http::limits::Limits;
use crate::web::http::matched_route::MatchedRoute;
use crate::web::http::problem::{Problem, ProblemCode};

/// Wraps the router.
pub(in crate::web) struct Authorization<E> {
    endpoint: E,
    access: Arc<Access>,
    auditor: Arc<Auditor>,
    limits: Arc<Limits>,
}

impl<E> Authorization<E> {
    pub(in crate::web) fn new(endpoint: E, access: Arc<Access>, auditor: Arc<Auditor>, limits: Arc<Limits>) -> Self {
        Self { endpoint, access, auditor, limits }
    }

    /// Finds the caller, and whether it may call the operation.
    async fn check(&self, policy: &Policy, request: &Request, audit: &mut AuditContext) -> Result<(), Problem> {
        if let Some(least) = policy.role {
            let credential = Credential::find(request, policy.accepts_ticket(), self.access.cookies());
            let is_cookie = matches!(credential, Some(Credential::Session(_))) && !self.access.is_open();
            let address = Client::of(request).address;
            self.access.check_open(request)?;
            audit.principal = self.access.authenticate(credential, address).await?;
            if is_cookie {
                self.access.origins().check(request, policy.origin_rule())?;
            }
            authorize(policy, least, &audit.principal)?;
        }
        Ok(())
    }

    /// A sign-in checks a key that is not in a header.
    async fn refused_by_handler(&self, client: Client, error: poem::Error) -> Problem {
        let problem = Problem::from_poem(error);
        match problem.code {
            ProblemCode::Unauthenticated => self.limits.refuse(client, problem, true).await,
            _ => problem,
        }
    }
}

impl<E: Endpoint> Endpoint for Authorization<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let client = Client::of(&request);
        let policy = match find_policy(&request) {
            Ok(policy) => policy,
            Err(problem) => return Err(self.limits.refuse(client, problem, false).await.into()),
        };
        MatchedRoute::set(&request, policy.path);
        let mut watch = None;
        let mut audit = context_of(&request, policy);
        if let Err(problem) = self.check(policy, &request, &mut audit).await {
            let presents_key = Credential::find(&request, true, self.access.cookies()).is_some();
            self.auditor.refused(audit, policy, &request, problem.code.status());
            return Err(self.limits.refuse(client, problem, presents_key).await.into());
        }
        let caller = policy.role.map(|_| &audit.principal);
        let rate = self.limits.admit(policy, client, caller).await?;
        let permit = self.limits.enter(policy, request.uri(), caller).await?;
        if let Some(caller) = caller {
            let key_watch = self.access.watch(caller);
            request.extensions_mut().insert(key_watch.clone());
            watch = Some(key_watch).filter(|_| policy.cost == CostClass::Export);
            request.extensions_mut().insert(Caller(caller.clone()));
        }
        request.extensions_mut().insert(policy);
        request.extensions_mut().insert(audit.clone());
        if let Some(permit) = &permit {
            request.extensions_mut().insert(permit.clone());
        }
        let path = request.uri().path().to_owned();
        let result = self.endpoint.call(request).await.map(IntoResponse::into_response);
        // Anyone may call the others as often as they like: what their handlers do not record is not recorded.
        if policy.audit == AuditRule::Always && policy.role.is_some() {
            self.auditor.complete(&audit, &path, &result).await?;
        }
        let mut response = match result {
            Ok(response) => response,
            Err(error) => return Err(self.refused_by_handler(client, error).await.into()),
        };
        if let Some(rate) = rate {
            rate.write(response.headers_mut());
        }
        if let Some(permit) = permit.filter(|_| policy.cost == CostClass::Export) {
            response.extensions_mut().insert(permit);
        }
        Ok(match watch {
            Some(watch) => watch.break_off(response),
            None => response,
        })
    }
}

fn find_policy(request: &Request) -> Result<&'static Policy, Problem> {
    match policy::find(request.method(), request.uri().path()) {
        Found::Policy(policy) => Ok(policy),
        Found::OtherMethods(methods) => Err(method_not_allowed(&methods)),
        Found::Nothing => Err(Problem::from_poem(NotFoundError.into())),
    }
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
