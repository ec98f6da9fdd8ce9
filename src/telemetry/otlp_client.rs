//! The HTTP client of the exporter of traces, built on ours: the exporter's own clients would follow redirects and use the proxies
//! of the environment.
//!
//! The exporter runs in a thread without a runtime, so requests run in that of the process.

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use reqwest::Client;
use tokio::runtime::Handle;

use crate::outbound::causes;

/// How much of a response is read: a success is almost empty.
const MAX_RESPONSE: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct OtlpClient {
    client: Client,
    runtime: Handle,
    /// Whether the last export failed: only changes are logged.
    failing: AtomicBool,
}

impl OtlpClient {
    pub(super) fn new(client: Client, runtime: Handle) -> Self {
        Self { client, runtime, failing: AtomicBool::new(false) }
    }

    fn note(&self, failure: Option<&(dyn Error + 'static)>) {
        let was_failing = self.failing.swap(failure.is_some(), Ordering::Relaxed);
        match failure {
            Some(error) if !was_failing => tracing::warn!(
                error = causes(error),
                "cannot export traces, and drops them until it can; check OTEL_EXPORTER_OTLP_ENDPOINT and its collector"
            ),
            None if was_failing => tracing::info!("traces are exported again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for OtlpClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.runtime.spawn(send(self.client.clone(), request)).await?;
        match &sent {
            Ok(response) if response.status().is_success() => self.note(None),
            Ok(response) => self.note(Some(&RefusedError(response.status().as_u16()))),
            Err(error) => self.note(Some(error)),
        }
        Ok(sent?)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the collector responded with status {0}")]
struct RefusedError(u16);

async fn send(client: Client, request: Request<Bytes>) -> Result<Response<Bytes>, reqwest::Error> {
    let sent = async {
        let mut response = client.execute(reqwest::Request::try_from(request)?).await?;
        let mut body = vec![];
        while body.len() < MAX_RESPONSE
            && let Some(chunk) = response.chunk().await?
        {
            body.extend_from_slice(&chunk);
        }
        let mut complete = Response::new(Bytes::from(body));
        *complete.status_mut() = response.status();
        complete.headers_mut().extend(response.headers().clone());
        Ok(complete)
    };
    // The URL may contain a key.
    sent.await.map_err(reqwest::Error::without_url)
}
