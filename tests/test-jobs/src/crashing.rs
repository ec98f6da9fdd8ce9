//! `crashing`: ends its process without a goodbye, as memory that runs out or a fault in a C library would.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_jobs::handler::{Handler, JobError};
use psp_jobs::job_context::JobContext;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::effects;

/// What a job is told.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Args {
    /// How many of its claims end in a crash; every one, where it is not said. After them it has its effect.
    pub crashes: Option<i64>,
    /// How long it takes to crash, in milliseconds.
    #[serde(default)]
    pub after_ms: u64,
}

/// Kills the process that it runs in.
pub struct Crashing {
    context: Arc<JobContext>,
}

impl Crashing {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(context: &Arc<JobContext>) -> Self {
        Self { context: Arc::clone(context) }
    }
}

#[async_trait]
impl Handler for Crashing {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        let Args { crashes, after_ms } = serde_json::from_value(job.args.clone())?;
        // Epochs count claims, whatever a crash does to the count of attempts.
        if crashes.is_none_or(|crashes| job.claim.epoch <= crashes) {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            std::process::abort();
        }
        effects::have(&self.context.pool, &job.claim).await?;
        Ok(json!({}))
    }
}
