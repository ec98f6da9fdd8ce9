//! The HTTP client of the object store, built on the same reqwest as that of the providers: the library's own client would
//! add a second reqwest, follow redirects and use the proxies of the environment.

use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};

use crate::outbound::Outbound;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest pause between two parts of a response.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Connector(pub(super) Outbound);

#[derive(Debug)]
struct Client(reqwest::Client);

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        let build = || {
            // The library needs the stored bytes and their length.
            let builder = self.0.client()?.no_gzip().no_brotli().no_deflate().no_zstd();
            builder.connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build()
        };
        let client = build().map_err(|error| object_store::Error::Generic { store: "S3", source: Box::new(error) })?;
        Ok(HttpClient::new(Client(client)))
    }
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let request = reqwest::Request::try_from(request.map(reqwest::Body::wrap)).map_err(to_http_error)?;
        let response: http::Response<reqwest::Body> = self.0.execute(request).await.map_err(to_http_error)?.into();
        Ok(response.map(|body| HttpResponseBody::new(body.map_err(to_http_error))))
    }
}

/// Classifies the error, which decides whether the library retries. The URL is removed because it may contain a signature.
fn to_http_error(error: reqwest::Error) -> HttpError {
    let kind = if error.is_timeout() {
        HttpErrorKind::Timeout
    } else if error.is_connect() {
        HttpErrorKind::Connect
    } else if error.is_decode() {
        HttpErrorKind::Decode
    } else {
        HttpErrorKind::Interrupted
    };
    HttpError::new(kind, error.without_url())
}
