//! Logging to standard error: a JSON object per line, or a readable form if standard error is a terminal. No line is longer than
//! hosts accept ([`line_limit`]).
//!
//! docs/architecture.md lists the fields.

mod line_limit;

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use self::line_limit::LimitedLines;
use crate::config::{LogFormat, TelemetryConfig};

#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("LOG_LEVEL cannot be read ({0}); for example LOG_LEVEL=info or LOG_LEVEL=warn,psp_dashboard=debug")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    #[error("logging is already initialized: {0}")]
    Installed(Box<dyn std::error::Error + Send + Sync>),
}

/// Logs go to standard error, so that the output of a command stays separate.
pub fn start(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    let is_terminal = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse(&config.level)?)
        .with_ansi(is_terminal)
        .with_writer(LimitedLines);
    let default_format = if is_terminal { LogFormat::Pretty } else { LogFormat::Json };
    match config.format.unwrap_or(default_format) {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Pretty => lines.try_init(),
    }
    .map_err(TelemetryError::Installed)
}
