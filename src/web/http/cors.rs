//! CORS for the configured origins, which are compared exactly.
//!
//! poem's middleware was rejected: it responds 403 to an unknown origin, but CORS is enforced by browsers, and a request
//! that is not from a browser must not fail because of a header.

use poem::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderValue,
    ORIGIN, VARY,
};
use poem::http::{Method, StatusCode};
use poem::{Request, Response};

const ALLOWED_METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, X-API-Key, Content-Type, Idempotency-Key, If-Match, Last-Event-ID, X-Request-Id, traceparent",
);
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "X-Request-Id, traceresponse, Location, ETag, Retry-After, RateLimit, RateLimit-Policy, Content-Disposition, X-Total-Count, \
     X-Ignored-Parameters",
);
/// Ten minutes: a new setting takes effect soon, and most calls of a dashboard need no preflight.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

#[derive(Debug, Clone, Default)]
pub(in crate::web) struct Cors {
    origins: Vec<String>,
}

impl Cors {
    pub(in crate::web) fn new(origins: Vec<String>) -> Self {
        Self { origins }
    }

    /// The origin of a request if it is allowed.
    pub(in crate::web) fn allowed_origin(&self, request: &Request) -> Option<HeaderValue> {
        let origin = request.headers().get(ORIGIN)?;
        self.origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes()).then(|| origin.clone())
    }

    /// The response to a preflight for any path; `None` if the request is not a preflight.
    pub(in crate::web) fn preflight(&self, request: &Request) -> Option<Response> {
        let asks =
            request.headers().contains_key(ORIGIN) && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if request.method() != Method::OPTIONS || !asks {
            return None;
        }
        let mut response = Response::builder().status(StatusCode::NO_CONTENT).finish();
        if self.allowed_origin(request).is_some() {
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, ALLOWED_METHODS);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
            headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
        Some(response)
    }

    /// Allows the page of `origin` to read the response.
    pub(in crate::web) fn admit(&self, headers: &mut HeaderMap, origin: Option<HeaderValue>) {
        if self.origins.is_empty() {
            return;
        }
        headers.append(VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preflight(origin: &str) -> Request {
        Request::builder()
            .method(Method::OPTIONS)
            .header(ORIGIN, origin)
            .header(ACCESS_CONTROL_REQUEST_METHOD, "GET")
            .finish()
    }

    #[test]
    fn only_the_configured_origins_are_allowed() {
        let cors = Cors::new(vec!["https://dash.example".to_owned()]);
        for (origin, allowed) in [
            ("https://dash.example", true),
            ("https://dash.example.evil.test", false),
            ("http://dash.example", false),
            ("null", false),
        ] {
            let request = preflight(origin);
            let response = cors.preflight(&request).expect("an answer");
            assert_eq!(response.status(), StatusCode::NO_CONTENT);
            assert_eq!(response.headers().contains_key(ACCESS_CONTROL_ALLOW_METHODS), allowed, "{origin}");
            assert_eq!(cors.allowed_origin(&request).is_some(), allowed, "{origin}");
        }
    }

    #[test]
    fn options_request_without_preflight_headers_is_passed_on() {
        let request = Request::builder().method(Method::OPTIONS).finish();
        assert!(Cors::default().preflight(&request).is_none());
    }
}
