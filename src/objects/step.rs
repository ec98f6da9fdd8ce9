//! The use of the object store as steps of a trace: one for each file, not for each request, of which the library makes some in
//! tasks of its own. Neither names nor addresses of files are exported.

use tracing::{Instrument, Span};

use crate::observability::traces;

#[derive(Debug, Clone, Copy)]
pub(super) enum Operation {
    Write,
    Read,
    Delete,
    Prune,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Delete => "delete",
            Self::Prune => "prune",
        }
    }
}

/// A step that ends when the last copy of the span is dropped.
pub(super) fn step(operation: Operation) -> Span {
    let operation = operation.name();
    let span = tracing::info_span!("object_store", operation);
    span.in_scope(|| {
        traces::describe(|step| {
            step.mark_as_call();
            step.rename(format!("object_store {operation}"));
            step.set("psp.object_store.operation", operation);
        });
    });
    span
}

/// Runs a part of a step.
pub(super) async fn in_step<T, E>(step: &Span, part: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let ended = part.instrument(step.clone()).await;
    if ended.is_err() {
        fail(step);
    }
    ended
}

pub(super) fn fail(step: &Span) {
    step.in_scope(|| traces::describe(|step| step.fail("object store failed")));
}
