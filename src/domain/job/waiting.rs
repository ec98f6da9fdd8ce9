//! Why a job waits.
//!
//! The conditions are those of the statement that claims jobs (`db/jobs/claims`), so that a job without a reason is claimed at
//! once. All reasons that hold are listed, the one to look at first before the others. Rejected: a reason that the worker stores
//! with the job. No worker looks at a job that it may not claim, and where none is alive, none could say so.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};

use super::{JobId, JobKind, JobState, SYNC_PAYSHACK_METADATA};
use crate::domain::string_enum::string_enum;
use crate::domain::transaction::Source;

/// More jobs that come first are not counted.
pub const MAX_COUNTED: i64 = 1_000;

/// What decides why a job waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitFacts {
    pub job_id: JobId,
    pub kind: String,
    pub state: JobState,
    pub due_at: DateTime<Utc>,
    pub is_due: bool,
    /// Why the last attempt failed.
    pub error: Option<String>,
    pub is_suspect: bool,
    pub queue: QueueFacts,
    /// The running job with the same limit.
    pub limit_held_by: Option<JobId>,
    /// Due jobs that the workers of the queue claim first, at most [`MAX_COUNTED`].
    pub ahead: u64,
    /// When the lease of a running job has ended without being renewed.
    pub lease_ended_at: Option<DateTime<Utc>>,
    /// Which pauses of providers last.
    pub pauses: Vec<ProviderPause>,
}

/// Whether a queue's jobs can be claimed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueFacts {
    /// The queue's name.
    pub name: String,
    pub paused_at: Option<DateTime<Utc>>,
    pub paused_by: Option<String>,
    /// Live workers that serve the queue.
    pub workers: u64,
    /// How many jobs they run at a time; `None` if one of them does not say.
    pub slots: Option<u64>,
    /// The jobs that they have claimed.
    pub claimed: u64,
}

/// Requests to a provider that wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderPause {
    pub provider: Source,
    pub reason: PauseReason,
    pub until: DateTime<Utc>,
    /// Why the provider refused the login.
    pub message: Option<String>,
}

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum PauseReason {
        /// The provider refused a login.
        Login = "login",
        RateLimit = "rate_limit",
    }
}

string_enum! {
    /// The kind of a [`WaitReason`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum WaitCode {
        QueuePaused = "queue_paused",
        NoWorker = "no_worker",
        NoScheduler = "no_scheduler",
        NotDue = "not_due",
        Retry = "retry",
        Limit = "limit",
        Isolation = "isolation",
        UrgentJobs = "urgent_jobs",
        FreeSlot = "free_slot",
        Rescue = "rescue",
        LoginPause = "login_pause",
        RateLimit = "rate_limit",
    }
}

/// What a job waits for. Its text is a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitReason {
    QueuePaused {
        queue: String,
        since: DateTime<Utc>,
        by: String,
    },
    /// No live worker serves the queue.
    NoWorker {
        queue: String,
    },
    /// No live scheduler enqueues the next job.
    NoScheduler,
    NotDue {
        at: DateTime<Utc>,
    },
    /// The last attempt failed.
    Retry {
        at: DateTime<Utc>,
        error: String,
    },
    /// Another job with the same limit is running.
    Limit {
        held_by: JobId,
    },
    /// Its worker died, so that it runs alone in a process, after so many others.
    Isolation {
        ahead: u64,
    },
    UrgentJobs {
        ahead: u64,
    },
    /// Nothing but a worker that claims it.
    FreeSlot {
        claimed: u64,
        slots: Option<u64>,
    },
    /// A running job whose worker died.
    Rescue {
        since: DateTime<Utc>,
    },
    /// A running job that needs a session of the provider, which refused the last login.
    LoginPause {
        provider: Source,
        until: DateTime<Utc>,
        message: String,
    },
    RateLimit {
        provider: Source,
        until: DateTime<Utc>,
    },
}

impl WaitFacts {
    /// Why the job waits; nothing if it does not, or if it has finished.
    #[must_use]
    pub fn reasons(&self) -> Vec<WaitReason> {
        match self.state {
            JobState::Succeeded | JobState::Failed | JobState::Cancelled => vec![],
            JobState::Running => self.reasons_of_running(),
            JobState::Queued | JobState::Scheduled | JobState::Retrying => self.reasons_of_waiting(),
        }
    }

    fn reasons_of_running(&self) -> Vec<WaitReason> {
        if let Some(since) = self.lease_ended_at {
            return vec![WaitReason::Rescue { since }];
        }
        let provider = provider_of(&self.kind);
        self.pauses.iter().filter(|pause| Some(pause.provider) == provider).map(WaitReason::from).collect()
    }

    fn reasons_of_waiting(&self) -> Vec<WaitReason> {
        let mut reasons = self.queue.reasons();
        if !self.is_due {
            reasons.push(self.not_due());
            return reasons;
        }
        reasons.extend(self.limit_held_by.map(|held_by| WaitReason::Limit { held_by }));
        if self.is_suspect {
            reasons.push(WaitReason::Isolation { ahead: self.ahead });
        } else if self.ahead > 0 {
            reasons.push(WaitReason::UrgentJobs { ahead: self.ahead });
        }
        if reasons.is_empty() {
            reasons.push(WaitReason::FreeSlot { claimed: self.queue.claimed, slots: self.queue.slots });
        }
        reasons
    }

