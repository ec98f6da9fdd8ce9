//! Logging to standard error: a JSON object per line, or a readable form if standard error is a terminal. No line is longer than
//! hosts accept ([`line_limit`]). And the export of traces, if a collector is set.
//!
//! docs/architecture.md lists the fields, docs/observability.md describes traces.

mod line_limit;
mod log_filter;
mod otlp_client;
mod trace_export;

use std::io::IsTerminal;

use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt};

use self::line_limit::LimitedLines;
use self::log_filter::LogFilter;
use self::trace_export::{ExportError, TraceExport};
use crate::config::{LogFormat, TelemetryConfig};
use crate::observability::traces::layer::TraceLayer;

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("LOG_LEVEL cannot be read ({0}); for example LOG_LEVEL=info or LOG_LEVEL=warn,psp_dashboard=debug")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("logging is already initialized: {0}")]
    Installed(#[from] tracing_subscriber::util::TryInitError),
}

/// What has to end with the process.
#[must_use]
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<TraceExport>,
}

impl Telemetry {
    /// Exports the last traces. Call it when the work of the process has ended.
    pub async fn finish(self) {
        if let Some(traces) = self.traces {
            traces.finish().await;
        }
    }
}

/// Logs go to standard error, so that the output of a command stays separate. `program` is the name of the service in traces.
pub fn start(config: &TelemetryConfig, program: &'static str) -> Result<Telemetry, TelemetryError> {
    let traces = config.traces.as_ref().map(|traces| TraceExport::start(traces, program)).transpose()?;
    let sampling = config.traces.as_ref().map(|traces| traces.sampling).unwrap_or_default();
    let steps = TraceLayer::new(sampling, traces.as_ref().map(TraceExport::sink));
    let filter = LogFilter::new(EnvFilter::builder().parse(&config.level)?);
    Registry::default().with(filter).with(steps).with(lines(config)).try_init()?;
    Ok(Telemetry { traces })
}

fn lines<S>(config: &TelemetryConfig) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'lookup> tracing_subscriber::registry::LookupSpan<'lookup>,
{
    let is_terminal = std::io::stderr().is_terminal();
    let lines = fmt::layer().with_ansi(is_terminal).with_writer(LimitedLines);
    let default_format = if is_terminal { LogFormat::Pretty } else { LogFormat::Json };
    match config.format.unwrap_or(default_format) {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Pretty => lines.boxed(),
    }
}
