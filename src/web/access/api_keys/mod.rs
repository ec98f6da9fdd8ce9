//! API keys: list, create, rotate and revoke them.

mod schema;

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;
use uuid::Uuid;

use self::schema::{ApiKey, ApiKeyRequest, ApiKeys, NewApiKey, RotatedApiKey, RotationRequest};
use crate::db::access::api_keys;
use crate::domain::access::Role;
use crate::operations::api_keys::KeyError;
use crate::operations::api_keys::create::create_key;
use crate::operations::api_keys::revoke::{LastAdmin, revoke_key};
use crate::operations::api_keys::rotate::rotate_key;
use crate::operations::audit::AuditContext;
use crate::web::http::auth::Access;
use crate::web::http::body::Body;
use crate::web::http::entity_tag::{CreatedWithEtag, IfMatch, WithEtag};
use crate::web::http::fails::{Fails, Failure};
use crate::web::http::openapi::Tag;
use crate::web::http::path::Path;
use crate::web::http::problem::{Problem, ProblemCode};
use crate::web::state::State;

pub(in crate::web) struct ApiKeysApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Access")]
impl ApiKeysApi {
    /// List API keys
    ///
    /// Those of the setting `API_KEYS` and the issued ones that were not revoked: who has which role, projects and networks, when
    /// they expire, and when they were last used. Requires the role admin.
    #[oai(path = "/api-keys", method = "get", operation_id = "listApiKeys")]
    async fn list(&self, state: Data<&Arc<State>>) -> Result<Json<ApiKeys>, Fails> {
        let now = state.clock.now();
        let issued = api_keys::list(&state.pool).await?.into_iter().map(|key| ApiKey::issued(key, now));
        Ok(Json(ApiKeys { items: state.access.configured().map(ApiKey::configured).chain(issued).collect() }))
    }

    /// Create an API key
    ///
    /// The key is shown once. There is no `Idempotency-Key`, because the service does not store keys: if the response is lost,
    /// revoke the key and create another one. Requires the role admin.
    #[oai(path = "/api-keys", method = "post", operation_id = "createApiKey")]
    async fn create(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        body: Body<ApiKeyRequest>,
    ) -> Result<CreatedWithEtag<NewApiKey>, Fails> {
        let State { pool, access, clock, .. } = &***state;
        let (request, now) = (body.value.into_request()?, clock.now());
        let created = create_key(pool, access.key_environment(), &request, &audit, now).await?;
        access.refresh_keys().await;
        Ok(CreatedWithEtag(NewApiKey::new(created, now)))
    }

    /// Get an API key
    ///
    /// One that was not revoked, or of the setting `API_KEYS`, without its text. Requires the role admin.
    #[oai(path = "/api-keys/:id", method = "get", operation_id = "getApiKey")]
    async fn get(
        &self,
        state: Data<&Arc<State>>,
        /// The id of the key.
        id: Path<Uuid>,
    ) -> Result<WithEtag<ApiKey>, Fails<KeyError>> {
        if let Some(key) = state.access.configured().find(|key| key.key_id.0 == id.0) {
            return Ok(WithEtag(ApiKey::configured(key)));
        }
        let issued = api_keys::find(&state.pool, id.0).await?.ok_or(KeyError::NotFound)?;
        Ok(WithEtag(ApiKey::issued(issued, state.clock.now())))
    }

    /// Rotate an API key
    ///
    /// Creates a key with the same role, projects and networks, which is valid as long as the replaced one was meant to be. Both
    /// are accepted until the overlap ends. 409 if the key was rotated before, has expired, or comes from the setting `API_KEYS`.
    /// Requires the role admin.
    #[oai(path = "/api-keys/:id/rotate", method = "post", operation_id = "rotateApiKey")]
    async fn rotate(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The id of the key.
        id: Path<Uuid>,
        /// Rotate only if this is the current `ETag`, or one of several; otherwise 412.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: Body<RotationRequest>,
    ) -> Result<CreatedWithEtag<RotatedApiKey>, Fails<KeyError>> {
        let State { pool, access, clock, .. } = &***state;
        refuse_configured(access, id.0)?;
        let (overlap, now) = (body.value.overlap()?, clock.now());
        let rotated = rotate_key(pool, access.key_environment(), id.0, overlap, &if_match.0, &audit, now).await?;
        access.refresh_keys().await;
        Ok(CreatedWithEtag(RotatedApiKey::new(id.0, rotated, now)))
    }

    /// Revoke an API key
    ///
    /// Within 3 s every process refuses the key, closes its sockets (1008), breaks its downloads off, and stops the exports
    /// that it has requested. 409 if it is the last key with the role admin, or comes from the setting `API_KEYS`. Requires the
    /// role admin.
    #[oai(path = "/api-keys/:id", method = "delete", operation_id = "revokeApiKey")]
    async fn revoke(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The id of the key.
        id: Path<Uuid>,
        /// Revoke only if this is the current `ETag`, or one of several; otherwise 412.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
    ) -> Result<Json<ApiKey>, Fails<KeyError>> {
        let State { pool, access, clock, .. } = &***state;
        refuse_configured(access, id.0)?;
        let has_other_admin = access.is_open() || access.configured().any(|key| key.role == Role::Admin);
        let last_admin = if has_other_admin { LastAdmin::MayEnd } else { LastAdmin::MustStay };
        let now = clock.now();
        let revoked = revoke_key(pool, id.0, last_admin, &if_match.0, &audit, now).await?;
        access.refresh_keys().await;
        Ok(Json(ApiKey::issued(revoked, now)))
    }
}

fn refuse_configured(access: &Access, id: Uuid) -> Result<(), Problem> {
    if access.configured().all(|key| key.key_id.0 != id) {
        return Ok(());
    }
    let detail = "this key is a value of the setting API_KEYS: change it there, and restart the web processes";
    Err(Problem::new(ProblemCode::Conflict, detail))
}

impl Failure for KeyError {
    const CODES: &'static [ProblemCode] =
        &[ProblemCode::NotFound, ProblemCode::Conflict, ProblemCode::PreconditionFailed];

    fn into_problem(self) -> Problem {
        match self {
            Self::Db(error) => error.into(),
            Self::Precondition(error) => error.into(),
            Self::NotFound => Problem::new(ProblemCode::NotFound, self.to_string()),
            Self::Replaced(_) | Self::Expired | Self::LastAdmin => {
                Problem::new(ProblemCode::Conflict, self.to_string())
            }
        }
    }
}
