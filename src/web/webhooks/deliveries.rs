//! The delivery log of a webhook, and replays.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::count::Count;
use crate::db::page::TimeCursor;
use crate::db::webhooks;
use crate::db::webhooks::deliveries::{self, Delivery, DeliveryFilter};
use crate::domain::webhook::{DeliveryState, message_id};
use crate::operations::audit::AuditContext;
use crate::operations::webhooks::WebhookError;
use crate::operations::webhooks::replay::{replay_delivery, replay_failed};
use crate::web::http::body::Body;
use crate::web::http::fails::Fails;
use crate::web::http::fields::request_fields;
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::pagination::{Page, PageQuery, Window};
use crate::web::http::path::Path;
use crate::web::http::query::Query;
use crate::web::http::schema::{Time, named_enum};
use crate::web::state::State;

named_enum!(DeliveryState, "DeliveryState", DeliveryState::ALL, "Whether a message was delivered.");

request_fields! {
    /// Which deliveries are listed.
    struct DeliveryQuery {
        /// Filter by state.
        state: Option<DeliveryState>,
        /// Filter by the type of the message, for example `job_failed`.
        r#type: Option<String>,
    }
}

/// A message to a webhook.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct WebhookDelivery {
    /// The id of the delivery.
    id: Uuid,
    /// The header `webhook-id`, the same in every attempt, so that the receiver can recognize repetitions.
    message_id: String,
    /// The id of the event, as on the WebSocket; null if the message is not about an event.
    event_id: Option<i64>,
    /// The type of the message: that of the event, `gap` or `test`.
    r#type: String,
    /// The body of the request.
    payload: Value,
    /// Whether the message was delivered.
    state: DeliveryState,
    /// The number of attempts since the message was created or replayed.
    attempts: u32,
    /// When the event was assigned to the webhook.
    created_at: Time,
    /// When the next attempt is due; null if it is due as soon as it is the message's turn, or if there is none.
    next_attempt_at: Option<Time>,
    /// When the last attempt ended.
    attempted_at: Option<Time>,
    /// How long the last attempt took, in milliseconds.
    duration_ms: Option<i64>,
    /// The status of the last response; null if there was none.
    status_code: Option<i32>,
    /// Why the last attempt failed.
    error: Option<String>,
    /// The beginning of the last response, at most 1 KiB.
    response: Option<String>,
}

impl From<Delivery> for WebhookDelivery {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            message_id: message_id(delivery.id),
            event_id: delivery.event_id,
            r#type: delivery.kind,
            payload: serde_json::from_str(&delivery.payload).unwrap_or_default(),
            state: delivery.state,
            attempts: delivery.attempts,
            created_at: Time(delivery.created_at),
            next_attempt_at: delivery.next_attempt_at.map(Time),
            attempted_at: delivery.attempted_at.map(Time),
            duration_ms: delivery.duration_ms,
            status_code: delivery.status_code,
            error: delivery.error,
            response: delivery.response,
        }
    }
}

impl Example for WebhookDelivery {
    fn example() -> Self {
        let data = json!({"kind": "export", "job_id": EXAMPLE_ID, "error": "the object store is unavailable"});
        Self {
            id: EXAMPLE_ID,
            message_id: message_id(EXAMPLE_ID),
            event_id: Some(4_711),
            r#type: "job_failed".to_owned(),
            payload: json!({"type": "job_failed", "timestamp": EXAMPLE_TIME, "data": data}),
            state: DeliveryState::Pending,
            attempts: 1,
            created_at: Time(EXAMPLE_TIME),
            next_attempt_at: Some(Time(EXAMPLE_TIME)),
            attempted_at: Some(Time(EXAMPLE_TIME)),
            duration_ms: Some(120),
            status_code: Some(503),
            error: Some("the receiver replied 503 Service Unavailable".to_owned()),
            response: Some("try again later".to_owned()),
        }
    }
}

request_fields! {
    /// Which deliveries are replayed.
    #[oai(example)]
    struct ReplayRequest {
        /// Those that failed since then, RFC 3339.
        since: Option<Time>,
    }
    check: ReplayRequest::check
}

impl ReplayRequest {
    fn check(&self, fields: &mut crate::web::http::fields::Fields) {
        if self.since.is_none() && !fields.has_value("since") {
            fields.error("since", "is required: a time, for example 2026-01-15T10:00:00Z");
        }
    }
}

