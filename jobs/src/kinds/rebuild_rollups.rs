//! `rebuild-rollups`: recalculates the metric rollups from the payments, and repairs those that are wrong.

use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::job::{JobKind, REBUILD_ROLLUPS};
use psp_dashboard::operations::rebuild_rollups::{RebuildCounts, rebuild_rollups};
use serde_json::json;

use crate::handler::{JobHandler, JobResult, NoArgs};
use crate::job_context::JobContext;

pub struct RebuildRollups;

impl JobHandler for RebuildRollups {
    const KIND: &'static JobKind = &REBUILD_ROLLUPS;
    type Args = NoArgs;

    async fn run(context: &JobContext, job: &ClaimedJob, _args: NoArgs) -> JobResult {
        let JobContext { pool, redis, clock, .. } = context;
        let RebuildCounts { days, repaired_cells } = rebuild_rollups(pool, redis, &**clock, &job.claim).await?;
        tracing::info!(days, repaired_cells, "metric rollups rebuilt");
        Ok(json!({"days": days, "cells_mended": repaired_cells}))
    }
}
