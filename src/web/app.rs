//! The web process: its routes, and how it starts and stops.

use std::sync::{Arc, LazyLock};

use poem::middleware::Compression;
use poem::web::{CompressionAlgo, CompressionLevel};
use poem::{Endpoint, EndpointExt, Response, Route};
use poem_openapi::OpenApi;
use tokio::net::TcpListener;

use super::access::api_keys::ApiKeysApi;
use super::access::audit::AuditApi;
use super::access::me::MeApi;
use super::access::oidc::OidcApi;
use super::access::session::SessionApi;
use super::alerts;
use super::bulk_actions::BulkActionsApi;
use super::console;
use super::events::{self, FeedError, Hub, ServerFeed};
use super::export;
use super::health::HealthApi;
use super::http::auth::audit::Auditor;
use super::http::auth::authorization::Authorization;
use super::http::middleware::RequestMiddleware;
use super::http::openapi::{self, Document};
use super::http::parameters::KnownParameters;
use super::http::server;
use super::jobs::JobsApi;
use super::jobs::bulk_actions::JobBulkActionsApi;
use super::jobs::queue_history::QueueHistoryApi;
use super::jobs::queues::QueuesApi;
use super::jobs::schedule::ScheduleApi;
use super::jobs::workers::WorkersApi;
use super::metrics;
use super::payshack;
use super::prometheus::PrometheusApi;
use super::reconciliation;
use super::report_schedules;
use super::saved_views::ViewsApi;
use super::state::{State, StateError};
use super::sync::SyncApi;
use super::sync::quarantine::QuarantineApi;
use super::transactions::TransactionsApi;
use super::transactions::explanation::ExplanationApi;
use super::transactions::filter_values::FiltersApi;
use super::transactions::lookup::LookupApi;
use super::transactions::reference_explanation::ReferenceExplanationApi;
use super::webhooks::WebhooksApi;
use super::webhooks::deliveries::DeliveriesApi;
use crate::clock::SharedClock;
use crate::config::WebConfig;
use crate::observability::listener::{ListenError, MetricsListener};
use crate::observability::record;
use crate::operations::scrape::Scraper;
use crate::shutdown;

static DOCUMENT: LazyLock<Document> =
    LazyLock::new(|| Document::new((HealthApi::default(), PrometheusApi, versioned())));

/// Why the web process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Events(#[from] FeedError),
    #[error("cannot listen on {address} ({error}): is another process there? set HOST and PORT")]
    Listen { address: String, error: std::io::Error },
    #[error(transparent)]
    Metrics(#[from] ListenError),
    #[error("cannot listen for the signals that stop the process: {0}")]
    Signals(std::io::Error),
}

/// The OpenAPI document of every operation.
#[must_use]
pub fn document() -> &'static Document {
    &DOCUMENT
}

/// The operations under `/api/v1`. They have no fields: a handler gets [`State`] from the request.
fn versioned() -> impl OpenApi + 'static {
    (
        (TransactionsApi, LookupApi, ExplanationApi, ReferenceExplanationApi),
        metrics::operations(),
        FiltersApi,
        SyncApi,
        QuarantineApi,
        reconciliation::operations(),
        (JobsApi, JobBulkActionsApi, BulkActionsApi),
        (QueuesApi, QueueHistoryApi, WorkersApi),
        ScheduleApi,
        payshack::operations(),
        export::operations(),
        (WebhooksApi, DeliveriesApi),
        alerts::operations(),
        (report_schedules::operations(), ViewsApi),
        (MeApi, ApiKeysApi, SessionApi, OidcApi, AuditApi),
        events::operations(),
    )
}

