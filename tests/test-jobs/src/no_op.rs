//! `no-op`: does nothing, and says when.

use std::sync::Arc;

use async_trait::async_trait;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_jobs::handler::{Handler, JobError};
use psp_jobs::job_context::Environment;
use serde_json::{Value, json};

/// Does nothing.
pub struct NoOp {
    environment: Arc<Environment>,
}

impl NoOp {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(environment: &Arc<Environment>) -> Self {
        Self { environment: Arc::clone(environment) }
    }
}

#[async_trait]
impl Handler for NoOp {
    async fn run(&self, _job: &ClaimedJob) -> Result<Value, JobError> {
        Ok(json!({"ran_at": self.environment.clock.now()}))
    }
}
