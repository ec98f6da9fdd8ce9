//! Exports traces by OTLP over HTTP, from a thread of its own: spans are queued, and dropped while the queue is full, so that a
//! collector that is slow or away delays nothing.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanExporter as _, SpanProcessor};
use tokio::runtime::Handle;

use super::otlp_client::OtlpClient;
use crate::config::TracesConfig;
use crate::observability::traces::layer::Export;

/// How long the end of the process waits for the last spans.
const FLUSH_TIME: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("TLS cannot be set up for the collector of traces: {0}")]
    Client(#[from] reqwest::Error),
    #[error("the OTEL_ variables cannot be used: {0}")]
    Exporter(#[from] ExporterBuildError),
}

#[derive(Debug, Clone)]
pub(super) struct TraceExport(Arc<BatchSpanProcessor>);

impl TraceExport {
    /// `program` is the name of the service unless the settings have one.
    pub(super) fn start(config: &TracesConfig, program: &'static str) -> Result<Self, ExportError> {
        let client = config.outbound.client()?.connect_timeout(CONNECT_TIMEOUT).timeout(config.timeout).build()?;
        let headers = config.headers.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(OtlpClient::new(client, Handle::current()))
            .with_endpoint(config.endpoint.as_str())
            .with_protocol(Protocol::HttpBinary)
            .with_timeout(config.timeout)
            .with_headers(headers.collect())
            .build()?;
        exporter.set_resource(&resource(config, program));
        Ok(Self(Arc::new(BatchSpanProcessor::builder(exporter).build())))
    }

    pub(super) fn sink(&self) -> Export {
        let processor = Arc::clone(&self.0);
        Box::new(move |step| processor.on_end(step))
    }

    /// Exports the last spans, for a short time.
    pub(super) async fn finish(self) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(FLUSH_TIME)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last traces of this process could not be exported");
        }
    }
}

fn resource(config: &TracesConfig, program: &'static str) -> Resource {
    let attributes = config.attributes.iter().map(|(name, value)| KeyValue::new(name.clone(), value.clone()));
    let service = config.service.clone().unwrap_or_else(|| program.to_owned());
    Resource::builder_empty()
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attributes(attributes)
        .with_service_name(service)
        .build()
}
