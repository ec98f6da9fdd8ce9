//! `refresh-fx-rates`: fetches exchange rates, and calculates the USD amounts of payments that had no rate.
//!
//! If the feed fails, the stored rates remain in use.

use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::job::{JobKind, REFRESH_FX_RATES};
use psp_dashboard::operations::backfill_usd::backfill_usd;
use psp_dashboard::operations::store_rates::store_rates;
use psp_dashboard::providers::{ProviderError, Upstream};
use serde_json::json;

use crate::handler::{JobHandler, JobResult, NoArgs};
use crate::job_context::JobContext;

pub struct RefreshFxRates;

impl JobHandler for RefreshFxRates {
    const KIND: &'static JobKind = &REFRESH_FX_RATES;
    type Args = NoArgs;

    async fn run(context: &JobContext, job: &ClaimedJob, _args: NoArgs) -> JobResult {
        let JobContext { pool, redis, rates, clock, exchange_rates, .. } = context;
        let feed = exchange_rates.as_ref().ok_or_else(|| ProviderError::Misconfigured {
            provider: Upstream::ExchangeRates,
            message: "FX_RATES_URL is not set".to_owned(),
        })?;
        let latest = feed.latest().await?;
        let now = clock.now();
        let stored = store_rates(pool, &job.claim, &latest.usd, now).await?;
        let (fetched, currencies) = (latest.usd.len(), latest.usd.into_keys().collect());
        let valued = backfill_usd(pool, redis, rates, &job.claim, &currencies, now).await?;
        tracing::info!(fetched, stored, valued, skipped = ?latest.skipped, "exchange rates refreshed");
        Ok(json!({"fetched": fetched, "stored": stored, "skipped": latest.skipped, "payments_valued": valued}))
    }
}
