//! What the handlers share.

use super::http::auth::Access;
use super::http::client_address::TrustedProxies;
use super::http::cors::Cors;
use super::http::hardening::PublicHosts;
use super::http::limits::Limits;
use super::http::pagination::Cursors;
use super::http::response_cache::ResponseCache;
use crate::clock::SharedClock;
use crate::config::{HttpConfig, ReconciliationConfig, SyncConfig, WebConfig, WebhooksConfig};
use crate::db::DbError;
use crate::db::access::cursor_key;
use crate::db::installation;
use crate::db::pool::WebPools;
use crate::domain::reconciliation::Projects;
use crate::domain::reports::recipients::AllowedRecipients;
use crate::operations::connect_servers::{ConnectError, connect_servers};
use crate::operations::export::exporter::Exporter;
use crate::operations::export::receiver::ReceiverLimits;
use crate::operations::export::store::{ExportStore, ExportStoreError};
use crate::operations::export::throttle::RequestCounter;
use crate::operations::metrics_cache::MetricsCache;
use crate::operations::oidc::IdentityProvider;
use crate::operations::scrape::{Installation, Scraper};
use crate::redis::Redis;
use crate::redis::tickets::Tickets;
use chrono_tz::Tz;
use sqlx::PgPool;
use std::sync::Arc;

/// Every handler gets it as `Data<&Arc<State>>`.
pub struct State {
    pub(in crate::web) pool: PgPool,
    /// For authentication and health.
    pub(in crate::web) access_pool: PgPool,
    pub(in crate::web) redis: Redis,
    /// Claims the namespace of Redis.
    pub(in crate::web) installation: String,
    pub(in crate::web) clock: SharedClock,
    pub(in crate::web) access: Arc<Access>,
    /// `None` if people cannot sign in at an identity provider.
    pub(in crate::web) identity_provider: Option<IdentityProvider>,
    pub(in crate::web) cursors: Cursors,
    pub(in crate::web) sync: SyncConfig,
    pub(in crate::web) reconciliation: ReconciliationConfig,
    pub(in crate::web) report_timezone: Tz,
    pub(in crate::web) metrics: MetricsCache,
    pub(in crate::web) responses: ResponseCache,
    pub(in crate::web) exporter: Exporter,
    pub(in crate::web) files: ExportStore,
    pub(in crate::web) proxies: TrustedProxies,
    pub(in crate::web) hosts: PublicHosts,
    pub(in crate::web) limits: Arc<Limits>,
    pub(in crate::web) cors: Cors,
    pub(in crate::web) requests: RequestCounter,
    pub(in crate::web) lenient_parameters: bool,
    pub(in crate::web) webhooks: WebhooksConfig,
    pub(in crate::web) report_recipients: AllowedRecipients,
}

/// Why [`State::connect`] failed.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error(transparent)]
    Servers(#[from] ConnectError),
    #[error(transparent)]
    Database(#[from] DbError),
    #[error(transparent)]
    Files(#[from] ExportStoreError),
    #[error("TLS for requests to the identity provider cannot be initialized: {0}")]
    Tls(#[from] reqwest::Error),
    #[error(
        "there is no API key, so no request could be authenticated: set API_KEYS=name:role:key, or run psp keys create, or \
         set OIDC_ISSUER, or allow every request with AUTH=off"
    )]
    NoKeys,
}

impl State {
    /// Connects to every server, without retries.
    ///
    /// # Errors
    /// A server is unavailable, the schema is outdated, or there is no key to authenticate requests with.
    pub async fn connect(config: &WebConfig, clock: SharedClock) -> Result<Self, StateError> {
        let (WebPools { pool, reads, access_pool }, redis) = connect_servers(&config.servers).await?;
        let key = cursor_key::get(&pool).await?;
        let tickets = Tickets::new(redis.clone(), key.clone());
        let access = Access::start(
            &config.access,
            &config.network.public_hosts,
            access_pool.clone(),
            tickets,
            Arc::clone(&clock),
        )
        .await?;
        let identity_provider = config.access.oidc.clone();
        let identity_provider =
            identity_provider.map(|oidc| IdentityProvider::new(oidc, Arc::clone(&clock))).transpose()?;
        if !access.is_open() && !access.has_keys().await && identity_provider.is_none() {
            return Err(StateError::NoKeys);
        }
        let requests = RequestCounter::default();
        let limits = Limits::new(&config.limits, Some(redis.clone()), pool.options().get_max_connections());
        Ok(Self {
            installation: installation::get_id(&pool).await?,
            cursors: Cursors::new(key),
            metrics: MetricsCache::new(reads.clone()),
            responses: ResponseCache::default(),
            exporter: Exporter::new(reads, Arc::clone(&clock))
                .with_request_counter(requests.clone())
                .with_quota(config.export_quota)
                .with_receiver_limits(receiver_limits(&config.http)),
            requests,
            files: ExportStore::open(config.export_store.as_ref(), &pool, &clock)?,
            pool,
            access_pool,
            redis,
            clock,
            access: Arc::new(access),
            identity_provider,
            sync: config.sync.clone(),
            reconciliation: config.reconciliation.clone(),
            report_timezone: config.report_timezone,
            hosts: PublicHosts::new(&config.network.public_hosts),
            limits: Arc::new(limits),
            proxies: TrustedProxies::new(&config.network.trusted_proxies),
            lenient_parameters: config.http.lenient_parameters,
            cors: Cors::new(config.access.allowed_origins.clone()),
            webhooks: config.webhooks.clone(),
            report_recipients: config.report_recipients.clone(),
        })
    }

    /// The projects whose payments both sources report.
    pub(in crate::web) fn reconciled_projects(&self) -> &Projects {
        &self.reconciliation.parameters.projects
    }

    #[must_use]
    pub fn access(&self) -> Arc<Access> {
        Arc::clone(&self.access)
    }

    /// The metrics of this process, which has so many `live_clients`.
    #[must_use]
    pub fn scraper(&self, live_clients: impl Fn() -> usize + Send + Sync + 'static) -> Scraper {
        let Self { pool, access_pool, redis, clock, sync, .. } = self;
        let installation =
            Installation { pool: pool.clone(), sync: sync.clone(), live_clients: Box::new(live_clients) };
        // Slow requests do not make the server look dead.
        let pools = [("access", access_pool.clone()), ("requests", pool.clone())];
        Scraper::new("web", pools, redis.clone(), Arc::clone(clock)).with_installation(installation)
    }
}

fn receiver_limits(config: &HttpConfig) -> ReceiverLimits {
    let HttpConfig { min_download_rate: min_rate, max_download: max_duration, .. } = *config;
    ReceiverLimits { min_rate, max_duration, ..ReceiverLimits::DEFAULT }
}
