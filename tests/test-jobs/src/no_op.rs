//! `no-op`: does nothing, and says when.

use std::sync::Arc;

use async_trait::async_trait;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_jobs::handler::{Handler, JobError};
use psp_jobs::job_context::JobContext;
use serde_json::{Value, json};

/// Does nothing.
pub struct NoOp {
    context: Arc<JobContext>,
}

impl NoOp {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(context: &Arc<JobContext>) -> Self {
        Self { context: Arc::clone(context) }
    }
}

#[async_trait]
impl Handler for NoOp {
    async fn run(&self, _job: &ClaimedJob) -> Result<Value, JobError> {
        Ok(json!({"ran_at": self.context.clock.now()}))
    }
}
