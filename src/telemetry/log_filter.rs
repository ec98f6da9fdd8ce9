//! Which log lines and spans there are: the lines that `LOG_LEVEL` names, and every span that can be a step of a trace, so that a
//! line has the fields of its spans at any level.
//!
//! One filter for all layers. A filter for each was rejected: code that only asks whether a line is wanted (sqlx does, for each
//! statement) leaves the answer of such filters behind, and the next span would be taken for unwanted.

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::EnvFilter;
use tracing_subscriber::layer::Context;

use crate::observability::traces::layer::is_step;

pub(super) struct LogFilter(EnvFilter);

impl LogFilter {
    pub(super) fn new(level: EnvFilter) -> Self {
        Self(level)
    }
}

impl<S: Subscriber> Layer<S> for LogFilter {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        // It also notes the spans that its directives name.
        let by_level = Layer::<S>::register_callsite(&self.0, metadata);
        if is_step(metadata) { Interest::always() } else { by_level }
    }

    fn enabled(&self, metadata: &Metadata<'_>, context: Context<'_, S>) -> bool {
        is_step(metadata) || Layer::enabled(&self.0, metadata, context)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Layer::<S>::max_level_hint(&self.0).map(|level| level.max(LevelFilter::INFO))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        Layer::on_new_span(&self.0, attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        Layer::on_record(&self.0, id, values, context);
    }

    fn on_enter(&self, id: &Id, context: Context<'_, S>) {
        Layer::on_enter(&self.0, id, context);
    }

    fn on_exit(&self, id: &Id, context: Context<'_, S>) {
        Layer::on_exit(&self.0, id, context);
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        Layer::on_close(&self.0, id, context);
    }
}