    fn not_due(&self) -> WaitReason {
        let at = self.due_at;
        match (self.state, &self.error) {
            (JobState::Retrying, Some(error)) => WaitReason::Retry { at, error: error.clone() },
            _ => WaitReason::NotDue { at },
        }
    }
}

impl QueueFacts {
    /// Why none of the queue's jobs is claimed; nothing if they are.
    #[must_use]
    pub fn reasons(&self) -> Vec<WaitReason> {
        let queue = || self.name.clone();
        let paused = self.paused_at.map(|since| {
            let by = self.paused_by.clone().unwrap_or_default();
            WaitReason::QueuePaused { queue: queue(), since, by }
        });
        let no_worker = (self.workers == 0).then(|| WaitReason::NoWorker { queue: queue() });
        paused.into_iter().chain(no_worker).collect()
    }
}

/// The provider whose session and rate limit the kind uses.
fn provider_of(kind: &str) -> Option<Source> {
    if kind == SYNC_PAYSHACK_METADATA.name { Some(Source::Payshack) } else { JobKind::source_of(kind) }
}

impl From<&ProviderPause> for WaitReason {
    fn from(pause: &ProviderPause) -> Self {
        let ProviderPause { provider, reason, until, message } = pause.clone();
        match reason {
            PauseReason::Login => Self::LoginPause { provider, until, message: message.unwrap_or_default() },
            PauseReason::RateLimit => Self::RateLimit { provider, until },
        }
    }
}

impl WaitReason {
    #[must_use]
    pub fn code(&self) -> WaitCode {
        match self {
            Self::QueuePaused { .. } => WaitCode::QueuePaused,
            Self::NoWorker { .. } => WaitCode::NoWorker,
            Self::NoScheduler => WaitCode::NoScheduler,
            Self::NotDue { .. } => WaitCode::NotDue,
            Self::Retry { .. } => WaitCode::Retry,
            Self::Limit { .. } => WaitCode::Limit,
            Self::Isolation { .. } => WaitCode::Isolation,
            Self::UrgentJobs { .. } => WaitCode::UrgentJobs,
            Self::FreeSlot { .. } => WaitCode::FreeSlot,
            Self::Rescue { .. } => WaitCode::Rescue,
            Self::LoginPause { .. } => WaitCode::LoginPause,
            Self::RateLimit { .. } => WaitCode::RateLimit,
        }
    }

    /// The job that has to end first.
    #[must_use]
    pub fn job_id(&self) -> Option<JobId> {
        match self {
            Self::Limit { held_by } => Some(*held_by),
            _ => None,
        }
    }

    /// Since when, or until when.
    #[must_use]
    pub fn at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::QueuePaused { since: at, .. }
            | Self::Rescue { since: at }
            | Self::NotDue { at }
            | Self::Retry { at, .. }
            | Self::LoginPause { until: at, .. }
            | Self::RateLimit { until: at, .. } => Some(*at),
            _ => None,
        }
    }

    /// How many jobs come first.
    #[must_use]
    pub fn count(&self) -> Option<u64> {
        match self {
            Self::Isolation { ahead } | Self::UrgentJobs { ahead } => Some(*ahead),
            _ => None,
        }
    }

    /// Whether it may last: not if a worker claims the job within a second.
    #[must_use]
    pub fn is_blocking(&self) -> bool {
        !matches!(self, Self::FreeSlot { claimed, slots } if slots.is_none_or(|slots| *claimed < slots))
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueuePaused { queue, since, by } => {
                write!(out, "{by} paused the queue {queue} at {}; resume it", time(since))
            }
            Self::NoWorker { queue } => write!(out, "no live worker serves the queue {queue}; start one"),
            Self::NoScheduler => out.write_str("no live scheduler enqueues the next job; start one"),
            Self::NotDue { at } => write!(out, "it is due at {}", time(at)),
            Self::Retry { at, error } => {
                write!(out, "the next attempt is due at {}; the last one failed: {error}", time(at))
            }
            Self::Limit { held_by } => {
                write!(out, "job {held_by} is running, and only one of the two may run at a time")
            }
            Self::Isolation { ahead } => {
                let others = jobs(*ahead);
                write!(
                    out,
                    "its worker died, so it runs again in a process of its own, one at a time; {others} before it"
                )
            }
            Self::UrgentJobs { ahead } => {
                write!(out, "{} that are more urgent, or were due earlier, start first", jobs(*ahead))
            }
            Self::FreeSlot { claimed, slots: Some(slots) } => {
                write!(
                    out,
                    "a worker starts it as soon as it has a free slot; {claimed} jobs are claimed for {slots} slots"
                )
            }
            Self::FreeSlot { .. } => out.write_str("a worker starts it as soon as it has a free slot"),
            Self::Rescue { since } => {
                write!(
                    out,
                    "its worker has not renewed the lease, which ended at {}; another one takes it over",
                    time(since)
                )
            }
            Self::LoginPause { provider, until, message } => {
                let until = time(until);
                write!(
                    out,
                    "{provider} refused the login ({message}); no login before {until}, so that the account is not locked"
                )
            }
            Self::RateLimit { provider, until } => {
                write!(out, "the rate limit of {provider} allows the next request at {}", time(until))
            }
        }
    }
}

fn time(at: &DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn jobs(count: u64) -> String {
    match count {
        1 => "1 job".to_owned(),
        count if count >= MAX_COUNTED.unsigned_abs() => format!("{count} or more jobs"),
        count => format!("{count} jobs"),
    }
}

#[cfg(test)]
mod tests;
