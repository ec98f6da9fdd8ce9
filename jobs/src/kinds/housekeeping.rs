//! `housekeeping`: clears away what is no longer needed, so that no table grows for ever.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use psp_dashboard::db::access::{audit, idempotent_requests};
use psp_dashboard::db::jobs::{processes, schedule_ticks};
use psp_dashboard::db::sync::{quarantine, streams};
use psp_dashboard::db::transactions::exchange_rates;
use psp_dashboard::db::{DbError, events, exports, jobs};
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::operations::export::run::prune_files;
use serde_json::{Value, json};

use crate::handler::{Handler, JobError};
use crate::job_context::JobContext;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const KEEP_EVENTS: Duration = DAY;
/// Longer than the nightly sweep of Vima looks back, also where it is late.
const KEEP_MARKS: Duration = Duration::from_hours(4 * 24);
const KEEP_TICKS: Duration = Duration::from_hours(30 * 24);
/// A record that could not be read may be a payment that nobody has; it may also name a payer, which nobody should keep for
/// ever. As long as a quarter for somebody to look, and then the log says what went.
const KEEP_QUARANTINE: Duration = Duration::from_hours(90 * 24);
/// Payments of a year ago may still come, where somebody fetches old days.
const KEEP_RATES: Duration = Duration::from_hours(400 * 24);

/// Long after the file: whoever asks for it is told that it is gone.
const KEEP_EXPORTS: Duration = Duration::from_hours(30 * 24);
/// Whoever has to account for what left looks back over a year and its audit.
const KEEP_AUDIT: Duration = Duration::from_hours(500 * 24);

/// Clears away.
pub struct Housekeeping {
    context: Arc<JobContext>,
}

impl Housekeeping {
    /// A handler in `environment`.
    #[must_use]
    pub fn new(context: &Arc<JobContext>) -> Self {
        Self { context: Arc::clone(context) }
    }

    /// Clears away what was not met since `time`, and says each in the log: nothing goes unsaid.
    async fn prune_quarantine(&self, time: DateTime<Utc>) -> Result<usize, DbError> {
        let pruned = quarantine::prune(&self.context.pool, time).await?;
        for entry in &pruned {
            let quarantine::QuarantineEntry {
                id, source, kind, source_id, reason, first_seen_at, last_seen_at, ..
            } = entry;
            let kind = kind.as_str();
            tracing::warn!(
                %id, %source, kind, source_id, reason, %first_seen_at, %last_seen_at,
                "a record that could not be read was kept for 90 days since it last came, and is cleared away"
            );
        }
        Ok(pruned.len())
    }
}

#[async_trait]
impl Handler for Housekeeping {
    async fn run(&self, _job: &ClaimedJob) -> Result<Value, JobError> {
        let JobContext { pool, clock, sync, retention, files, .. } = &*self.context;
        let now = clock.now();
        Ok(json!({
            "events": events::prune(pool, now - KEEP_EVENTS).await?,
            "jobs": jobs::prune(pool, retention.jobs, retention.failed_jobs).await?,
            "ticks": schedule_ticks::prune(pool, now - KEEP_TICKS).await?,
            "cursor_marks": streams::prune_marks(pool, KEEP_MARKS.max(sync.vima_overlap + HOUR)).await?,
            "idempotent_requests": idempotent_requests::prune(pool, now - idempotent_requests::REMEMBERED).await?,
            "exchange_rates": exchange_rates::prune(pool, now - KEEP_RATES).await?,
            "exports": exports::prune(pool, now - KEEP_EXPORTS).await?,
            "audit": audit::prune(pool, now - KEEP_AUDIT).await?,
            "processes": processes::prune(pool, DAY).await?,
            "quarantine": self.prune_quarantine(now - KEEP_QUARANTINE).await?,
            // Last, for a store of files may be away while the database is there.
            "export_files": prune_files(files, now).await?,
        }))
    }
}
