//! `reconcile`: holds the payments of a day on both sides against each other.

use std::sync::Arc;

use async_trait::async_trait;
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::reconciliation::{DayArgs, NightlyArgs, ReconcileArgs};
use psp_dashboard::operations::reconcile_day::reconcile_day;
use psp_dashboard::operations::request_reconciliation::enqueue_night;
use serde_json::{Value, json};

use crate::handler::{Handler, JobError};
use crate::job_context::Environment;

/// Reconciles days.
pub struct Reconcile {
    environment: Arc<Environment>,
}

impl Reconcile {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(environment: &Arc<Environment>) -> Self {
        Self { environment: Arc::clone(environment) }
    }
}

#[async_trait]
impl Handler for Reconcile {
    async fn run(&self, job: &ClaimedJob) -> Result<Value, JobError> {
        let args: ReconcileArgs = serde_json::from_value(job.args.clone())?;
        let Environment { pool, wire, clock, reconciliation, .. } = &*self.environment;
        match args {
            ReconcileArgs::Day(DayArgs { date }) => {
                let (zone, rules) = (reconciliation.zone, &reconciliation.parameters);
                let reconciled = reconcile_day(pool, wire, &**clock, &job.claim, date, zone, rules).await?;
                tracing::info!(%date, counts = ?reconciled.counts, cases = ?reconciled.cases, "the day is reconciled");
                Ok(json!(reconciled))
            }
            ReconcileArgs::Nightly(NightlyArgs { nightly }) => {
                let (zone, revisit_days) = (reconciliation.zone, reconciliation.revisit_days);
                let requested = enqueue_night(pool, wire, &job.claim, nightly, revisit_days, zone).await?;
                Ok(json!({"runs": requested}))
            }
        }
    }
}
