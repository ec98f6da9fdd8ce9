//! Follows the spans of this system, and gives those that ended to the exporter, if there is one.
//!
//! A span within a unit of work is a step of its trace. Other spans (of libraries, and outside of any work) are none.

use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;
use tracing::span::{Attributes, Id};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::exported::Exported;
use crate::domain::trace::{Sampling, SpanId, TraceContext};

/// Takes a step that ended. It must not wait.
pub type Export = Box<dyn Fn(SpanData) + Send + Sync>;

pub struct TraceLayer {
    sampling: Sampling,
    /// `None` if there is no collector.
    export: Option<Export>,
}

/// What is known of a span, among its extensions.
pub(super) struct Known {
    pub(super) context: TraceContext,
    /// `None` if the step is not exported.
    pub(super) exported: Option<Box<Exported>>,
}

/// Whether a span can be a step of a trace: a span of this system, whatever `LOG_LEVEL` is.
#[must_use]
pub fn is_step(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= Level::INFO && metadata.target().starts_with("psp_")
}

impl TraceLayer {
    #[must_use]
    pub fn new(sampling: Sampling, export: Option<Export>) -> Self {
        Self { sampling, export }
    }

    pub(super) fn exports(&self) -> bool {
        self.export.is_some()
    }

    pub(super) fn sampling(&self) -> Sampling {
        self.sampling
    }

    pub(super) fn begin(
        &self,
        context: TraceContext,
        parent: Option<SpanId>,
        name: &'static str,
        kind: SpanKind,
    ) -> Known {
        let is_exported = context.sampled && self.exports();
        Known { context, exported: is_exported.then(|| Box::new(Exported::begin(parent, name, kind))) }
    }
}

impl<S> Layer<S> for TraceLayer
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        // Without a collector, what runs within a unit of work is taken for the unit itself.
        if !self.exports() || !is_step(attributes.metadata()) {
            return;
        }
        let Some(span) = context.span(id) else { return };
        let known = |outer: SpanRef<'_, S>| outer.extensions().get::<Known>().map(|known| known.context);
        let Some(outer) = span.scope().skip(1).find_map(known) else { return };
        let inner = TraceContext { span_id: SpanId::from_random(rand::random()), ..outer };
        span.extensions_mut().insert(self.begin(inner, Some(outer.span_id), span.name(), SpanKind::Internal));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(known) = context.span(&id).and_then(|span| span.extensions_mut().remove::<Known>()) else { return };
        if let (Some(export), Some(exported)) = (&self.export, known.exported) {
            export(exported.end(known.context));
        }
    }
}
