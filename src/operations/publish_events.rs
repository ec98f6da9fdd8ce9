//! Announces committed events to the web processes.
//!
//! The events are already stored in their table, from which every web process reads them. An unavailable Redis delays them but
//! loses none.

use crate::domain::event::RecordedEvent;
use crate::redis::Redis;

/// A failure is only logged.
pub async fn publish_events(redis: &Redis, events: &[RecordedEvent]) {
    if let Err(error) = redis.publish(events).await {
        tracing::warn!(%error, count = events.len(), "failed to publish events; web processes will read them from the table");
    }
}
