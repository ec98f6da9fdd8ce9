//! The rate limit of a provider.
//!
//! The provider limits the account, so all processes share one limit: the implementation uses PostgreSQL. A limit per process
//! was rejected: two workers would send twice as many requests as agreed.

use std::time::Duration;

use async_trait::async_trait;

/// The rate limit of one provider, shared by all processes.
///
/// Neither call can fail: an implementation that cannot reach its server falls back to a local limit, because an occasional
/// extra request is better than none.
#[async_trait]
pub trait RateLimit: Send + Sync + 'static {
    /// Waits until the next request may be sent.
    async fn acquire(&self);

    /// Lets no process send a request for `wait`, after a 429.
    async fn pause_for(&self, wait: Duration);
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

#[async_trait]
impl RateLimit for Unlimited {
    async fn acquire(&self) {}

    async fn pause_for(&self, _wait: Duration) {}
}
