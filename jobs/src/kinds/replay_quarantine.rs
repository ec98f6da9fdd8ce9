//! `replay-quarantine`: reads what could not be read again, after the program or its settings have learnt to.

use std::sync::Arc;

use async_trait::async_trait;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::replay::Replay;
use psp_dashboard::operations::replay_quarantine::replay_quarantine;
use serde_json::{Value, json};

use crate::handler::{Handler, JobError};
use crate::job_context::JobContext;

/// Reads the quarantine again.
pub struct ReplayQuarantine {
    context: Arc<JobContext>,
}

impl ReplayQuarantine {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(context: &Arc<JobContext>) -> Self {
        Self { context: Arc::clone(context) }
    }
}

#[async_trait]
impl Handler for ReplayQuarantine {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        let replay: Replay = serde_json::from_value(job.args.clone())?;
        let JobContext { pool, redis, clock, rates, payshack, .. } = &*self.context;
        let replayed = replay_quarantine(pool, redis, &**clock, rates, payshack.projects(), &job.claim, replay).await?;
        tracing::info!(?replayed, "the quarantine was read again");
        Ok(json!(replayed))
    }
}
