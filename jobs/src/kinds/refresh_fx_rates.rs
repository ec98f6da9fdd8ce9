//! `refresh-fx-rates`: fetches exchange rates, and values the payments that waited for one.
//!
//! Where the feed does not answer, the rates that are stored stay in use.

use std::sync::Arc;

use async_trait::async_trait;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::operations::backfill_usd::backfill_usd;
use psp_dashboard::operations::store_rates::store_rates;
use psp_dashboard::providers::{ProviderError, Upstream};
use serde_json::{Value, json};

use crate::handler::{Handler, JobError};
use crate::job_context::JobContext;

/// Fetches rates.
pub struct RefreshFxRates {
    context: Arc<JobContext>,
}

impl RefreshFxRates {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(context: &Arc<JobContext>) -> Self {
        Self { context: Arc::clone(context) }
    }
}

#[async_trait]
impl Handler for RefreshFxRates {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        let JobContext { pool, redis, rates, clock, exchange_rates, .. } = &*self.context;
        let feed = exchange_rates.as_ref().ok_or_else(no_feed)?;
        let latest = feed.latest().await?;
        let now = clock.now();
        let stored = store_rates(pool, &job.claim, &latest.usd, now).await?;
        let (fetched, currencies) = (latest.usd.len(), latest.usd.into_keys().collect());
        let valued = backfill_usd(pool, redis, rates, &job.claim, &currencies, now).await?;
        tracing::info!(fetched, stored, valued, skipped = ?latest.skipped, "the exchange rates are fresh");
        Ok(json!({"fetched": fetched, "stored": stored, "skipped": latest.skipped, "payments_valued": valued}))
    }
}

fn no_feed() -> ProviderError {
    ProviderError::Misconfigured { provider: Upstream::ExchangeRates, message: "FX_RATES_URL is not set".to_owned() }
}
