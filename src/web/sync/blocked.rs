//! What the live sync of a source waits for: the one that is running or queued, else the next one.

use crate::db::DbError;
use crate::db::jobs::processes::{PROCESS_TIMEOUT, count_alive};
use crate::db::jobs::waiting;
use crate::domain::job::waiting::{WaitFacts, WaitReason};
use crate::domain::job::{JobId, JobKind, KINDS};
use crate::domain::sync::SyncArgs;
use crate::domain::transaction::Source;
use crate::web::state::State;

/// The live sync of a source, as far as it waits.
pub(super) struct BlockedSync {
    /// The running or queued job; `None` if there is none.
    pub(super) job_id: Option<JobId>,
    pub(super) reasons: Vec<WaitReason>,
}

impl BlockedSync {
    pub(super) async fn find(state: &State, source: Source) -> Result<Self, DbError> {
        let pool = &state.pool;
        let kind = JobKind::sync_of(source);
        let limit_key = kind.limit_key_for(&serde_json::json!(SyncArgs::Incremental)).unwrap_or_default();
        if let Some(job_id) = waiting::find_next(pool, kind.queue, &limit_key).await?
            && let Some(facts) = waiting::find(pool, job_id, &JobKind::long_keys(KINDS.into_iter())).await?
        {
            return Ok(Self::from(&facts));
        }
        let mut reasons = waiting::find_queue(pool, kind.queue).await?.reasons();
        if count_alive(pool, PROCESS_TIMEOUT).await?.schedulers == 0 {
            reasons.push(WaitReason::NoScheduler);
        }
        Ok(Self { job_id: None, reasons })
    }

    /// Why a sync that is running reads nothing.
    pub(super) fn pause(&self) -> Option<String> {
        let is_pause =
            |reason: &&WaitReason| matches!(reason, WaitReason::LoginPause { .. } | WaitReason::RateLimit { .. });
        self.reasons.iter().find(is_pause).map(ToString::to_string)
    }
}

impl From<&WaitFacts> for BlockedSync {
    fn from(facts: &WaitFacts) -> Self {
        let reasons = facts.reasons().into_iter().filter(WaitReason::is_blocking).collect();
        Self { job_id: Some(facts.job_id), reasons }
    }
}
