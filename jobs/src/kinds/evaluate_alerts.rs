//! `evaluate-alerts`: evaluates the alert rules, every minute.

use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::job::{EVALUATE_ALERTS, JobKind};
use psp_dashboard::operations::alerts::evaluate::AlertEvaluator;
use serde_json::json;

use crate::handler::{JobHandler, JobResult, NoArgs};
use crate::job_context::JobContext;

pub struct EvaluateAlerts;

impl JobHandler for EvaluateAlerts {
    const KIND: &'static JobKind = &EVALUATE_ALERTS;
    type Args = NoArgs;

    async fn run(context: &JobContext, job: &ClaimedJob, _args: NoArgs) -> JobResult {
        let JobContext { pool, redis, clock, channels, .. } = context;
        let channels = channels.configured();
        let evaluator = AlertEvaluator { pool, redis, channels: &channels };
        Ok(json!(evaluator.evaluate(&job.claim, clock.now()).await?))
    }
}
