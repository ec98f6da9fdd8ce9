//! The two sources of the follower: announcements from Redis pub/sub, which are fast but lossy and prove nothing, and the events
//! table.

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use sqlx::PgPool;

use crate::db::events::EventPage;
use crate::db::{self, DbError};
use crate::redis::{Redis, RedisError};

#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error(transparent)]
    Table(#[from] DbError),
    #[error("no response within {0:?}")]
    Silent(std::time::Duration),
}

/// The inputs of the hub, as a trait so that tests can make them fail.
#[async_trait]
pub trait Feed: Send + Sync + 'static {
    /// Yields the ids of announced events until the connection ends.
    async fn listen(&self) -> Result<BoxStream<'static, Result<i64, FeedError>>, FeedError>;

    /// Events after `id` from the table, oldest first.
    async fn list_after(&self, id: i64, limit: i64) -> Result<EventPage, FeedError>;

    /// The ids of the oldest and the newest event of the table; zeros if it is empty.
    async fn get_bounds(&self) -> Result<(i64, i64), FeedError>;
}

#[derive(Debug)]
pub struct ServerFeed {
    pub pool: PgPool,
    pub redis: Redis,
}

#[async_trait]
impl Feed for ServerFeed {
    async fn listen(&self) -> Result<BoxStream<'static, Result<i64, FeedError>>, FeedError> {
        Ok(self.redis.listen().await?.map(|heard| Ok(heard?)).boxed())
    }

    async fn list_after(&self, id: i64, limit: i64) -> Result<EventPage, FeedError> {
        Ok(db::events::list_after(&self.pool, id, limit).await?)
    }

    async fn get_bounds(&self) -> Result<(i64, i64), FeedError> {
        Ok(db::events::get_bounds(&self.pool).await?)
    }
}
