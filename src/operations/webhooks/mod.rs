//! Webhooks: people manage endpoints; [`dispatch`] turns events into deliveries and enqueues jobs; [`deliver`] makes them.
//!
//! Two steps, because an endpoint that is down must not decide how long events are kept: within a second or so each event
//! becomes one row per endpoint that wants it, in the order of commits, and stays there until it is delivered. Other messages
//! than events take the same way: insert a delivery ([`new_delivery`]), and the next dispatch finds it.
//!
//! Rejected: deliveries by the transaction that records an event, which would make every sync as slow as its endpoints are many;
//! a job per delivery, which could not keep the order.

pub mod create;
pub mod delete;
pub mod deliver;
pub mod dispatch;
pub mod replay;
pub mod rotate_secret;
pub mod sender;
pub mod target;
pub mod test_delivery;
pub mod update;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::webhooks::WebhookProperties;
use crate::db::webhooks::deliveries::NewDelivery;
use crate::domain::entity_tag::PreconditionFailed;
use crate::domain::sealing::SealingKeys;
use crate::domain::webhook::Message;
use crate::domain::webhook::signature::SigningSecret;

/// Why an action of a person was refused.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("there is no such webhook")]
    NotFound,
    #[error("this webhook has no such delivery, or it is older than 30 days")]
    DeliveryNotFound,
    #[error("the delivery waits already: it is made as soon as it is its turn")]
    Waiting,
    #[error("a test delivery cannot be replayed: request another test")]
    Test,
    #[error("there are {0} webhooks already: delete those that are not needed")]
    TooMany(u64),
    #[error(
        "there is no key to encrypt the secret with: set WEBHOOK_ENCRYPTION_KEY (openssl rand -hex 32) for the web processes and \
         psp-jobs, and restart them"
    )]
    NoKey,
    #[error(transparent)]
    Precondition(#[from] PreconditionFailed),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// A message for an endpoint. With an event, the endpoint gets it once.
#[must_use]
pub fn new_delivery(webhook_id: Uuid, message: &Message, event_id: Option<i64>) -> NewDelivery {
    NewDelivery {
        id: Uuid::now_v7(),
        webhook_id,
        event_id,
        kind: message.kind.clone(),
        payload: message.payload(),
        ordered: true,
    }
}

/// A new secret of endpoint `id`, and its encrypted form.
fn new_secret(keys: Option<&SealingKeys>, id: Uuid) -> Result<(SigningSecret, Vec<u8>), WebhookError> {
    let secret = SigningSecret::new(rand::random::<[u8; 32]>().to_vec());
    let sealed = keys.and_then(|keys| keys.seal(id, rand::random(), secret.expose()));
    Ok((secret, sealed.ok_or(WebhookError::NoKey)?))
}

/// What the audit log says about an endpoint.
fn described(properties: &WebhookProperties) -> Value {
    let WebhookProperties { url, description, events, sources, enabled } = properties;
    json!({"url": url, "description": description, "events": events, "sources": sources, "enabled": enabled})
}
