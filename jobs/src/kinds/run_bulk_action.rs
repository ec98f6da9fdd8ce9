//! `run-bulk-action`: carries out a bulk action that a person has confirmed.

use psp_dashboard::domain::bulk_action::BulkCounts;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::job::{BulkActionArgs, JobKind, RUN_BULK_ACTION};
use psp_dashboard::operations::bulk_actions::run::BulkRunner;
use serde_json::json;

use crate::handler::{JobHandler, JobResult};
use crate::job_context::JobContext;

pub struct RunBulkAction;

impl JobHandler for RunBulkAction {
    const KIND: &'static JobKind = &RUN_BULK_ACTION;
    type Args = BulkActionArgs;

    async fn run(
        context: &JobContext,
        job: &ClaimedJob,
        BulkActionArgs { bulk_action_id }: BulkActionArgs,
    ) -> JobResult {
        let JobContext { pool, redis, clock, .. } = context;
        let runner = BulkRunner { pool, redis, clock: &**clock };
        let BulkCounts { count, applied, skipped } = runner.run(&job.claim, bulk_action_id).await?;
        tracing::info!(%bulk_action_id, count, applied, skipped, "bulk action finished");
        Ok(json!({"bulk_action_id": bulk_action_id, "count": count, "applied": applied, "skipped": skipped}))
    }
}
