//! The HTTP client for the identity provider, with limits: its responses are small.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use tracing::Instrument;

use crate::config::OidcConfig;
use crate::observability::traces;
pub(in crate::operations) use crate::outbound::causes;

const TIMEOUT: Duration = Duration::from_secs(10);
const MAX_RESPONSE_BYTES: usize = 1 << 20;

pub(super) struct Http {
    client: reqwest::Client,
    https_only: bool,
}

/// Why a request failed; without its URL.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    #[error("{}", causes(.0))]
    Request(reqwest::Error),
    #[error("it names an address without https")]
    Insecure,
    #[error("its response has more than {MAX_RESPONSE_BYTES} bytes")]
    TooLarge,
}

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> Self {
        Self::Request(error.without_url())
    }
}

impl Http {
    pub(super) fn new(config: &OidcConfig) -> Result<Self, reqwest::Error> {
        let client = config.outbound.client()?.timeout(TIMEOUT).build()?;
        Ok(Self { client, https_only: config.issuer.is_https() })
    }

    /// Sends a request as a step of the trace, without its address.
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let received = self.exchange(request).await;
        traces::describe(|step| {
            step.mark_as_call();
            match &received {
                Ok(response) => step.set("http.response.status_code", i64::from(response.status().as_u16())),
                Err(_) => step.fail("no response"),
            }
        });
        received
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // The discovery document names the other addresses.
        if self.https_only && request.uri().scheme_str() != Some("https") {
            return Err(HttpError::Insecure);
        }
        let mut response = self.client.execute(request.try_into()?).await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
                return Err(HttpError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        let mut read = HttpResponse::new(body);
        *read.status_mut() = response.status();
        *read.headers_mut() = std::mem::take(response.headers_mut());
        Ok(read)
    }
}

impl<'client> AsyncHttpClient<'client> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'client>>;

    fn call(&'client self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request).instrument(tracing::info_span!("oidc.request")))
    }
}
