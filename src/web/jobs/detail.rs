//! A job in a response: in the list, and with its attempts.

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::jobs::listing::{self, JobDetails, ListedJob};
use crate::domain::job::attempt::AttemptOutcome;
use crate::domain::job::waiting::WaitReason;
use crate::domain::job::{JobState, Priority, SYNC_VIMA, Trigger};
use crate::domain::masking::PiiAccess;
use crate::domain::trace::TraceId;
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME};
use crate::web::http::schema::{Time, named_enum};
use crate::web::responses::waiting::WaitingFor;

/// A job.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct Job {
    /// The job's id.
    id: Uuid,
    /// The kind of job. It may be one that this release does not know.
    kind: String,
    /// The arguments; their fields depend on the kind.
    args: Value,
    /// The queue of the job.
    queue: String,
    /// The state of the job.
    state: JobState,
    /// Of the jobs that are due, the one with the smallest number runs first: 0 if a user waits for the result, 10 for
    /// scheduled jobs, 20 for background work.
    priority: i16,
    /// What created the job.
    trigger: Trigger,
    /// The time in the schedule that the job was created for; null if it was not scheduled.
    scheduled_for: Option<Time>,
    /// When the job was created.
    created_at: Time,
    /// When the first attempt started.
    started_at: Option<Time>,
    /// When the job succeeded, failed or was cancelled.
    finished_at: Option<Time>,
    /// Number of attempts so far, without those that ended for reasons outside the job (see `attempts[].outcome`).
    attempt: u32,
    /// Maximum number of attempts.
    max_attempts: u32,
    /// Why the last attempt failed, or who cancelled the job.
    error: Option<String>,
    /// The progress of the job; its fields depend on the kind.
    progress: Option<Value>,
}

impl Job {
    pub(in crate::web) fn new(job: ListedJob, pii_access: PiiAccess) -> Self {
        Self {
            id: job.id,
            kind: job.kind,
            args: pii_access.json(job.args),
            queue: job.queue,
            state: job.state,
            priority: job.priority,
            trigger: job.trigger,
            scheduled_for: job.scheduled_for.map(Time),
            created_at: Time(job.created_at),
            started_at: job.started_at.map(Time),
            finished_at: job.finished_at.map(Time),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            error: job.error.map(|error| pii_access.text(error)),
            progress: job.progress,
        }
    }
}

/// An attempt of a job.
#[derive(Debug, Clone, Object)]
struct JobAttempt {
    /// The number of the attempt, from 1. The attempt after one that does not count has the same number.
    attempt: u32,
    /// The worker process that ran the attempt.
    worker: String,
    /// When the attempt started.
    started_at: Time,
    /// When the attempt ended; null while it runs.
    finished_at: Option<Time>,
    /// The outcome; null while the attempt runs. Attempts that are `postponed` (the database was unavailable), `handed_back`
    /// (the worker was shutting down) or `lost` (the worker died) do not count.
    outcome: Option<AttemptOutcome>,
    /// Why the attempt did not succeed.
    error: Option<String>,
}

impl JobAttempt {
    fn new(attempt: listing::JobAttempt, pii_access: PiiAccess) -> Self {
        Self {
            attempt: attempt.attempt,
            worker: attempt.worker,
            started_at: Time(attempt.started_at),
            finished_at: attempt.finished_at.map(Time),
            outcome: attempt.outcome,
            error: attempt.error.map(|error| pii_access.text(error)),
        }
    }
}

/// A job with its result and its attempts.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(in crate::web) struct JobDetail {
    #[oai(flatten)]
    job: Job,
    /// The result; its fields depend on the kind.
    result: Option<Value>,
    /// The name of the API key or user that requested the job; null for scheduled jobs.
    requested_by: Option<String>,
    /// When cancellation was requested; the worker stops the job within two seconds.
    cancel_requested_at: Option<Time>,
    /// Whether a worker died while it ran the job. Until the job has ended once, it runs isolated, in a process of its own.
    suspect: bool,
    /// The trace of the job in the logs of all processes, and in traces: that of the request or tick that enqueued it.
    trace_id: String,
    /// What the job waits for, the first one to look at first; empty if it does not wait.
    waiting_for: Vec<WaitingFor>,
    /// The attempts, the first one first.
    attempts: Vec<JobAttempt>,
}

impl JobDetail {
    pub(in crate::web) fn new(
        job: JobDetails,
        attempts: Vec<listing::JobAttempt>,
        waiting_for: &[WaitReason],
        pii_access: PiiAccess,
    ) -> Self {
        Self {
            trace_id: job.trace_id().to_string(),
            job: Job::new(job.job, pii_access),
            result: job.result.map(|result| pii_access.json(result)),
            requested_by: job.requested_by,
            cancel_requested_at: job.cancel_requested_at.map(Time),
            suspect: job.suspect,
            waiting_for: WaitingFor::list(waiting_for, pii_access),
            attempts: attempts.into_iter().map(|attempt| JobAttempt::new(attempt, pii_access)).collect(),
        }
    }
}

impl Example for Job {
    fn example() -> Self {
        Self {
            id: EXAMPLE_ID,
            kind: SYNC_VIMA.name.to_owned(),
            args: json!({"mode": "incremental"}),
            queue: SYNC_VIMA.queue.to_owned(),
            state: JobState::Retrying,
            priority: Priority::Scheduled as i16,
            trigger: Trigger::Schedule,
            scheduled_for: Some(Time(EXAMPLE_TIME)),
            created_at: Time(EXAMPLE_TIME),
            started_at: Some(Time(EXAMPLE_TIME)),
            finished_at: None,
            attempt: 1,
            max_attempts: SYNC_VIMA.max_attempts,
            error: Some("vima answered 503".to_owned()),
            progress: Some(json!({"progress": 120, "total": null})),
        }
    }
}

impl Example for JobDetail {
    fn example() -> Self {
        Self {
            job: Job::example(),
            result: None,
            requested_by: None,
            cancel_requested_at: None,
            suspect: false,
            waiting_for: vec![WaitingFor::example()],
            trace_id: TraceId::from_random(EXAMPLE_ID.as_u128()).to_string(),
            attempts: vec![JobAttempt {
                attempt: 1,
                worker: format!("worker-{EXAMPLE_ID}"),
                started_at: Time(EXAMPLE_TIME),
                finished_at: Some(Time(EXAMPLE_TIME)),
                outcome: Some(AttemptOutcome::Retried),
                error: Some("vima answered 503".to_owned()),
            }],
        }
    }
}

named_enum!(AttemptOutcome, "AttemptOutcome", AttemptOutcome::ALL, "The outcome of an attempt of a job.");
