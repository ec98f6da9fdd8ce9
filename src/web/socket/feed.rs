//! Where events come from: Redis, which is quick and forgets, and the table, which is neither.

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use sqlx::PgPool;

use crate::db::{self, DbError};
use crate::domain::event::RecordedEvent;
use crate::redis::{Redis, RedisError};

/// Why events could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Nothing can be heard.
    #[error(transparent)]
    Redis(#[from] RedisError),
    /// Nothing can be read.
    #[error(transparent)]
    Table(#[from] DbError),
    /// Neither an answer nor a refusal.
    #[error("no answer within {0:?}")]
    Silent(std::time::Duration),
}

/// The two inputs of the hub, apart from the servers behind them.
#[async_trait]
pub trait Feed: Send + Sync + 'static {
    /// Hears events from now on, until the stream ends.
    ///
    /// # Errors
    /// [`FeedError`] where there is nothing to listen to.
    async fn listen(&self) -> Result<BoxStream<'static, Result<RecordedEvent, FeedError>>, FeedError>;

    /// Events after `id`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`FeedError`] where the table cannot be read.
    async fn list_after(&self, id: i64, limit: i64) -> Result<Vec<RecordedEvent>, FeedError>;

    /// The ids of the oldest and of the newest event that are kept; zeros where there are none.
    ///
    /// # Errors
    /// [`FeedError`] where the table cannot be read.
    async fn get_bounds(&self) -> Result<(i64, i64), FeedError>;
}

/// The real servers.
#[derive(Debug)]
pub struct ServerFeed {
    /// Where the table is.
    pub pool: PgPool,
    /// Where events are heard.
    pub redis: Redis,
}

#[async_trait]
impl Feed for ServerFeed {
    async fn listen(&self) -> Result<BoxStream<'static, Result<RecordedEvent, FeedError>>, FeedError> {
        Ok(self.redis.listen().await?.map(|heard| Ok(heard?)).boxed())
    }

    async fn list_after(&self, id: i64, limit: i64) -> Result<Vec<RecordedEvent>, FeedError> {
        Ok(db::events::list_after(&self.pool, id, limit).await?)
    }

    async fn get_bounds(&self) -> Result<(i64, i64), FeedError> {
        Ok(db::events::get_bounds(&self.pool).await?)
    }
}
