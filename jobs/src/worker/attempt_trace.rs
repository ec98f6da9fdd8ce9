//! The place of an attempt in the trace of its job: every attempt continues the trace of what enqueued the job.

use psp_dashboard::domain::job::attempt::{ClaimedJob, Outcome};
use psp_dashboard::domain::trace::TraceId;
use psp_dashboard::observability::record::CLAIM_LOST;
use psp_dashboard::observability::traces::{self, Work};
use tracing::Span;

use crate::handler::{RegisteredHandler, kind_name};
use crate::job_span;

/// The span of an attempt.
pub(super) fn attempt_span(job: &ClaimedJob, handler: Option<RegisteredHandler>) -> Span {
    let trace_id = TraceId::of_job(job.claim.job_id, job.trace);
    let span = handler.map_or_else(|| job_span!("job.unknown", job, trace_id), |handler| handler.span(job, trace_id));
    traces::start_in(Work::Attempt, trace_id, job.trace).attach(&span);
    span.in_scope(|| {
        traces::describe(|step| {
            step.set("messaging.system", "psp");
            step.set("messaging.operation.type", "process");
            step.set("psp.job.kind", kind_name(handler));
            step.set("psp.job.id", job.claim.job_id.to_string());
            step.set("psp.job.attempt", i64::from(job.attempt));
        });
    });
    span
}

/// Notes the outcome in the current trace, and returns its name. `None` if the claim was lost to another worker.
pub(super) fn note_outcome(outcome: Option<&Outcome>) -> &'static str {
    let name = outcome.map_or(CLAIM_LOST, Outcome::name);
    traces::describe(|step| {
        step.set("psp.job.outcome", name);
        if outcome.is_some_and(|outcome| outcome.error().is_some()) {
            step.fail(name);
        }
    });
    name
}
