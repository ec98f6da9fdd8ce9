//! A job as it is answered: in a list, and alone with its attempts.

use poem_openapi::Object;
use poem_openapi::types::Example;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::db::jobs::listing::{self, ListedJob, ShownJob};
use crate::domain::job::attempt::AttemptOutcome;
use crate::domain::job::{JobState, Priority, SYNC_VIMA, Trigger};
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME};
use crate::web::http::schema::{Time, named_enum};

/// A job.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct Job {
    /// Its id.
    id: Uuid,
    /// The name of its kind; it may be one that this release does not know.
    kind: String,
    /// What it is told.
    args: Value,
    /// The queue it waits in.
    queue: String,
    /// Where it stands.
    state: JobState,
    /// Which of two due jobs comes first: the smaller number. 0 where a person waits for it, 10 where its time has come, 20
    /// where nobody waits.
    priority: i16,
    /// What made it.
    trigger: Trigger,
    /// The tick of the schedule that it stands for.
    scheduled_for: Option<Time>,
    /// When it was made.
    created_at: Time,
    /// When its first attempt began.
    started_at: Option<Time>,
    /// When it came to its end.
    finished_at: Option<Time>,
    /// Its attempts so far; one that the job is not to blame for does not count.
    attempt: u32,
    /// How many it gets.
    max_attempts: u32,
    /// Why its last attempt failed, or who cancelled it.
    error: Option<String>,
    /// How far it has come; what is in it depends on the kind.
    progress: Option<Value>,
}

impl From<ListedJob> for Job {
    fn from(job: ListedJob) -> Self {
        Self {
            id: job.id,
            kind: job.kind,
            args: job.args,
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
            error: job.error,
            progress: job.progress,
        }
    }
}

/// One try of a job.
#[derive(Debug, Clone, Object)]
struct JobAttempt {
    /// Which one it was, from 1; one that did not count is followed by one of the same number.
    attempt: u32,
    /// The process that ran it.
    worker: String,
    /// When it began.
    started_at: Time,
    /// When it ended.
    finished_at: Option<Time>,
    /// How it ended. `postponed` (the database was away) and `handed_back` (its worker had to stop) do not count, nor does
    /// `lost` (its worker died).
    outcome: Option<AttemptOutcome>,
    /// Why it did not succeed.
    error: Option<String>,
}

impl From<listing::JobAttempt> for JobAttempt {
    fn from(attempt: listing::JobAttempt) -> Self {
        Self {
            attempt: attempt.attempt,
            worker: attempt.worker,
            started_at: Time(attempt.started_at),
            finished_at: attempt.finished_at.map(Time),
            outcome: attempt.outcome,
            error: attempt.error,
        }
    }
}

/// A job with everything that is known of it.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(in crate::web) struct JobDetail {
    #[oai(flatten)]
    job: Job,
    /// What came of it; what is in it depends on the kind.
    result: Option<Value>,
    /// Who asked for it.
    requested_by: Option<String>,
    /// When somebody told it to stop; its worker stops it within two seconds.
    cancel_requested_at: Option<Time>,
    /// Its worker died while it was at work: it runs alone, in a process of its own, until it has ended once.
    suspect: bool,
    /// An entry for each try, the first one first.
    attempts: Vec<JobAttempt>,
}

impl JobDetail {
    /// A job and its tries.
    pub(in crate::web) fn of(job: ShownJob, attempts: Vec<listing::JobAttempt>) -> Self {
        Self {
            job: job.listed.into(),
            result: job.result,
            requested_by: job.requested_by,
            cancel_requested_at: job.cancel_requested_at.map(Time),
            suspect: job.suspect,
            attempts: attempts.into_iter().map(JobAttempt::from).collect(),
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
