//! Browser sessions: a key is exchanged for a cookie.

use std::sync::Arc;

use poem::Request;
use poem::web::Data;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};

use super::browser::{CreatedWithCookie, NoContentWithCookie};
use crate::domain::access::Role;
use crate::operations::audit::AuditContext;
use crate::web::http::auth::cookies::SESSION;
use crate::web::http::auth::sessions::SessionOwner;
use crate::web::http::auth::{Access, Caller};
use crate::web::http::fails::{Fails, Failure};
use crate::web::http::openapi::{EXAMPLE_TIME, Tag};
use crate::web::http::problem::{Problem, ProblemCode};
use crate::web::http::schema::Time;

/// Why a session is not started or ended.
#[derive(Debug, thiserror::Error)]
enum SessionError {
    #[error("AUTH=off: nobody needs a session")]
    AccessIsOpen,
    #[error("a session cannot be exchanged for another one: send a key")]
    AlreadySession,
    #[error("the request was authenticated by a key, not by a session: send the cookie without a key")]
    NoSession,
}

impl Failure for SessionError {
    const CODES: &'static [ProblemCode] = &[ProblemCode::Conflict];

    fn into_problem(self) -> Problem {
        Problem::new(ProblemCode::Conflict, self.to_string())
    }
}

/// A session that has begun.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Session {
    /// The name of the key.
    name: String,
    /// The role of the key.
    role: Role,
    /// When the session ends, unless it is ended before, or its key is revoked.
    expires_at: Time,
}

impl Example for Session {
    fn example() -> Self {
        Self { name: "dashboard".to_owned(), role: Role::Viewer, expires_at: Time(EXAMPLE_TIME) }
    }
}

pub(in crate::web) struct SessionApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Access")]
impl SessionApi {
    /// Start a session
    ///
    /// Exchanges the key of this request for a cookie, which a browser sends by itself for 12 hours: also for downloads and the
    /// WebSocket, and scripts cannot read it. With the cookie, requests that change something need an `Origin` of this service,
    /// as browsers send it.
    #[oai(path = "/session", method = "post", operation_id = "startSession")]
    async fn start(
        &self,
        access: Data<&Arc<Access>>,
        caller: Caller,
        audit: AuditContext,
        request: &Request,
    ) -> Result<CreatedWithCookie<Session>, Fails<SessionError>> {
        if access.is_open() {
            return Err(SessionError::AccessIsOpen.into());
        }
        if caller.0.session.is_some() {
            return Err(SessionError::AlreadySession.into());
        }
        let (name, role) = (caller.0.name, caller.0.role);
        let owner = SessionOwner { key_id: caller.0.key_id, issuer: None, name: name.clone(), role };
        let started = access.sessions().start(&owner, &audit).await?;
        let cookie = access.cookies().set(request.headers(), SESSION, &started.token);
        Ok(CreatedWithCookie { body: Session { name, role, expires_at: Time(started.expires_at) }, cookie })
    }

    /// End the session
    ///
    /// The cookie is deleted, and no longer accepted: at once by the process that answers, within 3 seconds by the others. The
    /// session's WebSockets are closed.
    #[oai(path = "/session", method = "delete", operation_id = "endSession")]
    async fn end(
        &self,
        access: Data<&Arc<Access>>,
        caller: Caller,
        audit: AuditContext,
        request: &Request,
    ) -> Result<NoContentWithCookie, Fails<SessionError>> {
        let session = caller.0.session.ok_or(SessionError::NoSession)?;
        access.sessions().end(session.id, &audit).await?;
        Ok(NoContentWithCookie { cookie: access.cookies().clear(request.headers(), SESSION) })
    }
}
