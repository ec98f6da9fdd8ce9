//! Job handlers, and the registry that finds the handler of a job.
//!
//! A handler is a type without state: what it needs is in the [`JobContext`]. A [`Registry`] is constant data, written
//! with the [`registry!`](crate::registry) macro, one line per kind.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use psp_dashboard::domain::job::JobKind;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::trace::TraceId;
use psp_dashboard::observability::record::UNKNOWN_KIND;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use tracing::Span;

use crate::job_context::JobContext;
use crate::job_error::JobError;

/// The result of an attempt: what is stored as the job's result, or why the attempt failed.
pub type JobResult = Result<Value, JobError>;

/// The arguments of kinds that take none. Whatever is stored is accepted: `{}`, `null`, or what a person typed.
pub type NoArgs = IgnoredAny;

/// Runs jobs of one kind. `docs/jobs.md` lists the rules that a handler must follow.
pub trait JobHandler: 'static {
    const KIND: &'static JobKind;

    /// The JSON arguments of a job. A job whose arguments cannot be deserialized fails without a retry.
    type Args: DeserializeOwned + Send;

    /// Runs one attempt. It may be dropped at any await.
    fn run(context: &JobContext, job: &ClaimedJob, args: Self::Args) -> impl Future<Output = JobResult> + Send;
}

/// A kind and its handler, with the types of the handler erased.
#[derive(Clone, Copy)]
pub struct RegisteredHandler {
    pub kind: &'static JobKind,
    span: fn(&ClaimedJob, TraceId) -> Span,
    run: for<'a> fn(&'a JobContext, &'a ClaimedJob) -> BoxFuture<'a, JobResult>,
}

impl RegisteredHandler {
    #[doc(hidden)]
    #[must_use]
    pub const fn new<Handler: JobHandler>(span: fn(&ClaimedJob, TraceId) -> Span) -> Self {
        Self { kind: Handler::KIND, span, run: deserialize_and_run::<Handler> }
    }

    /// The span of an attempt, `job.<kind>`.
    #[must_use]
    pub fn span(&self, job: &ClaimedJob, trace_id: TraceId) -> Span {
        (self.span)(job, trace_id)
    }

    pub async fn run(&self, context: &JobContext, job: &ClaimedJob) -> JobResult {
        (self.run)(context, job).await
    }
}

fn deserialize_and_run<'a, Handler: JobHandler>(
    context: &'a JobContext,
    job: &'a ClaimedJob,
) -> BoxFuture<'a, JobResult> {
    async move {
        let args = Handler::Args::deserialize(&job.args).map_err(JobError::Arguments)?;
        Handler::run(context, job, args).await
    }
    .boxed()
}

/// The kind of a handler, for metrics: a kind without one could have any name.
#[must_use]
pub fn kind_name(handler: Option<RegisteredHandler>) -> &'static str {
    handler.map_or(UNKNOWN_KIND, |handler| handler.kind.name)
}

/// The handlers of a program.
#[derive(Clone, Copy)]
pub struct Registry(&'static [RegisteredHandler]);

impl Registry {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(handlers: &'static [RegisteredHandler]) -> Self {
        Self(handlers)
    }

    #[must_use]
    pub fn find(self, kind: &str) -> Option<RegisteredHandler> {
        self.0.iter().find(|handler| handler.kind.name == kind).copied()
    }

    /// All kinds, in the order in which they are registered.
    pub fn kinds(self) -> impl Iterator<Item = &'static JobKind> {
        self.0.iter().map(|handler| handler.kind)
    }

    /// [`JobKind::long_keys`] of all kinds.
    #[must_use]
    pub fn long_keys(self) -> Vec<String> {
        JobKind::long_keys(self.kinds())
    }

    /// The queues of all kinds, sorted, without duplicates.
    #[must_use]
    pub fn queues(self) -> Vec<String> {
        let queues: std::collections::BTreeSet<&str> = self.kinds().map(|kind| kind.queue).collect();
        queues.into_iter().map(str::to_owned).collect()
    }
}

/// Creates a [`Registry`] from `module::Handler` lines. A module has the name of its kind with
/// underscores, which also names the span of its jobs: `job.<module>`.
///
/// It is a macro because tracing requires the name of a span to be a constant.
#[macro_export]
macro_rules! registry {
    ($($module:ident::$handler:ident),* $(,)?) => {
        $crate::handler::Registry::new(&[$(
            $crate::handler::RegisteredHandler::new::<$module::$handler>(|job, trace_id| {
                $crate::job_span!(concat!("job.", stringify!($module)), job, trace_id)
            })
        ),*])
    };
}

/// Opens the span of an attempt.
#[doc(hidden)]
#[macro_export]
macro_rules! job_span {
    ($name:expr, $job:expr, $trace_id:expr) => {
        $crate::tracing::info_span!(
            $name,
            trace_id = %$trace_id,
            kind = %$job.kind,
            job_id = %$job.claim.job_id,
            attempt = $job.attempt,
            epoch = $job.claim.epoch
        )
    };
}
