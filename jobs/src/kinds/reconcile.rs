//! `reconcile`: reconciles one day, or enqueues the days of a night.

use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::job::{JobKind, RECONCILE};
use psp_dashboard::domain::reconciliation::{DayArgs, NightlyArgs, ReconcileArgs};
use psp_dashboard::operations::reconcile_day::reconcile_day;
use psp_dashboard::operations::request_reconciliation::{enqueue_nightly, find_enqueued};
use serde_json::json;

use crate::handler::{JobHandler, JobResult};
use crate::job_context::JobContext;

pub struct Reconcile;

impl JobHandler for Reconcile {
    const KIND: &'static JobKind = &RECONCILE;
    type Args = ReconcileArgs;

    async fn run(context: &JobContext, job: &ClaimedJob, args: ReconcileArgs) -> JobResult {
        let JobContext { pool, redis, clock, reconciliation, .. } = context;
        let zone = reconciliation.zone;
        match args {
            ReconcileArgs::Day(DayArgs { date }) => {
                let rules = &reconciliation.parameters;
                let reconciled = reconcile_day(pool, redis, &**clock, &job.claim, date, zone, rules).await?;
                tracing::info!(%date, counts = ?reconciled.counts, cases = ?reconciled.discrepancies, "day reconciled");
                Ok(json!(reconciled))
            }
            ReconcileArgs::Nightly(NightlyArgs { nightly }) => {
                let revisit_days = reconciliation.revisit_days;
                let requested = match find_enqueued(job) {
                    Some(requested) => requested,
                    None => enqueue_nightly(pool, redis, &job.claim, nightly, revisit_days, zone).await?,
                };
                Ok(json!({"runs": requested}))
            }
        }
    }
}
