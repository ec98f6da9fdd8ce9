//! `run-report-schedules`: turns the times of report schedules that have come into runs, every minute.

use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::job::{JobKind, RUN_REPORT_SCHEDULES};
use psp_dashboard::operations::reports::plan::ReportPlanner;
use serde_json::json;

use crate::handler::{JobHandler, JobResult, NoArgs};
use crate::job_context::JobContext;

pub struct RunReportSchedules;

impl JobHandler for RunReportSchedules {
    const KIND: &'static JobKind = &RUN_REPORT_SCHEDULES;
    type Args = NoArgs;

    async fn run(context: &JobContext, job: &ClaimedJob, _args: NoArgs) -> JobResult {
        let JobContext { pool, redis, clock, .. } = context;
        Ok(json!(ReportPlanner { pool, redis }.plan(&job.claim, clock.now()).await?))
    }
}
