//! `reconcile`: holds the payments of a day on both sides against each other.

use std::sync::Arc;

use async_trait::async_trait;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::reconciliation::{DayArgs, NightlyArgs, ReconcileArgs};
use psp_dashboard::operations::reconcile_day::reconcile_day;
use psp_dashboard::operations::request_reconciliation::enqueue_nightly;
use serde_json::{Value, json};

use crate::handler::{Handler, JobError};
use crate::job_context::JobContext;

/// Reconciles days.
pub struct Reconcile {
    context: Arc<JobContext>,
}

impl Reconcile {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(context: &Arc<JobContext>) -> Self {
        Self { context: Arc::clone(context) }
    }
}

#[async_trait]
impl Handler for Reconcile {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        let args: ReconcileArgs = serde_json::from_value(job.args.clone())?;
        let JobContext { pool, redis, clock, reconciliation, .. } = &*self.context;
        match args {
            ReconcileArgs::Day(DayArgs { date }) => {
                let (zone, rules) = (reconciliation.zone, &reconciliation.parameters);
                let reconciled = reconcile_day(pool, redis, &**clock, &job.claim, date, zone, rules).await?;
                tracing::info!(%date, counts = ?reconciled.counts, cases = ?reconciled.discrepancies, "the day is reconciled");
                Ok(json!(reconciled))
            }
            ReconcileArgs::Nightly(NightlyArgs { nightly }) => {
                let (zone, revisit_days) = (reconciliation.zone, reconciliation.revisit_days);
                let requested = enqueue_nightly(pool, redis, &job.claim, nightly, revisit_days, zone).await?;
                Ok(json!({"runs": requested}))
            }
        }
    }
}
