//! Attempts of jobs, and their outcomes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Claim, JobState, Trigger};
use crate::domain::string_enum::string_enum;
use crate::domain::trace::TraceContext;

/// A job that kills its process this often while it is the only job in it is poison, and is never run again: it would
/// kill the jobs that run beside it.
pub const MAX_ISOLATED_DEATHS: u16 = 3;

/// The error of an attempt whose worker died.
pub const WORKER_DIED: &str = "its worker died; it runs again, isolated in a process of its own";

/// The error of a poison job.
pub const POISON: &str = "poison: it killed its process 3 times while it was the only job in it; check the log of its \
                          workers and its arguments, fix the cause, then retry it";

/// A job that this worker has claimed.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedJob {
    pub claim: Claim,
    pub kind: String,
    pub args: Value,
    /// The progress of an earlier attempt, from which this one resumes.
    pub checkpoint: Option<Value>,
    pub trigger: Trigger,
    /// From 1.
    pub attempt: u32,
    pub max_attempts: u32,
    pub created_at: DateTime<Utc>,
    /// Since when it could run.
    pub due_at: DateTime<Utc>,
    /// What enqueued it; `None` if a release without traces did.
    pub trace: Option<TraceContext>,
}

/// The end of an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// With the result of the job.
    Succeeded(Value),
    /// The attempt failed; the next one is due after the delay.
    Retry { error: String, after: Duration },
    /// PostgreSQL was unavailable. The job did not cause this: it continues after the delay, and the attempt does not count.
    Postponed { error: String, after: Duration },
    /// The job failed and is not retried.
    Failed(String),
    /// The worker is shutting down: another worker takes over the job, and the attempt does not count.
    HandedBack,
    /// A person cancelled the job.
    Cancelled,
}

impl Outcome {
    /// The name of the [`AttemptOutcome`].
    #[must_use]
    pub fn name(&self) -> &'static str {
        let recorded = match self {
            Self::Succeeded(_) => AttemptOutcome::Succeeded,
            Self::Retry { .. } => AttemptOutcome::Retried,
            Self::Postponed { .. } => AttemptOutcome::Postponed,
            Self::Failed(_) => AttemptOutcome::Failed,
            Self::HandedBack => AttemptOutcome::HandedBack,
            Self::Cancelled => AttemptOutcome::Cancelled,
        };
        recorded.as_str()
    }

    /// The state of the job afterwards, unless it has been cancelled in the meantime.
    #[must_use]
    pub fn next_state(&self) -> JobState {
        match self {
            Self::Succeeded(_) => JobState::Succeeded,
            Self::Retry { .. } | Self::Postponed { .. } => JobState::Retrying,
            Self::Failed(_) => JobState::Failed,
            Self::HandedBack => JobState::Queued,
            Self::Cancelled => JobState::Cancelled,
        }
    }

    /// The time until the job is due again.
    #[must_use]
    pub fn wait(&self) -> Duration {
        match self {
            Self::Retry { after, .. } | Self::Postponed { after, .. } => *after,
            _ => Duration::ZERO,
        }
    }

    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Retry { error, .. } | Self::Postponed { error, .. } | Self::Failed(error) => Some(error),
            Self::Succeeded(_) | Self::HandedBack | Self::Cancelled => None,
        }
    }

    #[must_use]
    pub fn result(&self) -> Option<&Value> {
        match self {
            Self::Succeeded(result) => Some(result),
            _ => None,
        }
    }

    /// Whether the attempt counts towards the maximum. Failures that the job did not cause do not.
    #[must_use]
    pub fn counts(&self) -> bool {
        !matches!(self, Self::Postponed { .. } | Self::HandedBack)
    }
}

string_enum! {
    /// The end of an attempt as recorded in the jobs table: that of an [`Outcome`], or `Lost`.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum AttemptOutcome {
        Succeeded = "succeeded",
        /// It failed, and another attempt follows.
        Retried = "retried",
        /// PostgreSQL was unavailable; the attempt does not count.
        Postponed = "postponed",
        /// It failed, and so did the job.
        Failed = "failed",
        Cancelled = "cancelled",
        /// Its worker was shut down; the attempt does not count.
        HandedBack = "handed_back",
        Lost = "lost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_not_caused_by_the_job_do_not_count() {
        let (error, after) = ("no answer".to_owned(), Duration::from_secs(2));
        for (outcome, state, counts) in [
            (Outcome::Succeeded(Value::Null), JobState::Succeeded, true),
            (Outcome::Retry { error: error.clone(), after }, JobState::Retrying, true),
            (Outcome::Postponed { error: error.clone(), after }, JobState::Retrying, false),
            (Outcome::Failed(error), JobState::Failed, true),
            (Outcome::HandedBack, JobState::Queued, false),
            (Outcome::Cancelled, JobState::Cancelled, true),
        ] {
            assert_eq!((outcome.next_state(), outcome.counts()), (state, counts), "{outcome:?}");
        }
    }

    #[test]
    fn poison_message_contains_the_number_of_deaths() {
        assert!(POISON.contains(&format!("{MAX_ISOLATED_DEATHS} times")));
    }
}
