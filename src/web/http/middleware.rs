//! What every request gets: a check of its size, host and encoding, headers that protect browsers, an id, the address of its client, a trace, a log line, a measurement, CORS headers, and its errors as problem+json.

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
use crate::domain::trace::{TraceContext, TraceId};
use crate::observability::record;
use crate::observability::traces::{self, Started, Work};
use crate::operations::export::throttle::RequestCounter;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Of W3C Trace Context, level 2: the trace that the request was handled in.
const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");
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

    async fn respond(&self, mut request: Request, request_id: &str, trace_id: TraceId) -> Response {
        if let Err(problem) = check_request(&request, &self.hosts) {
            return problem.into_response(request_id, trace_id);
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
        problem.into_response(request_id, trace_id)
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
        let trace = begin_trace(&request);
        let trace_id = trace.context.trace_id;
        let span = tracing::info_span!("request", %trace_id, request_id, %server_request_id);
        trace.attach(&span);
        let method = request.method().clone();
        let path = request.original_uri().path().to_owned();
        let origin = self.cors.allowed_origin(&request);
        let began = Instant::now();
        self.requests.increment();
        let mut response = self.respond(request, &request_id, trace_id).instrument(span.clone()).await;
        protect_response(response.status(), response.headers_mut(), client);
        self.cors.admit(response.headers_mut(), origin);
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        if let Ok(value) = HeaderValue::try_from(trace.context.to_text()) {
            response.headers_mut().insert(TRACERESPONSE, value);
        }
        let status = response.status().as_u16();
        span.in_scope(|| describe(method.as_str(), route.template(), status));
        let duration = began.elapsed();
        record::http_request(method.as_str(), route.template(), response.status().as_str(), duration);
        let duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        tracing::info!(%method, path, status, duration_ms, request_id, %server_request_id, %trace_id, "{method} {path} {status}");
        Ok(response)
    }
}

/// The requests of hosts and monitoring are not exported: every few seconds, they would hide the others.
fn begin_trace(request: &Request) -> Started {
    let trace = traces::start(Work::Request, cause(request));
    if is_probe(request.original_uri().path()) { trace.not_exported() } else { trace }
}

fn is_probe(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    matches!(path, "/metrics" | "/health") || path.starts_with("/health/")
}

/// The trace that the request belongs to. As the standard demands, an invalid or ambiguous one is ignored.
fn cause(request: &Request) -> Option<TraceContext> {
    let mut sent = request.headers().get_all(TRACEPARENT).iter();
    let (traceparent, other) = (sent.next()?, sent.next());
    traceparent.to_str().ok()?.parse().ok().filter(|_| other.is_none())
}

/// Describes the request in its trace, by its route: paths contain ids, and queries personal data.
fn describe(method: &str, route: &'static str, status: u16) {
    traces::describe(|step| {
        let method = record::method_name(method);
        step.rename(format!("{method} {route}"));
        step.set("http.request.method", method);
        step.set("http.route", route);
        step.set("http.response.status_code", i64::from(status));
        if status >= 500 {
            step.fail("server error");
        }
    });
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
    fn only_one_valid_traceparent_is_continued() {
        const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        for (sent, continued) in
            [(vec![], false), (vec![VALID], true), (vec![VALID, VALID], false), (vec!["00-0-0-00"], false)]
        {
            let request = sent.iter().fold(Request::builder(), |request, value| request.header(TRACEPARENT, *value));
            let found = cause(&request.finish()).map(|cause| cause.to_string());
            assert_eq!(found.as_deref(), continued.then_some(VALID), "{sent:?}");
        }
    }

    #[test]
    fn requests_of_hosts_and_monitoring_are_probes() {
        for (path, expected) in [
            ("/health", true),
            ("/health/", true),
            ("/health/live", true),
            ("/metrics", true),
            ("/healthy", false),
            ("/api/v1/metrics/overview", false),
            ("/", false),
        ] {
            assert_eq!(is_probe(path), expected, "{path}");
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
