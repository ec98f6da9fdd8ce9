//! What every handler receives, and how it is connected at start.

use super::http::auth::Access;
use super::http::cors::Cors;
use super::http::pagination::Cursors;
use super::http::response_cache::ResponseCache;
use super::socket::{FeedError, Hub, ServerFeed};
use crate::clock::SharedClock;
use crate::config::{ReconciliationConfig, SyncConfig, WebConfig};
use crate::db::DbError;
use crate::db::access::cursor_key;
use crate::operations::connect_servers::{ConnectError, connect_servers};
use crate::operations::export::exporter::Exporter;
use crate::operations::export::store::{ExportStore, ExportStoreError};
use crate::operations::export::throttle::RequestCounter;
use crate::operations::metrics_cache::MetricsCache;
use crate::redis::Redis;
use chrono_tz::Tz;
use sqlx::PgPool;
use std::sync::Arc;

/// What the handlers share.
pub struct State {
    pub(in crate::web) pool: PgPool,
    pub(in crate::web) redis: Redis,
    pub(in crate::web) clock: SharedClock,
    pub(in crate::web) access: Arc<Access>,
    pub(in crate::web) cursors: Cursors,
    pub(in crate::web) sync: SyncConfig,
    pub(in crate::web) reconciliation: ReconciliationConfig,
    pub(in crate::web) report_timezone: Tz,
    pub(in crate::web) metrics: MetricsCache,
    pub(in crate::web) written: ResponseCache,
    pub(in crate::web) exporter: Exporter,
    pub(in crate::web) files: ExportStore,
    pub(in crate::web) cors: Cors,
    pub(in crate::web) requests: RequestCounter,
    pub(in crate::web) hub: Arc<Hub>,
}

/// Why the web process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A server is away or refuses, or the schema is behind.
    #[error(transparent)]
    Servers(#[from] ConnectError),
    /// The database does not say who may ask.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The events cannot be followed.
    #[error(transparent)]
    Events(#[from] FeedError),
    /// The settings of the store of files contradict each other.
    #[error(transparent)]
    Files(#[from] ExportStoreError),
    /// Nobody could ask anything.
    #[error(
        "there is no API key, so nobody could ask anything: set API_KEYS=name:role:key, or run psp keys create, or open \
         everything to everybody with AUTH=off"
    )]
    NoKeys,
    /// It cannot listen.
    #[error("cannot listen on {address} ({error}): is another process there? set HOST and PORT")]
    Listen {
        /// Where.
        address: String,
        /// Why not.
        error: std::io::Error,
    },
    /// It cannot be told to stop.
    #[error("the signals to stop cannot be heard ({0})")]
    Signals(std::io::Error),
}

impl State {
    /// Connects to everything that is needed, trying each once.
    ///
    /// # Errors
    /// [`StartError`] where something is missing.
    pub async fn connect(config: &WebConfig, clock: SharedClock) -> Result<Self, StartError> {
        let (pool, redis) = connect_servers(&config.servers).await?;
        let access = Access::new(&config.access, pool.clone(), redis.clone(), Arc::clone(&clock));
        if !access.is_open() && !access.has_keys().await? {
            return Err(StartError::NoKeys);
        }
        let requests = RequestCounter::default();
        let feed = Arc::new(ServerFeed { pool: pool.clone(), redis: redis.clone() });
        Ok(Self {
            hub: Hub::start(feed, Arc::clone(&clock)).await?,
            cursors: Cursors::new(cursor_key::get(&pool).await?),
            metrics: MetricsCache::new(pool.clone()),
            written: ResponseCache::default(),
            exporter: Exporter::new(pool.clone(), Arc::clone(&clock)).with_request_counter(requests.clone()),
            requests,
            files: ExportStore::open(config.export_store.as_ref(), &pool, &clock)?,
            pool,
            redis,
            clock,
            access: Arc::new(access),
            sync: config.sync.clone(),
            reconciliation: config.reconciliation.clone(),
            report_timezone: config.report_timezone,
            cors: Cors::new(config.access.allowed_origins.clone()),
        })
    }

    /// Who may ask.
    #[must_use]
    pub fn access(&self) -> Arc<Access> {
        Arc::clone(&self.access)
    }
}
