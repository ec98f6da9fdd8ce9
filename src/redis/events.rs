//! Events on their way from whoever made them to every web process.
//!
//! Pub/sub forgets what nobody hears: a listener that finds a hole in the ids, or hears nothing for a while, asks the
//! table of events.

use std::time::Duration;

use futures_util::{Stream, StreamExt};
use redis::ErrorKind;

use super::{Redis, RedisError};
use crate::domain::event::Recorded;

const CHANNEL: &str = "events";
/// Whoever made the events does not wait longer for a Redis that hangs.
const PATIENCE: Duration = Duration::from_secs(1);

impl Redis {
    /// Tells every listener of `events`, in their order.
    ///
    /// # Errors
    /// [`RedisError`] where Redis does not take them: listeners find them in the table, a little later.
    pub async fn publish(&self, events: &[Recorded]) -> Result<(), RedisError> {
        if events.is_empty() {
            return Ok(());
        }
        let channel = self.key(CHANNEL);
        let mut pipeline = redis::pipe();
        for event in events {
            pipeline.publish(&channel, serde_json::to_string(event)?).ignore();
        }
        let published = tokio::time::timeout(PATIENCE, pipeline.exec_async(&mut self.connection())).await;
        Ok(published.map_err(|_| redis::RedisError::from((ErrorKind::Io, "no answer within a second")))??)
    }

    /// Hears events until the connection ends.
    ///
    /// # Errors
    /// [`RedisError::Redis`] where there is no server.
    pub async fn listen(&self) -> Result<impl Stream<Item = Result<Recorded, RedisError>> + Send + use<>, RedisError> {
        let subscriber = self.subscribe(&[self.key(CHANNEL)]).await?;
        Ok(subscriber.into_on_message().map(|message| Ok(serde_json::from_slice(message.get_payload_bytes())?)))
    }
}
