//! Webhooks: endpoints that receive events by HTTP. [`deliveries`] is what each of them got.

pub(in crate::web) mod deliveries;
mod schema;

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::OpenApi;
use poem_openapi::payload::Json;
use uuid::Uuid;

use self::schema::{NewWebhook, Webhook, WebhookChange, WebhookRequest, WebhookSecret, WebhookTest};
use crate::db::count::Count;
use crate::db::page::TimeCursor;
use crate::db::webhooks;
use crate::operations::audit::AuditContext;
use crate::operations::webhooks::WebhookError;
use crate::operations::webhooks::create::create_webhook;
use crate::operations::webhooks::delete::delete_webhook;
use crate::operations::webhooks::rotate_secret::rotate_secret;
use crate::operations::webhooks::target::AllowedTargets;
use crate::operations::webhooks::test_delivery::request_test;
use crate::operations::webhooks::update::update_webhook;
use crate::web::http::accepted::Accepted;
use crate::web::http::body::Body;
use crate::web::http::entity_tag::{CreatedWithEtag, IfMatch, WithEtag};
use crate::web::http::fails::{Fails, Failure};
use crate::web::http::openapi::Tag;
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::path::Path;
use crate::web::http::problem::{Problem, ProblemCode};
use crate::web::http::query::Query;
use crate::web::state::State;

const LISTING: &str = "webhooks";

pub(in crate::web) struct WebhooksApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Webhooks")]
impl WebhooksApi {
    /// List webhooks
    ///
    /// Newest first, without their secrets. Requires the role admin.
    #[oai(path = "/webhooks", method = "get", operation_id = "listWebhooks")]
    async fn list(&self, state: Data<&Arc<State>>, page: Query<PageQuery>) -> Result<Json<Page<Webhook>>, Fails> {
        let window: Window<TimeCursor> = state.cursors.window(LISTING, &page.0)?;
        let db_window = window.to_db();
        let (found, total) = tokio::try_join!(webhooks::list(&state.pool, &db_window), webhooks::count(&state.pool))?;
        let count = Count { total, exact: true };
        let page = state.cursors.page(LISTING, &window, count, found, |webhook| (webhook.created_at, webhook.id));
        Ok(Json(page.map(Webhook::from)))
    }

    /// Create a webhook
    ///
    /// The endpoint gets the events that happen from now on, signed by the Standard Webhooks specification, in the order in which
    /// they happened. The secret is shown once. There is no `Idempotency-Key`, because responses with secrets are not stored. 409
    /// if there are 100 webhooks, or the setting `WEBHOOK_ENCRYPTION_KEY` is missing. Requires the role admin.
    #[oai(path = "/webhooks", method = "post", operation_id = "createWebhook")]
    async fn create(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        body: Body<WebhookRequest>,
    ) -> Result<CreatedWithEtag<NewWebhook>, Fails<WebhookError>> {
        let State { pool, webhooks, clock, .. } = &***state;
        let properties = body.value.into_properties(AllowedTargets::new(webhooks.allow_loopback))?;
        let created = create_webhook(pool, webhooks.keys.as_ref(), &properties, &audit, clock.now()).await?;
        Ok(CreatedWithEtag(created.into()))
    }

    /// Get a webhook
    ///
    /// Without its secret. Requires the role admin.
    #[oai(path = "/webhooks/:id", method = "get", operation_id = "getWebhook")]
    async fn get(
        &self,
        state: Data<&Arc<State>>,
        /// The id of the webhook.
        id: Path<Uuid>,
    ) -> Result<WithEtag<Webhook>, Fails<WebhookError>> {
        let webhook = webhooks::find(&state.pool, id.0).await?.ok_or(WebhookError::NotFound)?;
        Ok(WithEtag(webhook.into()))
    }

    /// Update a webhook
    ///
    /// Changes the given properties. Messages that wait go to the new URL. A webhook that is enabled again gets what happened
    /// meanwhile, as far as it is kept: events for a day (a message of type `gap` says if some are missing), messages that waited
    /// for 30 days. Requires the role admin.
    #[oai(path = "/webhooks/:id", method = "patch", operation_id = "updateWebhook")]
    async fn update(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The id of the webhook.
        id: Path<Uuid>,
        /// Update only if this is the current `ETag`, or one of several; otherwise 412.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
        body: Body<WebhookChange>,
    ) -> Result<WithEtag<Webhook>, Fails<WebhookError>> {
        let State { pool, webhooks, clock, .. } = &***state;
        let update = body.value.into_update(AllowedTargets::new(webhooks.allow_loopback))?;
        Ok(WithEtag(update_webhook(pool, id.0, update, &if_match.0, &audit, clock.now()).await?.into()))
    }

    /// Delete a webhook
    ///
    /// With its deliveries; those that wait are not made. Returns the webhook as it was. Requires the role admin.
    #[oai(path = "/webhooks/:id", method = "delete", operation_id = "deleteWebhook")]
    async fn delete(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The id of the webhook.
        id: Path<Uuid>,
        /// Delete only if this is the current `ETag`, or one of several; otherwise 412.
        #[oai(name = "If-Match")]
        if_match: IfMatch,
    ) -> Result<Json<Webhook>, Fails<WebhookError>> {
        Ok(Json(delete_webhook(&state.pool, id.0, &if_match.0, &audit, state.clock.now()).await?.into()))
    }

    /// Rotate the secret of a webhook
    ///
    /// The new secret is shown once. For 24 hours each message is signed with both, so that the receiver can be changed meanwhile.
    /// 409 if the setting `WEBHOOK_ENCRYPTION_KEY` is missing. Requires the role admin.
    #[oai(path = "/webhooks/:id/rotate-secret", method = "post", operation_id = "rotateWebhookSecret")]
    async fn rotate_secret(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The id of the webhook.
        id: Path<Uuid>,
    ) -> Result<Json<WebhookSecret>, Fails<WebhookError>> {
        let State { pool, webhooks, clock, .. } = &***state;
        Ok(Json(rotate_secret(pool, webhooks.keys.as_ref(), id.0, &audit, clock.now()).await?.into()))
    }

    /// Test a webhook
    ///
    /// Sends a message of type `test`, also to a disabled webhook: without waiting for other messages, and without retries. The
    /// outcome is in the delivery. Requires the role admin.
    #[oai(path = "/webhooks/:id/test", method = "post", operation_id = "testWebhook")]
    async fn test(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The id of the webhook.
        id: Path<Uuid>,
    ) -> Result<Accepted<WebhookTest>, Fails<WebhookError>> {
        let State { pool, redis, clock, .. } = &***state;
        let requested = request_test(pool, redis, id.0, &audit, clock.now()).await?;
        Ok(Accepted::job(Some(requested.job_id.0), requested.into()))
    }
}

impl Failure for WebhookError {
    const CODES: &'static [ProblemCode] =
        &[ProblemCode::NotFound, ProblemCode::Conflict, ProblemCode::PreconditionFailed];

    fn into_problem(self) -> Problem {
        match self {
            Self::Db(error) => error.into(),
            Self::Precondition(error) => error.into(),
            Self::NotFound | Self::DeliveryNotFound => Problem::new(ProblemCode::NotFound, self.to_string()),
            Self::Waiting | Self::Test | Self::TooMany(_) | Self::NoKey => {
                Problem::new(ProblemCode::Conflict, self.to_string())
            }
        }
    }
}
