//! Actions on everything that matches a filter: what there is to do, what becomes of each item, and how far an action is.

use std::time::Duration;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::discrepancy::DiscrepancyState;
use super::job::JobState;
use super::string_enum::string_enum;
use super::triage::TriageUpdate;

/// How long a preview can be confirmed: long enough to read it, too short to forget what it was about.
pub const PREVIEW_TIME: Duration = Duration::from_mins(15);

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum BulkActionKind {
        RetryJobs = "retry_jobs",
        CancelJobs = "cancel_jobs",
        UpdateDiscrepancies = "update_discrepancies",
    }
}

/// What is done to each item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BulkAction {
    RetryJobs,
    CancelJobs,
    UpdateDiscrepancies(TriageUpdate),
}

impl BulkAction {
    #[must_use]
    pub fn kind(&self) -> BulkActionKind {
        match self {
            Self::RetryJobs => BulkActionKind::RetryJobs,
            Self::CancelJobs => BulkActionKind::CancelJobs,
            Self::UpdateDiscrepancies(_) => BulkActionKind::UpdateDiscrepancies,
        }
    }

    /// How many items one transaction changes: so few that no one waits long for their locks.
    #[must_use]
    pub fn batch_size(&self) -> u32 {
        match self {
            // Each takes some statements.
            Self::RetryJobs | Self::CancelJobs => 100,
            Self::UpdateDiscrepancies(_) => 500,
        }
    }

    /// The states of the jobs that it is possible for.
    #[must_use]
    pub fn job_states(&self) -> &'static [JobState] {
        use JobState::{Cancelled, Failed, Queued, Retrying, Running, Scheduled};
        match self {
            Self::RetryJobs => &[Failed, Cancelled, Scheduled, Retrying],
            Self::CancelJobs => &[Queued, Scheduled, Retrying, Running],
            Self::UpdateDiscrepancies(_) => &[],
        }
    }

    /// The states of the discrepancies that it is possible for.
    #[must_use]
    pub fn discrepancy_states(&self) -> Vec<DiscrepancyState> {
        let Self::UpdateDiscrepancies(update) = self else { return vec![] };
        let is_possible = |from: &DiscrepancyState| update.state.is_none_or(|to| from.transition_to(to).is_ok());
        DiscrepancyState::ALL.into_iter().filter(is_possible).collect()
    }
}

string_enum! {
    /// Why an item was left as it is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum SkipReason {
        /// Since the preview.
        Changed = "changed",
        /// It does not exist any more, or the key may not see it any more.
        Gone = "gone",
        /// It had the requested values already.
        NoChange = "no_change",
        /// The action on it was refused.
        Refused = "refused",
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedItem {
    pub id: Uuid,
    pub reason: SkipReason,
    /// For people.
    pub detail: String,
}

impl SkippedItem {
    #[must_use]
    pub fn changed(id: Uuid) -> Self {
        Self { id, reason: SkipReason::Changed, detail: "it has changed since the preview".to_owned() }
    }

    #[must_use]
    pub fn gone(id: Uuid) -> Self {
        Self {
            id,
            reason: SkipReason::Gone,
            detail: "it does not exist any more, or not in the projects of the key".to_owned(),
        }
    }

    #[must_use]
    pub fn no_change(id: Uuid) -> Self {
        Self { id, reason: SkipReason::NoChange, detail: "it had these values already".to_owned() }
    }

    #[must_use]
    pub fn refused(id: Uuid, detail: String) -> Self {
        Self { id, reason: SkipReason::Refused, detail }
    }
}

/// How many items there are, and what became of them so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BulkCounts {
    pub count: u64,
    pub applied: u64,
    pub skipped: u64,
}

impl BulkCounts {
    #[must_use]
    pub fn remaining(self) -> u64 {
        self.count.saturating_sub(self.applied + self.skipped)
    }
}

string_enum! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum BulkActionState {
        /// Can be confirmed.
        Preview = "preview",
        /// Was not confirmed in time.
        Expired = "expired",
        /// Its job waits or runs.
        Running = "running",
        /// Every item was changed or skipped.
        Finished = "finished",
        /// A person has stopped it.
        Cancelled = "cancelled",
        /// Its job has failed.
        Failed = "failed",
    }
}

impl BulkActionState {
    /// `job` is the state of its job; `None` if it has none, or had one that was deleted.
    #[must_use]
    pub fn new(times: BulkTimes, job: Option<JobState>, now: DateTime<Utc>) -> Self {
        match (times, job) {
            (BulkTimes { finished_at: Some(_), .. }, _) => Self::Finished,
            (BulkTimes { confirmed_at: None, expires_at, .. }, _) if expires_at <= now => Self::Expired,
            (BulkTimes { confirmed_at: None, .. }, _) => Self::Preview,
            (_, Some(JobState::Cancelled)) => Self::Cancelled,
            (_, None | Some(JobState::Failed)) => Self::Failed,
            // One that has succeeded has finished the action in a transaction before.
            (_, Some(_)) => Self::Running,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkTimes {
    pub expires_at: DateTime<Utc>,
    pub confirmed_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_follows_from_the_times_and_the_job() {
        use BulkActionState::{Cancelled, Expired, Failed, Finished, Preview, Running};
        let at = |minute: i64| DateTime::UNIX_EPOCH + chrono::Duration::minutes(minute);
        for (confirmed_at, finished_at, job, now, expected) in [
            (None, None, None, 14, Preview),
            (None, None, None, 15, Expired),
            (Some(1), None, Some(JobState::Queued), 20, Running),
            (Some(1), None, Some(JobState::Retrying), 20, Running),
            (Some(1), None, Some(JobState::Cancelled), 20, Cancelled),
            (Some(1), None, Some(JobState::Failed), 20, Failed),
            (Some(1), None, None, 20, Failed),
            (Some(1), Some(2), Some(JobState::Running), 20, Finished),
            (Some(1), Some(2), None, 20, Finished),
        ] {
            let (confirmed_at, finished_at) = (confirmed_at.map(at), finished_at.map(at));
            let times = BulkTimes { expires_at: at(15), confirmed_at, finished_at };
            assert_eq!(BulkActionState::new(times, job, at(now)), expected, "{times:?} {job:?}");
        }
    }

    #[test]
    fn only_items_whose_state_allows_the_action_are_selected() {
        use DiscrepancyState::{Acknowledged, AutoResolved, Ignored, Open, Resolved};
        let states = |state| {
            BulkAction::UpdateDiscrepancies(TriageUpdate { state, ..TriageUpdate::default() }).discrepancy_states()
        };
        assert_eq!(states(None), DiscrepancyState::ALL);
        assert_eq!(states(Some(Resolved)), [Open, Acknowledged, Resolved]);
        assert_eq!(states(Some(Open)), [Open, Acknowledged, Resolved, Ignored, AutoResolved]);
        for action in [BulkAction::RetryJobs, BulkAction::CancelJobs] {
            assert!(!action.job_states().contains(&JobState::Succeeded), "{action:?}");
        }
        assert!(BulkAction::CancelJobs.job_states().iter().all(|state| !state.is_finished()));
    }
}
