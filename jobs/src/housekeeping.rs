//! `housekeeping`: clears away what is no longer needed, so that no table grows for ever.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use psp_dashboard::db::{events, exchange_rates, idempotent_requests, jobs, processes, schedule, sync_streams};
use psp_dashboard::domain::attempt::ClaimedJob;
use serde_json::{Value, json};

use crate::environment::Environment;
use crate::handler::{Handler, JobError};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const KEEP_EVENTS: Duration = DAY;
/// Longer than the nightly sweep of Vima looks back, also where it is late.
const KEEP_MARKS: Duration = Duration::from_hours(4 * 24);
const KEEP_TICKS: Duration = Duration::from_hours(30 * 24);
/// Payments of a year ago may still come, where somebody fetches old days.
const KEEP_RATES: Duration = Duration::from_hours(400 * 24);

/// Clears away.
pub struct Housekeeping {
    environment: Arc<Environment>,
}

impl Housekeeping {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(environment: &Arc<Environment>) -> Self {
        Self { environment: Arc::clone(environment) }
    }
}

#[async_trait]
impl Handler for Housekeeping {
    async fn run(&self, _job: &ClaimedJob) -> Result<Value, JobError> {
        let Environment { pool, clock, sync, retention, .. } = &*self.environment;
        let now = clock.now();
        Ok(json!({
            "events": events::prune(pool, now - KEEP_EVENTS).await?,
            "jobs": jobs::prune(pool, retention.jobs, retention.failed_jobs).await?,
            "ticks": schedule::prune_ticks(pool, now - KEEP_TICKS).await?,
            "cursor_marks": sync_streams::prune_marks(pool, KEEP_MARKS.max(sync.vima_overlap + HOUR)).await?,
            "idempotent_requests": idempotent_requests::prune(pool, now - idempotent_requests::REMEMBERED).await?,
            "exchange_rates": exchange_rates::prune(pool, now - KEEP_RATES).await?,
            "processes": processes::prune(pool, DAY).await?,
        }))
    }
}
