//! Endpoint wrapper that injects faults into a provider's responses and logs its requests.

use std::{io, sync::Arc};

use futures_util::stream::{self, Stream};
use poem::{
    Body, Endpoint, IntoResponse, Request, Response, Result,
    http::{StatusCode, header},
};

use crate::{
    Sandbox,
    faults::{Fault, RequestFaults, Target},
    provider::Provider,
    timestamp::Timestamp,
};

use super::{
    error_response,
    response::{error, json},
};

const HTML: &str = "<!DOCTYPE html>\n<html><head><title>Just a moment</title></head>\
    <body><h1>Checking your connection</h1><p>This page is not what you asked for.</p></body></html>\n";

pub(crate) struct FaultInjection<E> {
    routes: E,
    sandbox: Arc<Sandbox>,
    provider: Provider,
}

impl<E> FaultInjection<E> {
    pub(crate) fn new(routes: E, sandbox: Arc<Sandbox>, provider: Provider) -> Self {
        Self { routes, sandbox, provider }
    }
}

impl<E: Endpoint<Output = Response>> FaultInjection<E> {
    async fn respond(&self, request: Request, faults: RequestFaults) -> Response {
        if let Some(response) = replacement(faults).await {
            return response;
        }
        let accepted = request.header(header::ACCEPT_ENCODING).unwrap_or_default().to_owned();
        let response = self.routes.call(request).await.unwrap_or_else(error_response);
        match faults.fault {
            Some(fault @ (Fault::Truncated | Fault::Reset | Fault::Endless)) => corrupted(response, fault).await,
            _ => faults.form.apply(response, &accepted).await,
        }
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for FaultInjection<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let path = request.original_uri().path().to_owned();
        let query = request.original_uri().query().unwrap_or_default();
        let scripted = self.sandbox.script().next(&path, query);
        let target = Target { provider: self.provider, login: path.ends_with("/auth/login") };
        let faults = if scripted.is_some() { RequestFaults::default() } else { self.sandbox.faults().draw(target) };
        let number = self.sandbox.requests().record_request(request.method().as_str(), &path, query, faults.fault);
        request.extensions_mut().insert(faults);
        // A zero sleep still lasts until the timer's next tick.
        if !faults.latency.is_zero() {
            tokio::time::sleep(faults.latency).await;
        }
        let response = match scripted {
            Some(response) => response,
            None => self.respond(request, faults).await,
        };
        self.sandbox.requests().record_response(number, &path, response.status().as_u16());
        tracing::debug!(number, path, status = response.status().as_u16(), fault = ?faults.fault, "request answered");
        Ok(response)
    }
}

/// The response of a fault that skips the provider's own routes.
async fn replacement(faults: RequestFaults) -> Option<Response> {
    Some(match faults.fault? {
        Fault::Timeout => {
            tokio::time::sleep(faults.timeout).await;
            error(StatusCode::GATEWAY_TIMEOUT, "gateway timeout")
        }
        Fault::InternalError => error(StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
        Fault::BadGateway => error(StatusCode::BAD_GATEWAY, "bad gateway"),
        Fault::Unavailable => error(StatusCode::SERVICE_UNAVAILABLE, "down for maintenance"),
        Fault::UnavailableRetryAfter => error(StatusCode::SERVICE_UNAVAILABLE, "down for maintenance")
            .with_header(header::RETRY_AFTER, "1")
            .into_response(),
        Fault::TooManyRequestsSeconds => too_many_requests("1".into()),
        Fault::TooManyRequestsDate => {
            // HTTP dates have whole seconds: one second ahead could be over at once.
            let until = Timestamp::system_now().plus_millis(2000).to_utc();
            too_many_requests(until.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
        }
        Fault::Html => Response::builder().content_type("text/html; charset=utf-8").body(HTML),
        _ => return None,
    })
}

fn too_many_requests(retry_after: String) -> Response {
    error(StatusCode::TOO_MANY_REQUESTS, "too many requests")
        .with_header(header::RETRY_AFTER, retry_after)
        .into_response()
}

/// Applies the faults that change the provider's response. `Reset` announces the full length and sends half the body, so
/// the server has to close the connection.
async fn corrupted(response: Response, fault: Fault) -> Response {
    let status = response.status();
    let body = response.into_body().into_vec().await.unwrap_or_default();
    let half = body[..body.len() / 2].to_vec();
    match fault {
        Fault::Truncated => json(status, half),
        Fault::Reset => json(status, Body::from_bytes_stream(stream::iter([io::Result::Ok(half)])))
            .with_header(header::CONTENT_LENGTH, body.len())
            .into_response(),
        _ => json(status, Body::from_bytes_stream(endless(body))),
    }
}

/// The body without its last character, then spaces forever: a client cannot detect that the rest never comes.
fn endless(mut body: Vec<u8>) -> impl Stream<Item = io::Result<Vec<u8>>> {
    body.pop();
    stream::unfold(body, |bytes| async move { Some((Ok(bytes), vec![b' '; 65_536])) })
}
