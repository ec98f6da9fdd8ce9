//! `replay-quarantine`: reads what could not be read again, after the program or its settings have learnt to.

use std::sync::Arc;

use async_trait::async_trait;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::replay::Replay;
use psp_dashboard::operations::replay_quarantine::replay_quarantine;
use serde_json::{Value, json};

use crate::handler::{Handler, JobError};
use crate::job_context::Environment;

/// Reads the quarantine again.
pub struct ReplayQuarantine {
    environment: Arc<Environment>,
}

impl ReplayQuarantine {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(environment: &Arc<Environment>) -> Self {
        Self { environment: Arc::clone(environment) }
    }
}

#[async_trait]
impl Handler for ReplayQuarantine {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        let replay: Replay = serde_json::from_value(job.args.clone())?;
        let Environment { pool, wire, clock, rates, payshack, .. } = &*self.environment;
        let replayed = replay_quarantine(pool, wire, &**clock, rates, payshack.projects(), &job.claim, replay).await?;
        tracing::info!(?replayed, "the quarantine was read again");
        Ok(json!(replayed))
    }
}
