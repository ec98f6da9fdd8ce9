//! A collector of traces: it receives spans by OTLP over HTTP.

#![expect(clippy::needless_pass_by_value, reason = "the handlers of poem take their extractors by value")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use poem::http::StatusCode;
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::web::Data;
use poem::{EndpointExt, Request, Route, Server, handler, post};
use prost::Message;
use tokio::task::JoinHandle;

/// What must come with every export.
const AUTHORIZATION: &str = "Bearer collector-token";

pub(crate) struct Collector {
    url: String,
    received: Received,
    server: JoinHandle<()>,
}

type Received = Arc<Mutex<Vec<Step>>>;

/// A span.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) service: String,
    pub(crate) span: Span,
}

impl Step {
    pub(crate) fn trace_id(&self) -> String {
        hex::encode(&self.span.trace_id)
    }

    pub(crate) fn id(&self) -> String {
        hex::encode(&self.span.span_id)
    }

    pub(crate) fn parent(&self) -> String {
        hex::encode(&self.span.parent_span_id)
    }

    /// The attribute as a text; empty if it is absent.
    pub(crate) fn attribute(&self, name: &str) -> String {
        text_of(&self.span.attributes, name)
    }
}

fn text_of(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    match found.and_then(|attribute| attribute.value.as_ref()?.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::IntValue(number)) => number.to_string(),
        _ => String::new(),
    }
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a free port");
        let address = listener.local_addr()[0].as_socket_addr().map(SocketAddr::to_string).expect("an address");
        let received = Received::default();
        let routes = Route::new().at("/v1/traces", post(receive)).data(Arc::clone(&received));
        let server = tokio::spawn(async move {
            Server::new_with_acceptor(listener).run(routes).await.expect("the server runs");
        });
        Self { url: format!("http://{address}"), received, server }
    }

    /// The settings of a program that exports only when it ends.
    pub(crate) fn settings(&self) -> [(&'static str, &str); 3] {
        [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &self.url),
            ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20collector-token"),
            ("OTEL_BSP_SCHEDULE_DELAY", "3600000"),
        ]
    }

    /// Every span so far.
    pub(crate) fn steps(&self) -> Vec<Step> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[handler]
fn receive(request: &Request, body: Vec<u8>, received: Data<&Received>) -> StatusCode {
    if request.header("authorization") != Some(AUTHORIZATION) {
        return StatusCode::UNAUTHORIZED;
    }
    let Ok(export) = ExportTraceServiceRequest::decode(body.as_slice()) else { return StatusCode::BAD_REQUEST };
    let mut received = received.lock().unwrap_or_else(PoisonError::into_inner);
    for of_service in export.resource_spans {
        let service = of_service.resource.map(|resource| text_of(&resource.attributes, "service.name"));
        let service = service.unwrap_or_default();
        let spans = of_service.scope_spans.into_iter().flat_map(|scope| scope.spans);
        received.extend(spans.map(|span| Step { service: service.clone(), span }));
    }
    StatusCode::OK
}
