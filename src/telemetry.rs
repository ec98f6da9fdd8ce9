//! Log lines: one JSON object each, or for people where a person watches.
//!
//! A line reads well alone and can be asked by its fields; docs/architecture.md lists them.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, TelemetryConfig};

/// Why log lines cannot be written as configured.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `LOG_LEVEL` is no filter.
    #[error("LOG_LEVEL cannot be read ({0}); for example LOG_LEVEL=info or LOG_LEVEL=warn,psp_dashboard=debug")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// Something else writes log lines already.
    #[error("log lines are written by something else already: {0}")]
    Installed(Box<dyn std::error::Error + Send + Sync>),
}

/// Starts writing log lines to standard error, so that what a command prints stays apart from them.
///
/// # Errors
/// [`TelemetryError`] where the filter cannot be read, or log lines are written already.
pub fn start(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    let watched = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse(&config.level)?)
        .with_ansi(watched)
        .with_writer(std::io::stderr);
    let by_habit = if watched { LogFormat::Pretty } else { LogFormat::Json };
    match config.format.unwrap_or(by_habit) {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Pretty => lines.try_init(),
    }
    .map_err(TelemetryError::Installed)
}
