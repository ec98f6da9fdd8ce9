//! Announcements of live events, published to every web process.
//!
//! A message says only that an event with this id was recorded. The event itself is read from the events table, so that an
//! attacker who can write to Redis can neither invent an event nor read one. Pub/sub drops what is sent while a listener is
//! disconnected: a listener that receives nothing for a while reads the table anyway.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use redis::ErrorKind;
use serde::{Deserialize, Serialize};

use super::{Redis, RedisError};
use crate::domain::event::RecordedEvent;

const CHANNEL: &str = "events";
/// A job or request does not wait longer than this for a Redis that does not reply.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Other fields, which older releases send, are ignored.
#[derive(Serialize, Deserialize)]
struct Announcement {
    id: i64,
}

impl Redis {
    /// Announces the newest of `events`. If this fails, listeners find them in the events table a little later.
    pub async fn publish(&self, events: &[RecordedEvent]) -> Result<(), RedisError> {
        let Some(id) = events.iter().map(|event| event.id).max() else { return Ok(()) };
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(self.key(CHANNEL)).arg(serde_json::to_string(&Announcement { id })?);
        let published = tokio::time::timeout(TIMEOUT, publish.exec_async(&mut self.connection())).await;
        Ok(published.map_err(|_| redis::RedisError::from((ErrorKind::Io, "no reply within a second")))??)
    }

    /// Yields the ids of announced events until the connection ends.
    pub async fn listen(&self) -> Result<impl Stream<Item = Result<i64, RedisError>> + Send + use<>, RedisError> {
        let subscriber = self.subscribe(&[self.key(CHANNEL)]).await?;
        Ok(subscriber.map(|message| {
            let Announcement { id } = serde_json::from_slice(message.get_payload_bytes())?;
            Ok(id)
        }))
    }
}
