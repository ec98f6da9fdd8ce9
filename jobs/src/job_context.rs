//! What handlers need of the world, in one place.

use std::sync::Arc;

use psp_dashboard::clock::SharedClock;
use psp_dashboard::config::{JobsConfig, ReconciliationConfig, RetentionConfig, SyncConfig};
use psp_dashboard::db::pool::JobPools;
use psp_dashboard::operations::export::exporter::Exporter;
use psp_dashboard::operations::export::store::ExportStore;
use psp_dashboard::operations::provider_coordination::{share_rate_limit, share_session};
use psp_dashboard::operations::rate_cache::RateCache;
use psp_dashboard::providers::exchange_rates::ExchangeRatesClient;
use psp_dashboard::providers::payshack::PayshackClient;
use psp_dashboard::providers::vima::VimaClient;
use psp_dashboard::providers::{HttpClient, HttpSettings, Unlimited, Upstream};
use psp_dashboard::redis::Redis;
use sqlx::PgPool;

/// The world of a process that runs jobs.
pub struct JobContext {
    /// The truth, for what jobs do.
    pub pool: PgPool,
    /// The truth, for claims, heartbeats and outcomes.
    pub queue_pool: PgPool,
    /// Redis.
    pub redis: Redis,
    /// The time.
    pub clock: SharedClock,
    /// The exchange rates that payments are valued by.
    pub rates: RateCache,
    /// How often and how far syncs read.
    pub sync: SyncConfig,
    /// How and when days are reconciled.
    pub reconciliation: ReconciliationConfig,
    /// How long what is done with is kept.
    pub retention: RetentionConfig,
    /// Vima.
    pub vima: VimaClient,
    /// `PayShack`.
    pub payshack: PayshackClient,
    /// The feed of exchange rates, where there is one.
    pub exchange_rates: Option<ExchangeRatesClient>,
    /// Writes the files of exports.
    pub exporter: Exporter,
    /// Where files that were exported are kept.
    pub files: ExportStore,
}

impl JobContext {
    /// Puts the world together.
    ///
    /// # Errors
    /// Where the machine offers no TLS, or the settings of the store of files contradict each other.
    pub fn new(pools: JobPools, redis: Redis, clock: SharedClock, config: &JobsConfig) -> anyhow::Result<Arc<Self>> {
        let providers = &config.providers;
        let bounds = HttpSettings {
            max_response_bytes: providers.max_response_bytes,
            request_timeout: providers.request_timeout,
            ..HttpSettings::default()
        };
        let vima_pace = share_rate_limit(&redis, Upstream::Vima, providers.vima_interval);
        let vima = HttpClient::new(Upstream::Vima, bounds.clone(), vima_pace, Arc::clone(&clock))?;
        let payshack_pace = share_rate_limit(&redis, Upstream::Payshack, providers.payshack_interval);
        let payshack = HttpClient::new(Upstream::Payshack, bounds.clone(), payshack_pace, Arc::clone(&clock))?;
        // Asked twice an hour: it needs no rate_limit.
        let feed = HttpClient::new(Upstream::ExchangeRates, bounds, Arc::new(Unlimited), Arc::clone(&clock))?;
        let session = share_session(&redis, Arc::clone(&clock));
        Ok(Arc::new(Self {
            redis,
            rates: RateCache::default(),
            sync: config.sync.clone(),
            reconciliation: config.reconciliation.clone(),
            retention: config.retention.clone(),
            vima: VimaClient::new(vima, providers.vima.clone()),
            payshack: PayshackClient::new(payshack, providers.payshack.clone(), session, Arc::clone(&clock)),
            exchange_rates: providers.exchange_rates.clone().map(|url| ExchangeRatesClient::new(feed, url)),
            exporter: Exporter::for_jobs(pools.work_pool.clone(), Arc::clone(&clock)),
            files: ExportStore::open(config.export_store.as_ref(), &pools.work_pool, &clock)?,
            clock,
            pool: pools.work_pool,
            queue_pool: pools.queue_pool,
        }))
    }
}
