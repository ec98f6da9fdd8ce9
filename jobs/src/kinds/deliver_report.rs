//! `deliver-report`: creates the report of a run and delivers it.

use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::job::{DELIVER_REPORT, JobKind, ReportArgs};
use psp_dashboard::operations::reports::deliver::ReportDeliverer;

use crate::handler::{JobHandler, JobResult};
use crate::job_context::JobContext;

pub struct DeliverReport;

impl JobHandler for DeliverReport {
    const KIND: &'static JobKind = &DELIVER_REPORT;
    type Args = ReportArgs;

    async fn run(context: &JobContext, job: &ClaimedJob, ReportArgs { run_id }: ReportArgs) -> JobResult {
        let JobContext { pool, redis, clock, exporter, export_store: store, channels, reports: config, .. } = context;
        let clock = &**clock;
        let deliverer = ReportDeliverer { pool, redis, clock, exporter, store, channels, config };
        Ok(deliverer.deliver(&job.claim, run_id).await?)
    }
}
