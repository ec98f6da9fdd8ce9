//! How often a provider may be asked.
//!
//! The limit is the provider's, on the account: it is shared by all processes, so whoever knows how to share (Redis)
//! fills this in. Pacing each process by itself was rejected: two workers would ask twice as often as was agreed.

use std::time::Duration;

use async_trait::async_trait;

/// The turns of one provider, shared by every process that asks it.
///
/// Neither call can fail: an implementation that cannot reach the others falls back to a rate_limit of its own, for a request
/// too many now and then is better than none.
#[async_trait]
pub trait RateLimit: Send + Sync + 'static {
    /// Waits until the next request may be made.
    async fn acquire(&self);

    /// Nobody gets a turn for `wait`: the provider said so (429).
    async fn pause_for(&self, wait: Duration);
}

/// No rate_limit: every turn comes at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unlimited;

#[async_trait]
impl RateLimit for Unlimited {
    async fn acquire(&self) {}

    async fn pause_for(&self, _wait: Duration) {}
}
