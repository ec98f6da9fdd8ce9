//! Serves the metrics on a port of their own (`METRICS_PORT`), without a key.
//!
//! Workers and schedulers have no other port, and Prometheus needs no key of the API then. It is not the server of the web
//! process: that one knows keys, limits and the API, and jobs do not know it. One request per connection, few at a time: only
//! Prometheus is served here.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::exposition;

/// How many clients are served at the same time.
const MAX_CONNECTIONS: usize = 16;
/// The longest that a client may take, including the response.
const CONNECTION_TIME: Duration = Duration::from_secs(30);
/// The pause after a failed accept.
const AFTER_REFUSAL: Duration = Duration::from_millis(100);
const PATH: &str = "/metrics";

/// Where the text of a scrape comes from.
#[async_trait]
pub trait MetricsSource: Send + Sync + 'static {
    async fn render(&self) -> String;
}

#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address} for Prometheus ({error}): is another process there? Each process needs a METRICS_PORT of its \
     own on one machine"
)]
pub struct ListenError {
    address: String,
    error: std::io::Error,
}

#[derive(Debug)]
pub struct MetricsListener(TcpListener);

impl MetricsListener {
    /// `host` may be an IPv6 address in brackets.
    pub async fn bind(host: &str, port: u16) -> Result<Self, ListenError> {
        let listener = TcpListener::bind((host.trim_matches(['[', ']']), port)).await;
        let address = format!("{host}:{port}");
        let listener = listener.map_err(|error| ListenError { address: address.clone(), error })?;
        tracing::info!(address, "metrics are served at http://{address}{PATH}");
        Ok(Self(listener))
    }

    /// Serves until the process ends, so that the last scrape still sees how it stops.
    pub async fn serve(self, source: Arc<dyn MetricsSource>) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match self.0.accept().await {
                Ok((stream, _)) => {
                    let source = Arc::clone(&source);
                    tokio::spawn(async move {
                        // A client that is slow, or gone, is no error of ours.
                        let _ended = timeout(CONNECTION_TIME, serve_one(stream, source)).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to accept a connection for metrics");
                    sleep(AFTER_REFUSAL).await;
                }
            }
        }
    }
}

async fn serve_one(stream: TcpStream, source: Arc<dyn MetricsSource>) {
    let service = service_fn(|request| {
        let source = Arc::clone(&source);
        async move { Ok::<_, Infallible>(respond(&request, &*source).await) }
    });
    let connection = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "a connection for metrics failed");
    }
}

async fn respond<B>(request: &Request<B>, source: &dyn MetricsSource) -> Response<Full<Bytes>> {
    if request.uri().path() != PATH {
        return text(StatusCode::NOT_FOUND, "the metrics are at /metrics\n".to_owned());
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "use GET\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    text(StatusCode::OK, source.render().await)
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(exposition::CONTENT_TYPE));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    #[async_trait]
    impl MetricsSource for Nothing {
        async fn render(&self) -> String {
            "up 1\n".to_owned()
        }
    }

    #[tokio::test]
    async fn only_the_metrics_are_served() {
        for (method, path, expected) in [
            (Method::GET, "/metrics", StatusCode::OK),
            (Method::GET, "/metrics?a=b", StatusCode::OK),
            (Method::HEAD, "/metrics", StatusCode::OK),
            (Method::POST, "/metrics", StatusCode::METHOD_NOT_ALLOWED),
            (Method::GET, "/", StatusCode::NOT_FOUND),
            (Method::GET, "/metrics/", StatusCode::NOT_FOUND),
            (Method::GET, "/api/v1/transactions", StatusCode::NOT_FOUND),
        ] {
            let request = Request::builder().method(method.clone()).uri(path).body(()).expect("a request");
            assert_eq!(respond(&request, &Nothing).await.status(), expected, "{method} {path}");
        }
    }

    #[tokio::test]
    async fn taken_port_is_reported_with_advice() {
        let taken = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = taken.local_addr().expect("it is bound").port();
        let error = MetricsListener::bind("127.0.0.1", port).await.expect_err("the port is taken").to_string();
        assert!(error.contains("METRICS_PORT") && error.contains(&port.to_string()), "{error}");
    }
}
