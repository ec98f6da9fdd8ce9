//! Turns new events into deliveries, and enqueues a job for each endpoint that something is due for.
//!
//! Every worker that serves the queue calls it once a second. It looks at what is stored instead of relying on notifications, so
//! nothing is lost whichever process dies; workers that look at the same time skip each other's endpoints, or join each other's
//! jobs. Rejected: a job per event or per tick, which would fill the jobs table.

use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::new_delivery;
use crate::db::webhooks::deliveries::{self, NewDelivery};
use crate::db::webhooks::fan_out::{self, Behind, BehindWebhook};
use crate::db::webhooks::list_due;
use crate::db::{DbError, events};
use crate::domain::event::RecordedEvent;
use crate::domain::job::{DELIVER_WEBHOOK, NewJob};
use crate::domain::webhook::{Message, wants};
use crate::operations::enqueue_job::enqueue_job;
use crate::redis::Redis;

/// Jobs that wait for slow receivers leave the other slots of a worker to syncs.
const MAX_JOBS: i64 = 3;
/// How many endpoints and events are turned into deliveries in one transaction.
const MAX_WEBHOOKS: i64 = 100;
const MAX_EVENTS: i64 = 500;

pub async fn dispatch(pool: &PgPool, redis: &Redis, now: DateTime<Utc>) -> Result<(), DbError> {
    while fan_out(pool, now).await? {}
    for webhook_id in list_due(pool, DELIVER_WEBHOOK.name, MAX_JOBS, now).await? {
        enqueue_job(pool, redis, &NewJob::deliver_webhook(webhook_id)).await?;
    }
    Ok(())
}

/// Returns whether there may be more.
async fn fan_out(pool: &PgPool, now: DateTime<Utc>) -> Result<bool, DbError> {
    let mut transaction = pool.begin().await?;
    let behind = fan_out::lock_behind(&mut transaction, MAX_WEBHOOKS).await?;
    let Some(first) = behind.webhooks.iter().map(|webhook| webhook.last_event_id).min() else { return Ok(false) };
    // Ids are assigned in the order of commits: up to the newest, every event that will ever exist is there.
    let after = first.max(behind.oldest_event_id - 1);
    let through = behind.newest_event_id.min(after + MAX_EVENTS);
    let events = events::list_between(&mut transaction, after, through).await?;
    deliveries::insert(&mut transaction, &new_deliveries(&behind, &events, now), now).await?;
    let ids: Vec<Uuid> = behind.webhooks.iter().map(|webhook| webhook.id).collect();
    fan_out::advance(&mut transaction, &ids, through).await?;
    transaction.commit().await?;
    Ok(through < behind.newest_event_id)
}

fn new_deliveries(behind: &Behind, events: &[RecordedEvent], now: DateTime<Utc>) -> Vec<NewDelivery> {
    let gaps = behind.webhooks.iter().filter(|webhook| has_gap(webhook, behind.oldest_event_id));
    let gaps = gaps.map(|webhook| new_delivery(webhook.id, &Message::gap(webhook.last_event_id, now), None));
    let of_events = events.iter().flat_map(|recorded| {
        let wanting = behind
            .webhooks
            .iter()
            .filter(|webhook| webhook.last_event_id < recorded.id && wants(&webhook.subscription, &recorded.event));
        let message = Message::of_event(recorded);
        wanting.map(move |webhook| new_delivery(webhook.id, &message, Some(recorded.id))).collect::<Vec<_>>()
    });
    gaps.chain(of_events).collect()
}

/// Whether events that the endpoint has not looked at were deleted: it was disabled, or no worker ran, for longer than events are
/// kept. A rolled back transaction uses up ids too, so that there may be no such event.
fn has_gap(webhook: &BehindWebhook, oldest_event_id: i64) -> bool {
    webhook.last_event_id + 1 < oldest_event_id
}
