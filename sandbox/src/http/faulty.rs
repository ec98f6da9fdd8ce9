//! The layer that lets a provider's answers go wrong, and writes down what was asked.

use std::{io, sync::Arc};

use futures_util::stream::{self, Stream};
use poem::{
    Body, Endpoint, IntoResponse, Request, Response, Result,
    http::{StatusCode, header},
};

use crate::{
    Sandbox,
    faults::{Draw, Fault, Provider, Target},
    moment::Moment,
};

use super::{
    answer::{json, refusal},
    error_answer,
};

const HTML: &str = "<!DOCTYPE html>\n<html><head><title>Just a moment</title></head>\
    <body><h1>Checking your connection</h1><p>This page is not what you asked for.</p></body></html>\n";

/// A provider's routes, as unreliable as the faults in force.
pub(crate) struct Faulty<E> {
    routes: E,
    sandbox: Arc<Sandbox>,
    provider: Provider,
}

impl<E> Faulty<E> {
    pub(crate) fn new(routes: E, sandbox: Arc<Sandbox>, provider: Provider) -> Self {
        Self { routes, sandbox, provider }
    }
}

impl<E: Endpoint<Output = Response>> Endpoint for Faulty<E> {
    type Output = Response;

    async fn call(&self, mut request: Request) -> Result<Response> {
        let path = request.original_uri().path().to_owned();
        let query = request.original_uri().query().unwrap_or_default();
        let target = Target { provider: self.provider, login: path.ends_with("/auth/login") };
        let draw = self.sandbox.faults().draw(target);
        let number = self.sandbox.requests().arrive(request.method().as_str(), &path, query, draw.fault);
        request.extensions_mut().insert(draw);
        // Even a sleep of nothing lasts until the timer's next tick.
        if !draw.latency.is_zero() {
            tokio::time::sleep(draw.latency).await;
        }
        let response = match instead(draw).await {
            Some(response) => response,
            None => spoiled(self.routes.call(request).await.unwrap_or_else(error_answer), draw).await,
        };
        self.sandbox.requests().answer(number, &path, response.status().as_u16());
        tracing::debug!(number, path, status = response.status().as_u16(), fault = ?draw.fault, "answered");
        Ok(response)
    }
}

/// The faults that answer in the provider's stead.
async fn instead(draw: Draw) -> Option<Response> {
    Some(match draw.fault? {
        Fault::Timeout => {
            tokio::time::sleep(draw.hang).await;
            refusal(StatusCode::GATEWAY_TIMEOUT, "nobody answered in time")
        }
        Fault::InternalError => refusal(StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
        Fault::BadGateway => refusal(StatusCode::BAD_GATEWAY, "bad gateway"),
        Fault::Unavailable => refusal(StatusCode::SERVICE_UNAVAILABLE, "down for maintenance"),
        Fault::TooManySeconds => slow_down("1".into()),
        Fault::TooManyDate => {
            // The date has no fractions of a second: one second ahead would be over at once.
            let until = Moment::on_the_wall().plus(2000).calendar();
            slow_down(until.format("%a, %d %b %Y %H:%M:%S GMT").to_string())
        }
        Fault::Html => Response::builder().content_type("text/html; charset=utf-8").body(HTML),
        _ => return None,
    })
}

fn slow_down(retry_after: String) -> Response {
    refusal(StatusCode::TOO_MANY_REQUESTS, "too many requests")
        .with_header(header::RETRY_AFTER, retry_after)
        .into_response()
}

/// The faults that spoil an answer on its way out. A reset promises the whole and sends half: the connection is closed,
/// since there is no other way to end such an answer.
async fn spoiled(response: Response, draw: Draw) -> Response {
    let Some(fault @ (Fault::Truncated | Fault::Reset | Fault::Endless)) = draw.fault else { return response };
    let status = response.status();
    let body = response.into_body().into_vec().await.unwrap_or_default();
    let half = body[..body.len() / 2].to_vec();
    match fault {
        Fault::Truncated => json(status, half),
        Fault::Reset => json(status, Body::from_bytes_stream(stream::iter([io::Result::Ok(half)])))
            .with_header(header::CONTENT_LENGTH, body.len())
            .into_response(),
        _ => json(status, Body::from_bytes_stream(never_ending(body))),
    }
}

/// All but the last character, then blanks for ever: no reader can know that the rest will not come.
fn never_ending(mut body: Vec<u8>) -> impl Stream<Item = io::Result<Vec<u8>>> {
    body.pop();
    stream::unfold(body, |bytes| async move { Some((Ok(bytes), vec![b' '; 65_536])) })
}
