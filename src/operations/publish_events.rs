//! Tells dashboards of events that were committed.
//!
//! The events are safe in their table before anybody hears of them, so a Redis that is away delays them and loses none:
//! every web process looks into the table for what it did not hear.

use crate::domain::event::RecordedEvent;
use crate::redis::Redis;

/// Publishes events that were committed. Failing to is no failure of whoever made them.
pub async fn publish_events(redis: &Redis, events: &[RecordedEvent]) {
    if let Err(error) = redis.publish(events).await {
        tracing::warn!(%error, count = events.len(), "events were not published; web processes will find them in the table");
    }
}
