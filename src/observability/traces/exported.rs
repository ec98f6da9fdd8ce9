//! A step as collectors receive it.
//!
//! Attributes are few and named, and their values bounded: never a text of a person, a client or a provider, and no addresses.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::trace::{Link, SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::domain::trace::{SpanId, TraceContext};

/// A step that will be exported when it ends.
pub struct Exported {
    name: Cow<'static, str>,
    kind: SpanKind,
    attributes: Vec<KeyValue>,
    links: Vec<TraceContext>,
    failure: Option<&'static str>,
    parent: Option<SpanId>,
    began: SystemTime,
}

impl Exported {
    pub(super) fn begin(parent: Option<SpanId>, name: &'static str, kind: SpanKind) -> Self {
        let (attributes, links) = (vec![], vec![]);
        Self { name: name.into(), kind, attributes, links, failure: None, parent, began: now() }
    }

    /// Adds an attribute. `name` is one of the semantic conventions of OpenTelemetry, or begins with `psp.`.
    pub fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(name, value));
    }

    /// Names the step more exactly than its span: by the route, the endpoint, the operation.
    pub fn rename(&mut self, name: String) {
        self.name = name.into();
    }

    /// The step calls another system.
    pub fn mark_as_call(&mut self) {
        self.kind = SpanKind::Client;
    }

    /// The step has failed, for this reason of a few.
    pub fn fail(&mut self, reason: &'static str) {
        self.failure = Some(reason);
    }

    /// The step has led to another trace: the job that it joined.
    pub fn link(&mut self, to: TraceContext) {
        self.links.push(to);
    }

    pub(super) fn end(self, context: TraceContext) -> SpanData {
        // What comes from another process is the parent of a request or of an attempt.
        let is_remote = matches!(self.kind, SpanKind::Server | SpanKind::Consumer);
        let mut links = SpanLinks::default();
        links.links = self.links.into_iter().map(|to| Link::with_context(span_context(to, true))).collect();
        SpanData {
            span_context: span_context(context, false),
            parent_span_id: self.parent.map_or(opentelemetry::SpanId::INVALID, span_id),
            parent_span_is_remote: is_remote && self.parent.is_some(),
            span_kind: self.kind,
            name: self.name,
            start_time: self.began,
            end_time: now(),
            attributes: self.attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links,
            status: self.failure.map_or(Status::Unset, Status::error),
            instrumentation_scope: InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
        }
    }
}

fn span_id(id: SpanId) -> opentelemetry::SpanId {
    opentelemetry::SpanId::from(id.bits())
}

fn span_context(context: TraceContext, is_remote: bool) -> SpanContext {
    let trace_id = opentelemetry::TraceId::from(context.trace_id.bits());
    let flags = if context.sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    SpanContext::new(trace_id, span_id(context.span_id), flags, is_remote, TraceState::default())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the clock of the machine, as that of its log lines; nothing is decided by it"
)]
fn now() -> SystemTime {
    SystemTime::now()
}
