//! The web process as a whole: what its handlers share, its routes, and how it starts and stops.

use std::sync::Arc;

use poem::middleware::Compression;
use poem::web::{CompressionAlgo, CompressionLevel, Redirect};
use poem::{Endpoint, EndpointExt, Response, Route, get, handler};
use poem_openapi::OpenApi;
use tokio::net::TcpListener;

use super::access::audit::AuditApi;
use super::access::me::MeApi;
use super::export::{self, skip_compression};
use super::health::HealthApi;
use super::http::middleware::RequestMiddleware;
use super::http::openapi;
use super::http::server;
use super::jobs::JobsApi;
use super::jobs::queues::QueuesApi;
use super::jobs::schedule::ScheduleApi;
use super::metrics;
use super::payshack;
use super::reconciliation;
use super::socket::{self, Authenticator};
use super::state::{StartError, State};
use super::sync::SyncApi;
use super::sync::quarantine::QuarantineApi;
use super::transactions::TransactionsApi;
use super::transactions::filter_values::FiltersApi;
use crate::clock::SharedClock;
use crate::config::WebConfig;
use crate::shutdown;

/// Every operation. They hold nothing: what they need comes with the request.
pub(in crate::web) fn operations() -> impl OpenApi {
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
        .nest_no_strip("/health", openapi::described(HealthApi))
        .nest_no_strip("/api/v1", openapi::described(versioned()))
        .at("/api/docs", get(openapi::ui))
        .at("/api/openapi.json", get(openapi::json))
        .at("/api/openapi.yaml", get(openapi::yaml))
        // Not brotli, which browsers would be given first: at the quality that poem asks of it, it takes a hundred times as
        // long as all the rest of an answer.
        .with(Compression::new().algorithms([CompressionAlgo::GZIP]).with_quality(CompressionLevel::Fastest))
        .before(skip_compression);
    let doorkeeper: Arc<dyn Authenticator> = state.access();
    // The WebSocket goes beside the pages: an upgrade must not be compressed.
    let routes = socket::mount(Route::new().nest("/", pages), &state.hub, &doorkeeper);
    let (cors, requests) = (state.cors.clone(), state.requests.clone());
    RequestMiddleware::new(routes.data(state.access()).data(state), cors, requests)
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
