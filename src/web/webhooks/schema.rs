//! The shapes of webhooks in requests and responses.

use poem_openapi::Object;
use poem_openapi::types::Example;
use uuid::Uuid;

use crate::db::webhooks::{self, WebhookProperties};
use crate::domain::entity_tag::EntityTag;
use crate::domain::subscription::Subscription;
use crate::domain::transaction::Source;
use crate::operations::webhooks::create::CreatedWebhook;
use crate::operations::webhooks::rotate_secret::RotatedSecret;
use crate::operations::webhooks::target::AllowedTargets;
use crate::operations::webhooks::test_delivery::RequestedTest;
use crate::operations::webhooks::update::WebhookUpdate;
use crate::web::http::entity_tag::Tagged;
use crate::web::http::fields::{Fields, request_fields};
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME};
use crate::web::http::problem::Problem;
use crate::web::http::schema::Time;

const MAX_DESCRIPTION_LENGTH: usize = 500;
const EXAMPLE_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// An endpoint that receives events, without its secret.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct Webhook {
    /// The id of the webhook.
    id: Uuid,
    /// The address that receives the messages.
    url: String,
    /// What it is for.
    description: String,
    /// The events that it gets: names, or prefixes that end in `*`. Progress events are sent only if they are named in full.
    events: Vec<String>,
    /// The sources whose events it gets, besides events without a source; null for all.
    sources: Option<Vec<Source>>,
    /// Whether messages are delivered.
    enabled: bool,
    /// Why the service has disabled it; null if it is enabled, or if a person has disabled it.
    disabled_reason: Option<String>,
    /// Since when it is disabled.
    disabled_at: Option<Time>,
    /// The first failed attempt since the last success; null if the last attempt succeeded. After five days it is disabled.
    failing_since: Option<Time>,
    /// When a message was last sent to it.
    last_attempt_at: Option<Time>,
    /// When a message was last delivered.
    last_delivered_at: Option<Time>,
    /// How many messages wait.
    pending: u64,
    /// Until when messages are also signed with the secret before the last rotation.
    previous_secret_until: Option<Time>,
    /// When it was created.
    created_at: Time,
    /// The name of the key that created it.
    created_by: String,
    /// When a person last changed it.
    updated_at: Time,
    /// The version, for `If-Match` of a change: it changes when the webhook is changed, not when a message is
    /// delivered.
    etag: String,
}

impl Tagged for Webhook {
    fn etag(&self) -> Option<&str> {
        Some(&self.etag)
    }
}

impl From<webhooks::Webhook> for Webhook {
    fn from(webhook: webhooks::Webhook) -> Self {
        let etag = webhook.etag().to_string();
        let WebhookProperties { url, description, events, sources, enabled } = webhook.properties;
        Self {
            etag,
            id: webhook.id,
            url,
            description,
            events,
            sources,
            enabled,
            disabled_reason: webhook.disabled_reason,
            disabled_at: webhook.disabled_at.map(Time),
            failing_since: webhook.failing_since.map(Time),
            last_attempt_at: webhook.last_attempt_at.map(Time),
            last_delivered_at: webhook.last_delivered_at.map(Time),
            pending: webhook.pending,
            previous_secret_until: webhook.previous_secret_until.map(Time),
            created_at: Time(webhook.created_at),
            created_by: webhook.created_by,
            updated_at: Time(webhook.updated_at),
        }
    }
}

impl Example for Webhook {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            url: "https://example.com/webhooks".to_owned(),
            description: "alerts of finance".to_owned(),
            events: vec!["reconciliation_*".to_owned(), "job_failed".to_owned()],
            sources: None,
            enabled: true,
            disabled_reason: None,
            disabled_at: None,
            failing_since: None,
            last_attempt_at: Some(Time(EXAMPLE_TIME)),
            last_delivered_at: Some(Time(EXAMPLE_TIME)),
            pending: 0,
            previous_secret_until: None,
            created_at: Time(EXAMPLE_TIME),
            created_by: "ada".to_owned(),
            updated_at: Time(EXAMPLE_TIME),
            etag: EntityTag::of_version(3).to_string(),
        }
    }
}

/// A new webhook, with its secret.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct NewWebhook {
    /// The secret, with which the receiver verifies messages. It is shown only here.
    secret: String,
    #[oai(flatten)]
    webhook: Webhook,
}

impl From<CreatedWebhook> for NewWebhook {
    fn from(created: CreatedWebhook) -> Self {
        Self { secret: created.secret.expose().to_owned(), webhook: created.webhook.into() }
    }
}

impl Tagged for NewWebhook {
    fn etag(&self) -> Option<&str> {
        self.webhook.etag()
    }
}

impl Example for NewWebhook {
    fn example() -> Self {
        Self { secret: EXAMPLE_SECRET.to_owned(), webhook: Webhook::example() }
    }
}

/// The new secret of a webhook.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct WebhookSecret {
    /// The secret, with which the receiver verifies messages. It is shown only here.
    secret: String,
    /// Until when messages are also signed with the replaced secret.
    previous_secret_until: Time,
}

impl From<RotatedSecret> for WebhookSecret {
    fn from(rotated: RotatedSecret) -> Self {
        Self { secret: rotated.secret.expose().to_owned(), previous_secret_until: Time(rotated.previous_until) }
    }
}

