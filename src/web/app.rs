//! The web process as a whole: what its handlers share, its routes, and how it starts and stops.

use std::sync::Arc;

use chrono_tz::Tz;
use poem::middleware::Compression;
use poem::web::{CompressionAlgo, CompressionLevel, Redirect};
use poem::{Endpoint, EndpointExt, Response, Route, get, handler};
use poem_openapi::OpenApi;
use sqlx::PgPool;
use tokio::net::TcpListener;

use super::audit::AuditApi;
use super::auth::Access;
use super::cors::Cors;
use super::document;
use super::export::{self, spare_workbooks};
use super::filters::FiltersApi;
use super::health::HealthApi;
use super::jobs::JobsApi;
use super::me::MeApi;
use super::metrics;
use super::page::Cursors;
use super::payshack;
use super::quarantine::QuarantineApi;
use super::queues::QueuesApi;
use super::reconciliation;
use super::request::Answering;
use super::schedule::ScheduleApi;
use super::server;
use super::socket::{self, Doorkeeper, FeedError, Hub, ServerFeed};
use super::sync::SyncApi;
use super::transactions::TransactionsApi;
use super::written::WrittenAnswers;
use crate::clock::SharedClock;
use crate::config::{ReconciliationConfig, SyncConfig, WebConfig};
use crate::db::DbError;
use crate::db::access::cursor_key;
use crate::operations::connect_servers::{ConnectError, connect_servers};
use crate::operations::export::store::{ExportFiles, FileError};
use crate::operations::export::{Exports, Requests};
use crate::operations::metrics_cache::PaymentSums;
use crate::redis::Wire;
use crate::shutdown;

/// What the handlers share.
pub struct State {
    pub(super) pool: PgPool,
    pub(super) wire: Wire,
    pub(super) clock: SharedClock,
    pub(super) access: Arc<Access>,
    pub(super) cursors: Cursors,
    pub(super) sync: SyncConfig,
    pub(super) reconciliation: ReconciliationConfig,
    pub(super) report_timezone: Tz,
    pub(super) sums: PaymentSums,
    pub(super) written: WrittenAnswers,
    pub(super) exports: Exports,
    pub(super) files: ExportFiles,
    cors: Cors,
    requests: Requests,
    hub: Arc<Hub>,
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
    Files(#[from] FileError),
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
        let (pool, wire) = connect_servers(&config.servers).await?;
        let access = Access::new(&config.access, pool.clone(), wire.clone(), Arc::clone(&clock));
        if !access.is_open() && !access.has_keys().await? {
            return Err(StartError::NoKeys);
        }
        let requests = Requests::default();
        let feed = Arc::new(ServerFeed { pool: pool.clone(), wire: wire.clone() });
        Ok(Self {
            hub: Hub::start(feed, Arc::clone(&clock)).await?,
            cursors: Cursors::new(cursor_key::get(&pool).await?),
            sums: PaymentSums::new(pool.clone()),
            written: WrittenAnswers::default(),
            exports: Exports::new(pool.clone(), Arc::clone(&clock)).beside(requests.clone()),
            requests,
            files: ExportFiles::open(config.export_store.as_ref(), &pool, &clock)?,
            pool,
            wire,
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

/// Every operation. They hold nothing: what they need comes with the request.
pub(super) fn operations() -> impl OpenApi {
    (HealthApi, versioned())
}

/// The operations under `/api/v1`.
fn versioned() -> impl OpenApi + 'static {
    (
        TransactionsApi,
        metrics::operations(),
        FiltersApi,
        SyncApi,
        QuarantineApi,
        reconciliation::operations(),
        JobsApi,
        QueuesApi,
        ScheduleApi,
        payshack::operations(),
        export::operations(),
        MeApi,
        AuditApi,
    )
}

/// The whole of the web process behind one endpoint.
#[must_use]
pub fn build(state: Arc<State>) -> impl Endpoint<Output = Response> + 'static {
    let pages = Route::new()
        .at("/", get(root))
        .nest_no_strip("/health", document::described(HealthApi))
        .nest_no_strip("/api/v1", document::described(versioned()))
        .at("/api/docs", get(document::ui))
        .at("/api/openapi.json", get(document::json))
        .at("/api/openapi.yaml", get(document::yaml))
        // Not brotli, which browsers would be given first: at the quality that poem asks of it, it takes a hundred times as
        // long as all the rest of an answer.
        .with(Compression::new().algorithms([CompressionAlgo::GZIP]).with_quality(CompressionLevel::Fastest))
        .before(spare_workbooks);
    let doorkeeper: Arc<dyn Doorkeeper> = state.access();
    // The WebSocket goes beside the pages: an upgrade must not be compressed.
    let routes = socket::mount(Route::new().nest("/", pages), &state.hub, &doorkeeper);
    let (cors, requests) = (state.cors.clone(), state.requests.clone());
    Answering::new(routes.data(state.access()).data(state), cors, requests)
}

#[handler]
fn root() -> Redirect {
    Redirect::temporary("/api/docs")
}

/// Starts the web process, and serves until it is told to stop; then open requests get `SHUTDOWN_GRACE_SECONDS`.
///
/// # Errors
/// [`StartError`] where it cannot start.
pub async fn serve(config: &WebConfig, clock: SharedClock) -> Result<(), StartError> {
    let state = State::connect(config, clock).await?;
    let address = format!("{}:{}", config.host, config.port);
    let listener = TcpListener::bind(&address).await;
    let listener = listener.map_err(|error| StartError::Listen { address: address.clone(), error })?;
    if state.access.is_open() {
        tracing::warn!("AUTH=off: anybody who can reach this port may read and do everything");
    }
    tracing::info!(address, "psp web serves");
    let stop = shutdown::on_signal().map_err(StartError::Signals)?;
    let hub = Arc::clone(&state.hub);
    let closing = stop.clone();
    let serving = server::serve(listener, build(Arc::new(state)), stop, config.shutdown_grace);
    // The server does not wait for upgraded sockets: they are told to go by themselves.
    tokio::join!(serving, async {
        closing.cancelled().await;
        hub.close().await;
    });
    tracing::info!("psp web has stopped");
    Ok(())
}
