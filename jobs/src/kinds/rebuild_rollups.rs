//! `rebuild-rollups`: counts the metrics anew from the payments, and mends what is not right.

use std::sync::Arc;

use async_trait::async_trait;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::operations::rebuild_rollups::{RebuildCounts, rebuild_rollups};
use serde_json::{Value, json};

use crate::handler::{Handler, JobError};
use crate::job_context::JobContext;

/// Counts anew.
pub struct RebuildRollups {
    context: Arc<JobContext>,
}

impl RebuildRollups {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(context: &Arc<JobContext>) -> Self {
        Self { context: Arc::clone(context) }
    }
}

#[async_trait]
impl Handler for RebuildRollups {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        let JobContext { pool, redis, clock, .. } = &*self.context;
        let RebuildCounts { days, repaired_cells } = rebuild_rollups(pool, redis, &**clock, &job.claim).await?;
        tracing::info!(days, repaired_cells, "metric rollups rebuilt");
        Ok(json!({"days": days, "cells_mended": repaired_cells}))
    }
}