/// The web process as one endpoint.
#[must_use]
pub fn build(state: Arc<State>, hub: &Arc<Hub>, scraper: Arc<Scraper>) -> impl Endpoint<Output = Response> + 'static {
    let pages = Route::new()
        .nest_no_strip("/health", openapi::described(HealthApi::default()))
        .nest_no_strip("/metrics", openapi::described(PrometheusApi))
        .nest_no_strip("/api/v1", openapi::described(versioned()));
    let pages = pages
        // Not Brotli, which browsers prefer: at the quality that poem uses, it takes a hundred times as long as the rest of the
        // response.
        .with(Compression::new().algorithms([CompressionAlgo::GZIP]).with_quality(CompressionLevel::Fastest))
        .before(export::skip_compression)
        .before(events::skip_compression);
    let pages = Arc::new(pages);
    let routes = ["/health", "/metrics", "/api/v1"]
        .into_iter()
        .fold(Route::new(), |routes, prefix| routes.nest_no_strip(prefix, Arc::clone(&pages)));
    // Beside the pages, because an upgrade must not be compressed, and the documents and the console are already.
    let routes = document().mount(console::mount(events::mount(routes, hub)));
    let (access, limits) = (state.access(), Arc::clone(&state.limits));
    let network = (state.proxies.clone(), state.hosts.clone());
    let (cors, requests) = (state.cors.clone(), state.requests.clone());
    let auditor = Arc::new(Auditor::new(state.pool.clone(), Arc::clone(&state.clock)));
    let lenient = state.lenient_parameters;
    let routes = routes.data(Arc::clone(&access)).data(Arc::clone(&auditor));
    let routes = routes.data(Arc::clone(hub)).data(scraper).data(state);
    let routes = KnownParameters::new(routes, document(), &events::WEBSOCKET_PARAMETERS, lenient);
    RequestMiddleware::new(Authorization::new(routes, access, auditor, limits), network, cors, requests)
}

/// The metrics of a web process with these parts.
#[must_use]
pub fn scraper(state: &State, hub: &Arc<Hub>) -> Arc<Scraper> {
    let hub = Arc::clone(hub);
    Arc::new(state.scraper(move || hub.clients()))
}

/// Serves until a signal stops the process; then open requests have most of `SHUTDOWN_GRACE_SECONDS` to finish.
///
/// # Errors
/// [`StartError`] if it cannot start.
pub async fn serve(config: &WebConfig, clock: SharedClock) -> Result<(), StartError> {
    // Before it connects, which may take a minute while another release has all connections: hosts kill a process that does not
    // listen in time. Requests wait until they can be served.
    let address = format!("{}:{}", config.host, config.port);
    let listener = listen(config, &address).await?;
    let metrics = match &config.metrics {
        Some(metrics) => Some(MetricsListener::bind(&metrics.host, metrics.port).await?),
        None => None,
    };
    let state = State::connect(config, Arc::clone(&clock)).await?;
    let feed = ServerFeed { pool: state.pool.clone(), redis: state.redis.clone() };
    let hub = Hub::start(Arc::new(feed), clock, config.event_names).await?;
    record::prepare_process();
    record::prepare_web();
    let scraper = scraper(&state, &hub);
    if let Some(metrics) = metrics {
        tokio::spawn(metrics.serve(Arc::clone(&scraper) as _));
    }
    if state.access.is_open() {
        tracing::warn!("AUTH=off: anyone who can reach this port has the role admin");
    }
    tracing::info!(address, "web process started");
    let stop = shutdown::on_signal(config.shutdown_grace).map_err(StartError::Signals)?;
    let closing = stop.clone();
    // The rest is for closing what is still open then.
    let grace = config.shutdown_grace * 9 / 10;
    let serving = server::serve(listener, build(Arc::new(state), &hub, scraper), &config.http, stop, grace);
    // The server does not wait for upgraded connections, so the hub closes them.
    tokio::join!(serving, async {
        closing.cancelled().await;
        hub.close().await;
    });
    tracing::info!("web process stopped");
    Ok(())
}

async fn listen(config: &WebConfig, address: &str) -> Result<TcpListener, StartError> {
    // An IPv6 address may be in brackets.
    let listener = TcpListener::bind((config.host.trim_matches(['[', ']']), config.port)).await;
    listener.map_err(|error| StartError::Listen { address: address.to_owned(), error })
}

#[cfg(test)]
mod tests;
