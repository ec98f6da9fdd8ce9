//! Whether the collector of traces accepts what the programs send to it.

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;

use super::finding::Finding;
use crate::config::{EnvVars, TelemetryConfig, TracesConfig};
use crate::outbound::causes;

/// `None` if the settings are invalid anyway. A collector that does not work is no reason not to start.
pub(super) async fn check_traces() -> Option<Finding> {
    let Some(traces) = TelemetryConfig::read(&mut EnvVars::from_process())?.traces else {
        return Some(Finding::Ok("traces: not exported".to_owned()));
    };
    let problem = match export_nothing(&traces).await {
        Ok(status) if status.is_success() => {
            return Some(Finding::Ok("traces: the collector accepts them".to_owned()));
        }
        Ok(status) => format!("the collector responds {status}"),
        Err(error) => causes(&error.without_url()),
    };
    Some(Finding::Warning(format!(
        "traces: {problem}; until it accepts them they are dropped: check OTEL_EXPORTER_OTLP_ENDPOINT, its headers, and the collector"
    )))
}

/// An export of no spans is an empty message.
async fn export_nothing(traces: &TracesConfig) -> Result<StatusCode, reqwest::Error> {
    let client = traces.outbound.client()?.timeout(traces.timeout).build()?;
    let request = client.post(traces.endpoint.clone()).header(CONTENT_TYPE, "application/x-protobuf");
    let request = traces.headers.iter().fold(request, |request, (name, value)| request.header(name, value.expose()));
    Ok(request.send().await?.status())
}
