//! `no-op`: does nothing, and returns the time.

use psp_dashboard::domain::job::JobKind;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_jobs::handler::{JobHandler, JobResult, NoArgs};
use psp_jobs::job_context::JobContext;
use serde_json::json;

use crate::kinds::NO_OP;

pub struct NoOp;

impl JobHandler for NoOp {
    const KIND: &'static JobKind = &NO_OP;
    type Args = NoArgs;

    async fn run(context: &JobContext, _job: &ClaimedJob, _args: NoArgs) -> JobResult {
        Ok(json!({"ran_at": context.clock.now()}))
    }
}
