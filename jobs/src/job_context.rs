//! What job handlers depend on: database pools, clients, settings.

use std::sync::Arc;

use psp_dashboard::clock::SharedClock;
use psp_dashboard::config::{JobsConfig, ReconciliationConfig, ReportsConfig, RetentionConfig, SyncConfig};
use psp_dashboard::db::pool::JobPools;
use psp_dashboard::domain::sealing::SealingKeys;
use psp_dashboard::operations::alerts::deliver::Channels;
use psp_dashboard::operations::export::exporter::Exporter;
use psp_dashboard::operations::export::store::ExportStore;
use psp_dashboard::operations::provider_coordination::{share_rate_limit, share_session};
use psp_dashboard::operations::rate_cache::RateCache;
use psp_dashboard::operations::reading_rules::ReadingRules;
use psp_dashboard::operations::scrape::Scraper;
use psp_dashboard::operations::webhooks::sender::WebhookSender;
use psp_dashboard::providers::exchange_rates::ExchangeRatesClient;
use psp_dashboard::providers::payshack::PayshackClient;
use psp_dashboard::providers::vima::VimaClient;
use psp_dashboard::providers::{HttpClient, HttpSettings, Unlimited, Upstream};
use psp_dashboard::redis::Redis;
use sqlx::PgPool;

pub struct JobContext {
    /// For the work of jobs.
    pub pool: PgPool,
    /// For claims, heartbeats and outcomes, so that no job can use up their connections.
    pub queue_pool: PgPool,
    pub redis: Redis,
    pub clock: SharedClock,
    pub rates: RateCache,
    /// How records are read.
    pub rules: ReadingRules,
    pub sync: SyncConfig,
    pub reconciliation: ReconciliationConfig,
    pub retention: RetentionConfig,
    pub vima: VimaClient,
    pub payshack: PayshackClient,
    /// `None` if `FX_RATES_URL` is not set.
    pub exchange_rates: Option<ExchangeRatesClient>,
    pub exporter: Exporter,
    /// Where exported files are stored.
    pub export_store: ExportStore,
    pub webhook_sender: WebhookSender,
    /// They encrypt the secrets of webhooks; `None` if `WEBHOOK_ENCRYPTION_KEY` is not set.
    pub webhook_keys: Option<SealingKeys>,
    /// Where alerts are announced.
    pub channels: Channels,
    pub reports: ReportsConfig,
}

impl JobContext {
    /// # Errors
    /// If TLS cannot be set up, or the settings of the export store contradict each other.
    pub fn new(pools: JobPools, redis: Redis, clock: SharedClock, config: &JobsConfig) -> anyhow::Result<Arc<Self>> {
        let providers = &config.providers;
        let settings = HttpSettings {
            outbound: providers.outbound.clone(),
            max_response_bytes: providers.max_response_bytes,
            request_timeout: providers.request_timeout,
            ..HttpSettings::default()
        };
        let vima_limit = share_rate_limit(&pools.work_pool, Upstream::Vima, providers.vima_interval);
        let vima = HttpClient::new(Upstream::Vima, settings.clone(), vima_limit, Arc::clone(&clock))?;
        let payshack_limit = share_rate_limit(&pools.work_pool, Upstream::Payshack, providers.payshack_interval);
        let payshack = HttpClient::new(Upstream::Payshack, settings.clone(), payshack_limit, Arc::clone(&clock))?;
        // Two requests an hour need no rate limit.
        let feed = HttpClient::new(Upstream::ExchangeRates, settings, Arc::new(Unlimited), Arc::clone(&clock))?;
        let session = share_session(&pools.work_pool, providers.payshack.account());
        Ok(Arc::new(Self {
            redis,
            rates: RateCache::default(),
            rules: ReadingRules::new(&providers.payshack.projects),
            sync: config.sync.clone(),
            reconciliation: config.reconciliation.clone(),
            retention: config.retention.clone(),
            vima: VimaClient::new(vima, providers.vima.clone()),
            payshack: PayshackClient::new(payshack, providers.payshack.clone(), session, Arc::clone(&clock)),
            exchange_rates: providers.exchange_rates.clone().map(|url| ExchangeRatesClient::new(feed, url)),
            exporter: Exporter::for_jobs(pools.reads, Arc::clone(&clock)).with_quota(config.export_quota),
            export_store: ExportStore::open(config.export_store.as_ref(), &pools.work_pool, &clock)?,
            webhook_sender: WebhookSender::new(&config.webhooks)?,
            webhook_keys: config.webhooks.keys.clone(),
            channels: Channels::new(&config.notifications)?,
            reports: config.reports.clone(),
            clock,
            pool: pools.work_pool,
            queue_pool: pools.queue_pool,
        }))
    }

    /// The metrics of the process.
    #[must_use]
    pub fn scraper(&self, process: &'static str) -> Scraper {
        let pools = [("queue", self.queue_pool.clone()), ("work", self.pool.clone())];
        Scraper::new(process, pools, self.redis.clone(), Arc::clone(&self.clock))
    }
}