impl Example for WebhookSecret {
    fn example() -> Self {
        Self { secret: EXAMPLE_SECRET.to_owned(), previous_secret_until: Time(EXAMPLE_TIME) }
    }
}

/// A test that was requested.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(super) struct WebhookTest {
    /// The id of the job, see `GET /jobs/{id}`.
    job_id: Uuid,
    /// The id of the delivery, see `GET /webhooks/{id}/deliveries/{delivery_id}`.
    delivery_id: Uuid,
}

impl From<RequestedTest> for WebhookTest {
    fn from(requested: RequestedTest) -> Self {
        Self { job_id: requested.job_id.0, delivery_id: requested.delivery_id }
    }
}

impl Example for WebhookTest {
    fn example() -> Self {
        Self { job_id: EXAMPLE_ID, delivery_id: EXAMPLE_ID }
    }
}

request_fields! {
    /// A new webhook.
    #[oai(example)]
    pub(super) struct WebhookRequest {
        /// The address that receives the messages: `https`, public, on port 443 or one from 1024 on.
        #[oai(validator(max_length = 2048))]
        url: String,
        /// What it is for, at most 500 characters.
        #[oai(validator(max_length = 500))]
        description: Option<String>,
        /// The events that it gets, by the names of the WebSocket, or prefixes that end in `*`; without it, all. Progress events
        /// are sent only if they are named in full.
        events: Option<Vec<String>>,
        /// The sources whose events it gets, besides events without a source; without it, all.
        sources: Option<Vec<Source>>,
        /// Whether messages are delivered; default: true.
        enabled: Option<bool>,
    }
    check: WebhookRequest::check
}

impl WebhookRequest {
    fn check(&self, fields: &mut Fields) {
        check(fields, self.description.as_deref(), self.events.as_deref(), self.sources.as_deref());
    }

    pub(super) fn into_properties(self, allowed: AllowedTargets) -> Result<WebhookProperties, Problem> {
        Ok(WebhookProperties {
            url: url(self.url, allowed)?,
            description: self.description.unwrap_or_default(),
            events: events(self.events.filter(|events| !events.is_empty()))?,
            sources: self.sources.filter(|sources| !sources.is_empty()),
            enabled: self.enabled.unwrap_or(true),
        })
    }
}

impl Example for WebhookRequest {
    fn example() -> Self {
        Self {
            url: "https://example.com/webhooks".to_owned(),
            description: Some("alerts of finance".to_owned()),
            events: Some(vec!["reconciliation_*".to_owned(), "job_failed".to_owned()]),
            sources: None,
            enabled: Some(true),
        }
    }
}

request_fields! {
    /// A change of a webhook. At least one property is required; absent ones stay as they are.
    #[oai(example)]
    pub(super) struct WebhookChange {
        /// The address that receives the messages.
        #[oai(validator(max_length = 2048))]
        url: Option<String>,
        /// What it is for.
        #[oai(validator(max_length = 500))]
        description: Option<String>,
        /// The events that it gets; null for all.
        events: Option<Vec<String>>,
        /// The sources whose events it gets, besides events without a source; null for all.
        sources: Option<Vec<Source>>,
        /// Whether messages are delivered.
        enabled: Option<bool>,
    }
    check: WebhookChange::check
}

impl WebhookChange {
    fn check(&self, fields: &mut Fields) {
        check(fields, self.description.as_deref(), self.events.as_deref(), self.sources.as_deref());
        let is_given = ["url", "description", "enabled"].iter().any(|name| fields.has_value(name));
        if !is_given && self.events.is_none() && self.sources.is_none() {
            fields.error("url", "is missing: set at least one of url, description, events, sources, enabled");
        }
    }

    pub(super) fn into_update(self, allowed: AllowedTargets) -> Result<WebhookUpdate, Problem> {
        let selected = |list: Vec<String>| events(Some(list).filter(|events| !events.is_empty()));
        Ok(WebhookUpdate {
            url: self.url.map(|text| url(text, allowed)).transpose()?,
            description: self.description,
            events: self.events.map(selected).transpose()?,
            sources: self.sources.map(|sources| Some(sources).filter(|sources| !sources.is_empty())),
            enabled: self.enabled,
        })
    }
}

impl Example for WebhookChange {
    fn example() -> Self {
        Self { enabled: Some(true), ..Self::default() }
    }
}

/// An empty list must not be taken for all.
fn check(fields: &mut Fields, description: Option<&str>, events: Option<&[String]>, sources: Option<&[Source]>) {
    for (name, is_empty) in
        [("events", events.is_some_and(<[_]>::is_empty)), ("sources", sources.is_some_and(<[_]>::is_empty))]
    {
        if is_empty && fields.has_value(name) {
            fields.error(name, "must not be empty: null means all");
        }
    }
    if description.is_some_and(|text| text.chars().count() > MAX_DESCRIPTION_LENGTH) {
        fields.error("description", format!("must have at most {MAX_DESCRIPTION_LENGTH} characters"));
    }
}

fn url(text: String, allowed: AllowedTargets) -> Result<String, Problem> {
    match allowed.check(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Problem::field("url", error.to_string())),
    }
}

fn events(names: Option<Vec<String>>) -> Result<Vec<String>, Problem> {
    let subscription = Subscription::parse(names, None);
    Ok(subscription.map_err(|error| Problem::field("events", error.to_string()))?.events)
}
