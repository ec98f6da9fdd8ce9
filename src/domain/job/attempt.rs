//! Attempts: a job in the hands of a worker, and what may become of it there.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Claim, JobState, Trigger};
use crate::domain::string_enum::string_enum;

/// How often a job may kill its process while it is the only one in it. One that does so again is poison: whatever it ran
/// beside would go down with it.
pub const MAX_ISOLATED_DEATHS: u16 = 3;

/// Why a job whose worker died waits again.
pub const WORKER_DIED: &str = "its worker died; it runs again, alone in a process of its own";

/// Why a job is never run again.
pub const POISON: &str = "poison: it killed its process 3 times while it was the only job in it; look into the log of its \
                          workers and into its arguments, and retry it once its cause is mended";

/// A job that this worker may run.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimedJob {
    /// The right to write in its name.
    pub claim: Claim,
    /// The name of its kind.
    pub kind: String,
    /// What it is told.
    pub args: Value,
    /// What an earlier attempt left to go on from.
    pub checkpoint: Option<Value>,
    /// What made it.
    pub trigger: Trigger,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How many it gets.
    pub max_attempts: u32,
    /// When it was enqueued.
    pub created_at: DateTime<Utc>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The job is done.
    Succeeded(Value),
    /// The attempt failed; the next may begin after the wait.
    Retry {
        /// Why.
        error: String,
        /// How long to wait.
        after: Duration,
    },
    /// PostgreSQL was away, which is no fault of the job: it goes on after the wait, and the attempt does not count.
    Postponed {
        /// What was said.
        error: String,
        /// How long to wait.
        after: Duration,
    },
    /// The job has failed for good.
    Failed(String),
    /// The worker has to stop: another takes the job over, and the attempt does not count.
    HandedBack,
    /// Somebody told the job to stop.
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

    /// Where the job stands afterwards, unless somebody has told it to stop meanwhile.
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

    /// How long the job waits before it is due again.
    #[must_use]
    pub fn wait(&self) -> Duration {
        match self {
            Self::Retry { after, .. } | Self::Postponed { after, .. } => *after,
            _ => Duration::ZERO,
        }
    }

    /// Why it did not succeed.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Self::Retry { error, .. } | Self::Postponed { error, .. } | Self::Failed(error) => Some(error),
            Self::Succeeded(_) | Self::HandedBack | Self::Cancelled => None,
        }
    }

    /// What came of it.
    #[must_use]
    pub fn result(&self) -> Option<&Value> {
        match self {
            Self::Succeeded(result) => Some(result),
            _ => None,
        }
    }

    /// Whether the attempt is one of those that the job gets. What the job is not to blame for costs it none.
    #[must_use]
    pub fn counts(&self) -> bool {
        !matches!(self, Self::Postponed { .. } | Self::HandedBack)
    }
}

string_enum! {
    /// How an attempt ended, as the jobs table records it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum AttemptOutcome {
        /// The job was done.
        Succeeded = "succeeded",
        /// It failed, and another was to follow.
        Retried = "retried",
        /// PostgreSQL was away: it did not count.
        Postponed = "postponed",
        /// It failed, and the job with it.
        Failed = "failed",
        /// Somebody had told the job to stop.
        Cancelled = "cancelled",
        /// Its worker had to stop: it did not count.
        HandedBack = "handed_back",
        /// Its worker died.
        Lost = "lost",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_job_is_not_to_blame_for_costs_no_attempt() {
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
    fn the_text_of_the_poison_tells_the_number() {
        assert!(POISON.contains(&format!("{MAX_ISOLATED_DEATHS} times")));
    }
}
