//! `housekeeping`: deletes what is no longer needed, so that no table grows without limit.

use std::time::Duration;

use chrono::{DateTime, Utc};
use psp_dashboard::db::access::{audit, idempotent_requests};
use psp_dashboard::db::jobs::{processes, schedule_ticks};
use psp_dashboard::db::sync::{quarantine, streams};
use psp_dashboard::db::transactions::exchange_rates;
use psp_dashboard::db::{DbError, events, exports, jobs};
use psp_dashboard::domain::job::attempt::ClaimedJob;
use psp_dashboard::domain::job::{HOUSEKEEPING, JobKind};
use psp_dashboard::operations::export::run::prune_files;
use serde_json::json;
use sqlx::PgPool;

use crate::handler::{JobHandler, JobResult, NoArgs};
use crate::job_context::JobContext;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const KEEP_EVENTS: Duration = DAY;
/// Longer than the nightly sweep of Vima looks back, even if it runs late.
const KEEP_MARKS: Duration = Duration::from_hours(4 * 24);
const KEEP_TICKS: Duration = Duration::from_hours(30 * 24);
/// A record that could not be parsed may be a payment that is stored nowhere else, so a person gets 90 days to act. It
/// may also name a payer, so it is not kept longer. The log lists each deleted record.
const KEEP_QUARANTINE: Duration = Duration::from_hours(90 * 24);
/// Rates are still needed for payments of a year ago, if a person syncs old days.
const KEEP_RATES: Duration = Duration::from_hours(400 * 24);
/// Much longer than the file, so that a late download is answered with "expired" instead of "not found".
const KEEP_EXPORTS: Duration = Duration::from_hours(30 * 24);
/// An audit covers a year, and takes place some months after it.
const KEEP_AUDIT: Duration = Duration::from_hours(500 * 24);

pub struct Housekeeping;

impl JobHandler for Housekeeping {
    const KIND: &'static JobKind = &HOUSEKEEPING;
    type Args = NoArgs;

    async fn run(context: &JobContext, _job: &ClaimedJob, _args: NoArgs) -> JobResult {
        let JobContext { pool, clock, sync, retention, export_store, .. } = context;
        let now = clock.now();
        Ok(json!({
            "events": events::prune(pool, now - KEEP_EVENTS).await?,
            "jobs": jobs::prune(pool, retention.jobs, retention.failed_jobs).await?,
            "ticks": schedule_ticks::prune(pool, now - KEEP_TICKS).await?,
            "cursor_marks": streams::prune_marks(pool, KEEP_MARKS.max(sync.vima_overlap + HOUR)).await?,
            "idempotent_requests": idempotent_requests::prune(pool, now - idempotent_requests::RETENTION).await?,
            "exchange_rates": exchange_rates::prune(pool, now - KEEP_RATES).await?,
            "exports": exports::prune(pool, now - KEEP_EXPORTS).await?,
            "audit": audit::prune(pool, now - KEEP_AUDIT).await?,
            "processes": processes::prune(pool, DAY).await?,
            "quarantine": prune_quarantine(pool, now - KEEP_QUARANTINE).await?,
            // Last, because the object store may be unavailable while the database is not.
            "export_files": prune_files(export_store, now).await?,
        }))
    }
}

/// Deletes the records that were last seen before `time`, and logs each of them.
async fn prune_quarantine(pool: &PgPool, time: DateTime<Utc>) -> Result<usize, DbError> {
    let pruned = quarantine::prune(pool, time).await?;
    for entry in &pruned {
        let quarantine::QuarantineEntry { id, source, kind, source_id, reason, first_seen_at, last_seen_at, .. } =
            entry;
        let kind = kind.as_str();
        tracing::warn!(
            %id, %source, kind, source_id, reason, %first_seen_at, %last_seen_at,
            "deleted a quarantined record that was last seen 90 days ago"
        );
    }
    Ok(pruned.len())
}
