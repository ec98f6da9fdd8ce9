//! Traces: which request or tick caused a log line, a job, a provider call or an event, across processes.
//!
//! A unit of work (a request, a tick, an attempt of a job, a command) [starts](start) a trace or continues one that came with it.
//! Its span, and the spans within, then know their trace: [`current`] finds it wherever the code runs, so that no function has to
//! hand it on. This works without a collector, and then costs little: two random ids and their place beside the span of each unit
//! of work; spans within get nothing, and descriptions do not run. What is exported, if there is a collector, is decided in [`layer`].
//!
//! tracing-opentelemetry was rejected: it exports all fields and log lines of a span, while the attributes here are few, named,
//! and free of texts that could contain personal data; and without a collector it has no ids.

mod exported;
pub mod layer;

use opentelemetry::trace::SpanKind;
use tracing::{Dispatch, Span};
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

pub use self::exported::Exported;
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
    /// Keeps the work out of the export, with its steps and the jobs that it enqueues.
    #[must_use]
    pub fn not_exported(mut self) -> Self {
        self.context.sampled = false;
        self
    }

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

/// Describes the current step. Without a collector, or if the trace is not exported, `description` does not run.
pub fn describe(description: impl FnOnce(&mut Exported)) {
    let exports = |dispatch: &Dispatch| dispatch.downcast_ref().is_some_and(TraceLayer::exports);
    if tracing::dispatcher::get_default(exports) {
        with_known(|known| known.exported.as_deref_mut().map(description));
    }
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