impl Example for ReplayRequest {
    fn example() -> Self {
        Self { since: Some(Time(EXAMPLE_TIME)) }
    }
}

/// How many deliveries are replayed.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct ReplayedDeliveries {
    /// The number of deliveries that wait again.
    replayed: u64,
}

impl Example for ReplayedDeliveries {
    fn example() -> Self {
        Self { replayed: 12 }
    }
}

pub(in crate::web) struct DeliveriesApi;

#[OpenApi(prefix_path = "/api/v1/webhooks", tag = "Tag::Webhooks")]
impl DeliveriesApi {
    /// List deliveries of a webhook
    ///
    /// The messages of the last 30 days with their last attempts, newest first. Requires the role admin.
    #[oai(path = "/:id/deliveries", method = "get", operation_id = "listWebhookDeliveries")]
    async fn list(
        &self,
        state: Data<&Arc<State>>,
        /// The id of the webhook.
        id: Path<Uuid>,
        query: Query<DeliveryQuery>,
        page: Query<PageQuery>,
    ) -> Result<Json<Page<WebhookDelivery>>, Fails<WebhookError>> {
        webhooks::find(&state.pool, id.0).await?.ok_or(WebhookError::NotFound)?;
        let filter = DeliveryFilter { state: query.0.state, kind: query.0.r#type };
        let listing = format!("webhook deliveries {}", id.0);
        let window: Window<TimeCursor> = state.cursors.window(&listing, &page.0)?;
        let db_window = window.to_db();
        let (found, total) = tokio::try_join!(
            deliveries::list(&state.pool, id.0, &filter, &db_window),
            deliveries::count(&state.pool, id.0, &filter)
        )?;
        let count = Count { total, exact: true };
        let page = state.cursors.page(&listing, &window, count, found, Delivery::cursor);
        Ok(Json(page.map(WebhookDelivery::from)))
    }

    /// Get a delivery of a webhook
    ///
    /// A message with its last attempt. Requires the role admin.
    #[oai(path = "/:id/deliveries/:delivery_id", method = "get", operation_id = "getWebhookDelivery")]
    async fn get(
        &self,
        state: Data<&Arc<State>>,
        /// The id of the webhook.
        id: Path<Uuid>,
        /// The id of the delivery.
        delivery_id: Path<Uuid>,
    ) -> Result<Json<WebhookDelivery>, Fails<WebhookError>> {
        let delivery = deliveries::find(&state.pool, id.0, delivery_id.0).await?;
        Ok(Json(delivery.ok_or(WebhookError::DeliveryNotFound)?.into()))
    }

    /// Replay a delivery of a webhook
    ///
    /// Delivers a message again, whether it was delivered or has failed, with the same id and all its retries. It keeps its place
    /// in the order, so it comes before what waits now. 409 if it still waits. Requires the role admin.
    #[oai(path = "/:id/deliveries/:delivery_id/replay", method = "post", operation_id = "replayWebhookDelivery")]
    async fn replay(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The id of the webhook.
        id: Path<Uuid>,
        /// The id of the delivery.
        delivery_id: Path<Uuid>,
    ) -> Result<Json<WebhookDelivery>, Fails<WebhookError>> {
        let replayed = replay_delivery(&state.pool, id.0, delivery_id.0, &audit, state.clock.now()).await?;
        Ok(Json(replayed.into()))
    }

    /// Replay failed deliveries of a webhook
    ///
    /// Delivers all messages again that have failed since a time, in their order. Requires the role admin.
    #[oai(path = "/:id/replay-failed", method = "post", operation_id = "replayFailedWebhookDeliveries")]
    async fn replay_failed(
        &self,
        state: Data<&Arc<State>>,
        audit: AuditContext,
        /// The id of the webhook.
        id: Path<Uuid>,
        body: Body<ReplayRequest>,
    ) -> Result<Json<ReplayedDeliveries>, Fails<WebhookError>> {
        let now = state.clock.now();
        let since = body.value.since.map_or(now, |Time(since)| since);
        let replayed = replay_failed(&state.pool, id.0, since, &audit, now).await?;
        Ok(Json(ReplayedDeliveries { replayed }))
    }
}
