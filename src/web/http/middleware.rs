//! What happens around every request: its id, its span, its line in the log, and its errors as problem+json.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::FutureExt;
use poem::http::header::{HeaderName, HeaderValue};
use poem::{Endpoint, IntoResponse, Request, Response};
use tracing::Instrument;
use uuid::Uuid;

use super::cors::Cors;
use super::problem::Problem;
use crate::operations::export::throttle::RequestCounter;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST_ID: usize = 128;

/// An endpoint with everything that happens around it: it always answers a response, never an error.
pub(in crate::web) struct RequestMiddleware<E> {
    endpoint: E,
    cors: Cors,
    requests: RequestCounter,
}

impl<E: Endpoint> RequestMiddleware<E> {
    /// Answers by `endpoint`, and to the pages that `cors` allows; how much was asked for is counted.
    pub(in crate::web) fn new(endpoint: E, cors: Cors, requests: RequestCounter) -> Self {
        Self { endpoint, cors, requests }
    }

    async fn answer(&self, request: Request, request_id: &str) -> Response {
        if let Some(response) = self.cors.preflight(&request) {
            return response;
        }
        let problem = match AssertUnwindSafe(self.endpoint.call(request)).catch_unwind().await {
            Ok(Ok(response)) => return response.into_response(),
            Ok(Err(error)) => Problem::of(error),
            // The panic itself is in the log already.
            Err(_) => Problem::internal("a handler panicked"),
        };
        problem.log();
        problem.into_response(request_id)
    }
}

impl<E: Endpoint> Endpoint for RequestMiddleware<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let request_id = request_id(&request);
        let span = tracing::info_span!("request", request_id);
        let method = request.method().clone();
        let path = request.original_uri().path().to_owned();
        let origin = self.cors.allowed_origin(&request);
        let began = Instant::now();
        self.requests.increment();
        let mut response = self.answer(request, &request_id).instrument(span).await;
        self.cors.admit(response.headers_mut(), origin);
        if let Ok(value) = HeaderValue::from_str(&request_id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let status = response.status().as_u16();
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(%method, path, status, duration_ms, request_id, "{method} {path} {status}");
        Ok(response)
    }
}

/// The id that the request brought, where it is 1 to 128 printable characters; else a new one.
fn request_id(request: &Request) -> String {
    let brought = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let printable = |id: &&str| id.len() <= LONGEST_ID && id.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let id = brought.map(str::trim).filter(printable).filter(|id| !id.is_empty());
    id.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_id_is_kept_and_a_bad_one_replaced() {
        let longest = "x".repeat(LONGEST_ID);
        for (brought, kept) in [
            (Some("abc-1"), true),
            (Some("two words"), true),
            (Some(longest.as_str()), true),
            (Some(&*format!("{longest}x")), false),
            (Some(""), false),
            (Some("tab\there"), false),
            (None, false),
        ] {
            let mut request = Request::builder();
            if let Some(id) = brought {
                request = request.header(REQUEST_ID, id);
            }
            let id = request_id(&request.finish());
            assert_eq!(Some(id.as_str()) == brought, kept, "{brought:?}");
            assert!(kept || Uuid::parse_str(&id).is_ok(), "{brought:?}");
        }
    }
}
