//! Live events, published to every web process.
//!
//! Pub/sub drops what is sent while a listener is disconnected: a listener that finds a gap in the ids, or receives nothing for a
//! while, reads the events table.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use redis::ErrorKind;

use super::{Redis, RedisError};
use crate::domain::event::RecordedEvent;

const CHANNEL: &str = "events";
/// A job or request does not wait longer than this for a Redis that does not reply.
const TIMEOUT: Duration = Duration::from_secs(1);

impl Redis {
    /// Publishes `events` in order. If this fails, listeners find them in the events table a little later.
    pub async fn publish(&self, events: &[RecordedEvent]) -> Result<(), RedisError> {
        if events.is_empty() {
            return Ok(());
        }
        let channel = self.key(CHANNEL);
        let mut pipeline = redis::pipe();
        for event in events {
            pipeline.publish(&channel, serde_json::to_string(event)?).ignore();
        }
        let published = tokio::time::timeout(TIMEOUT, pipeline.exec_async(&mut self.connection())).await;
        Ok(published.map_err(|_| redis::RedisError::from((ErrorKind::Io, "no reply within a second")))??)
    }

    /// Yields events until the connection ends.
    pub async fn listen(
        &self,
    ) -> Result<impl Stream<Item = Result<RecordedEvent, RedisError>> + Send + use<>, RedisError> {
        let subscriber = self.subscribe(&[self.key(CHANNEL)]).await?;
        Ok(subscriber.map(|message| Ok(serde_json::from_slice(message.get_payload_bytes())?)))
    }
}
