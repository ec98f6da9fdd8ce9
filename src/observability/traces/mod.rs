//! Traces: which request or tick caused a log line, a job, a provider call or an event, across processes.
//!
//! A unit of work (a request, a tick, an attempt of a job, a command) [starts](start) a trace or continues one that came with it.
//! Its span, and the spans within, then know their trace: [`current`] finds it wherever the code runs, so that no function has to
//! hand it on. This works without a collector; what is exported, if there is one, is decided in [`layer`].
//!
//! tracing-opentelemetry was rejected: it exports all fields and log lines of a span, while the attributes here are few, named,
//! and free of texts that could contain personal data; and without a collector it has no ids.

mod exported;
pub mod layer;

use opentelemetry::trace::SpanKind;
use opentelemetry::{KeyValue, Value};
use tracing::{Dispatch, Span};
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

use self::layer::{Known, TraceLayer};
use crate::domain::trace::{SpanId, TraceContext, TraceId};

/// What a unit of work is, for collectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    Request,
    /// An attempt of a job, which another process may have enqueued.
    Attempt,
    /// It has no cause: a tick, a command.
    Own,
}

impl From<Work> for SpanKind {
    fn from(work: Work) -> Self {
        match work {
            Work::Request => Self::Server,
            Work::Attempt => Self::Consumer,
            Work::Own => Self::Internal,
        }
    }
}

/// The place of a unit of work in its trace. Its span has the field `trace_id`, which is in each log line within.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    pub context: TraceContext,
    parent: Option<SpanId>,
    work: Work,
}

/// Continues the trace of `cause`, or begins a new one.
#[must_use]
pub fn start(work: Work, cause: Option<TraceContext>) -> Started {
    let trace_id = cause.map_or_else(|| TraceId::from_random(rand::random()), |cause| cause.trace_id);
    start_in(work, trace_id, cause)
}

/// [`start`] with the trace id of a work whose cause is not known.
#[must_use]
pub fn start_in(work: Work, trace_id: TraceId, cause: Option<TraceContext>) -> Started {
    let sampling = tracing::dispatcher::get_default(|dispatch| dispatch.downcast_ref().map(TraceLayer::sampling));
    let sampled = sampling.unwrap_or_default().samples(trace_id, cause.map(|cause| cause.sampled));
    let context = TraceContext { trace_id, span_id: SpanId::from_random(rand::random()), sampled };
    Started { context, parent: cause.map(|cause| cause.span_id), work }
}

impl Started {
    /// Makes `span` the span of this work. It must not have been entered before.
    pub fn attach(&self, span: &Span) {
        span.with_subscriber(|(id, dispatch)| {
            let registry = dispatch.downcast_ref::<Registry>();
            let layer = dispatch.downcast_ref::<TraceLayer>();
            if let (Some(layer), Some(span)) = (layer, registry.and_then(|registry| registry.span(id))) {
                let known = layer.begin(self.context, self.parent, span.name(), self.work.into());
                span.extensions_mut().replace(known);
            }
        });
    }
}

/// The step of the trace in which the caller runs; `None` outside of a unit of work.
#[must_use]
pub fn current() -> Option<TraceContext> {
    with_known(|known| known.context)
}

/// Adds an attribute to the current step. `name` is one of the semantic conventions of OpenTelemetry, or begins with `psp.`; the
/// value is bounded: never a text of a person, a client or a provider.
pub fn set(name: &'static str, value: impl Into<Value>) {
    with_exported(|exported| exported.attributes.push(KeyValue::new(name, value)));
}

/// Names the current step more exactly than its span: by the route, the endpoint, the kind.
pub fn rename(name: impl FnOnce() -> String) {
    with_exported(|exported| exported.name = name().into());
}

/// The current step calls another system.
pub fn mark_as_call() {
    with_exported(|exported| exported.kind = SpanKind::Client);
}

/// The current step has failed, for this reason of a few.
pub fn fail(reason: &'static str) {
    with_exported(|exported| exported.failure = Some(reason));
}

/// The current step has led to another trace: the job that it joined.
pub fn link(to: TraceContext) {
    with_exported(|exported| exported.links.push(to));
}

fn with_exported(change: impl FnOnce(&mut exported::Exported)) {
    with_known(|known| known.exported.as_deref_mut().map(change));
}

/// Of the innermost span that has a trace.
fn with_known<T>(change: impl FnOnce(&mut Known) -> T) -> Option<T> {
    Span::current().with_subscriber(|(id, dispatch): (_, &Dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        let known = span.scope().find(|span| span.extensions().get::<Known>().is_some())?;
        let mut extensions = known.extensions_mut();
        extensions.get_mut::<Known>().map(change)
    })?
}

#[cfg(test)]
mod tests;
