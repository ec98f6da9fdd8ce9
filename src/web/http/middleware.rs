//! What every request gets: a check of its size, host and encoding, headers that protect browsers, an id, the address of its client, a span, a log line, a measurement, CORS headers, and its errors as problem+json.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt;
use poem::http::header::{HeaderName, HeaderValue};
use poem::http::uri::{PathAndQuery, Uri};
use poem::{Endpoint, IntoResponse, Request, Response};
use tracing::Instrument;
use uuid::Uuid;

use super::client_address::TrustedProxies;
use super::cors::Cors;
use super::hardening::{PublicHosts, check_request, protect_response};
use super::matched_route::MatchedRoute;
use super::problem::Problem;
use crate::observability::record;
use crate::operations::export::throttle::RequestCounter;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_ID_LENGTH: usize = 128;

/// The ids of a request: the audit log must not depend on what a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::web) struct RequestId {
    pub(in crate::web) generated: Uuid,
    /// The `X-Request-Id` of the request, if it is 1 to 128 printable characters.
    pub(in crate::web) sent: Option<String>,
}

impl RequestId {
    fn new(request: &Request) -> Self {
        let sent = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let printable = |id: &&str| id.len() <= MAX_ID_LENGTH && id.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let sent = sent.map(str::trim).filter(printable).filter(|id| !id.is_empty()).map(str::to_owned);
        Self { generated: Uuid::now_v7(), sent }
    }

    /// The id in the response and in error messages: the one that the client knows.
    fn shown(&self) -> String {
        self.sent.clone().unwrap_or_else(|| self.generated.to_string())
    }
}

/// Wraps an endpoint; the result is always a response, never an error.
pub(in crate::web) struct RequestMiddleware<E> {
    endpoint: E,
    proxies: TrustedProxies,
    hosts: PublicHosts,
    cors: Cors,
    requests: RequestCounter,
}

impl<E: Endpoint> RequestMiddleware<E> {
    /// `requests` counts every request.
    pub(in crate::web) fn new(
        endpoint: E,
        (proxies, hosts): (TrustedProxies, PublicHosts),
        cors: Cors,
        requests: RequestCounter,
    ) -> Self {
        Self { endpoint, proxies, hosts, cors, requests }
    }

    async fn respond(&self, mut request: Request, request_id: &str) -> Response {
        if let Err(problem) = check_request(&request, &self.hosts) {
            return problem.into_response(request_id);
        }
        if let Some(response) = self.cors.preflight(&request) {
            return response;
        }
        if let Some(uri) = without_trailing_slash(request.uri()) {
            *request.uri_mut() = uri;
        }
        let problem = match AssertUnwindSafe(self.endpoint.call(request)).catch_unwind().await {
            Ok(Ok(response)) => return response.into_response(),
            Ok(Err(error)) => Problem::from_poem(error),
            // The panic itself is in the log already.
            Err(_) => Problem::internal("a handler panicked"),
        };
        problem.log();
        problem.into_response(request_id)
    }
}

impl<E: Endpoint> Endpoint for RequestMiddleware<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let id = RequestId::new(&request);
        let (request_id, server_request_id) = (id.shown(), id.generated);
        let client = self.proxies.client(&request);
        request.extensions_mut().insert(id);
        request.extensions_mut().insert(client);
        let route = MatchedRoute::default();
        request.extensions_mut().insert(route.clone());
        let span = tracing::info_span!("request", request_id, %server_request_id);
        let method = request.method().clone();
        let path = request.original_uri().path().to_owned();
        let origin = self.cors.allowed_origin(&request);
        let began = Instant::now();
        self.requests.increment();
        let mut response = self.respond(request, &request_id).instrument(span).await;
        protect_response(response.status(), response.headers_mut(), client);
        self.cors.admit(response.headers_mut(), origin);
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let status = response.status().as_u16();
        let duration = began.elapsed();
        record::http_request(method.as_str(), route.template(), response.status().as_str(), duration);
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(%method, path, status, duration_ms, request_id, %server_request_id, "{method} {path} {status}");
        Ok(response)
    }
}

/// `None` if the path has no trailing slash.
fn without_trailing_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/').filter(|path| !path.is_empty())?;
    let path_and_query = match uri.query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path_and_query.ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_trailing_slash_is_removed() {
        for (uri, expected) in [
            ("/", None),
            ("/api/v1/jobs", None),
            ("/api/v1/jobs?kind=a/", None),
            ("/api/v1/jobs/", Some("/api/v1/jobs")),
            ("/api/v1/jobs/?kind=a/", Some("/api/v1/jobs?kind=a/")),
        ] {
            let uri = uri.parse::<Uri>().expect("a URI");
            assert_eq!(without_trailing_slash(&uri), expected.map(|uri| uri.parse().expect("a URI")), "{uri}");
        }
    }

    #[test]
    fn valid_id_is_kept_and_an_invalid_one_is_replaced() {
        let longest = "x".repeat(MAX_ID_LENGTH);
        for (sent, kept) in [
            (Some("abc-1"), true),
            (Some("two words"), true),
            (Some(longest.as_str()), true),
            (Some(&*format!("{longest}x")), false),
            (Some(""), false),
            (Some("tab\there"), false),
            (None, false),
        ] {
            let mut request = Request::builder();
            if let Some(id) = sent {
                request = request.header(REQUEST_ID, id);
            }
            let id = RequestId::new(&request.finish()).shown();
            assert_eq!(Some(id.as_str()) == sent, kept, "{sent:?}");
            assert!(kept || Uuid::parse_str(&id).is_ok(), "{sent:?}");
        }
    }
}
