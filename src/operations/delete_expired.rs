//! Deletes rows that the rules of `domain/retention` no longer keep.
//!
//! In batches, each a transaction of its own: a statement that deletes a month of rows at once would hold its locks for
//! minutes and lose all its work if it were interrupted.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::expire_audit::expire_audit;
use super::export::store::{ExportStore, ExportStoreError};
use crate::db::access::{audit_entries, idempotent_requests, sessions};
use crate::db::alerts::log;
use crate::db::jobs::{processes, schedule_ticks};
use crate::db::metadata::balances;
use crate::db::reconciliation::{record, results};
use crate::db::reports::runs as report_runs;
use crate::db::sync::{quarantine, runs, streams, unreadable_pages};
use crate::db::transactions::exchange_rates;
use crate::db::webhooks::deliveries;
use crate::db::{DbError, bulk_actions, events, exports, jobs, saved_views};
use crate::domain::job::JobState;
use crate::domain::retention::ExpiringRows;

/// How many rows are deleted in one transaction.
const BATCH_SIZE: u32 = 2_000;

/// Deletes the rows that are older than `max_age`, and returns how many.
pub async fn delete_expired(
    pool: &PgPool,
    store: &ExportStore,
    rows: ExpiringRows,
    max_age: Duration,
    now: DateTime<Utc>,
) -> Result<u64, ExportStoreError> {
    let mut deleted = 0;
    loop {
        let batch = delete_batch(pool, store, rows, max_age, now).await?;
        deleted += batch;
        if batch < u64::from(BATCH_SIZE) {
            return Ok(deleted);
        }
    }
}

async fn delete_batch(
    pool: &PgPool,
    store: &ExportStore,
    rows: ExpiringRows,
    max_age: Duration,
    now: DateTime<Utc>,
) -> Result<u64, ExportStoreError> {
    let (time, limit) = (now - max_age, i64::from(BATCH_SIZE));
    Ok(match rows {
        ExpiringRows::Events => events::prune(pool, time, limit).await?,
        ExpiringRows::Jobs => jobs::prune(pool, &[JobState::Succeeded, JobState::Cancelled], time, limit).await?,
        ExpiringRows::FailedJobs => jobs::prune(pool, &[JobState::Failed], time, limit).await?,
        ExpiringRows::Ticks => schedule_ticks::prune(pool, time, limit).await?,
        ExpiringRows::Processes => processes::prune(pool, time, limit).await?,
        ExpiringRows::SyncRuns => runs::prune(pool, time, limit).await?,
        // Their age counts from the watermark, and there are only some hundred a day.
        ExpiringRows::CursorMarks => streams::prune_marks(pool, max_age).await?,
        ExpiringRows::Quarantine => delete_quarantined(pool, time, limit).await?,
        // One row per source.
        ExpiringRows::UnreadablePages => unreadable_pages::prune(pool, time).await?,
        ExpiringRows::ReconciliationRuns => record::prune_uncompleted(pool, time, limit).await?,
        ExpiringRows::SupersededResults => results::prune_superseded(pool, time, now, limit).await?,
        ExpiringRows::IdempotentRequests => idempotent_requests::prune(pool, time, limit).await?,
        ExpiringRows::Sessions => sessions::prune(pool, time, limit).await?,
        ExpiringRows::ExchangeRates => exchange_rates::prune(pool, time, limit).await?,
        ExpiringRows::Balances => balances::prune(pool, time, limit).await?,
        ExpiringRows::Audit => audit_entries::prune(pool, time, limit).await?,
        ExpiringRows::AuditLog => expire_audit(pool, time, now, limit).await?,
        ExpiringRows::Exports => exports::prune(pool, time, limit).await?,
        ExpiringRows::ExportedRows => exports::usage::prune_rows(pool, time, limit).await?,
        ExpiringRows::WebhookDeliveries => deliveries::prune(pool, time, limit).await?,
        ExpiringRows::Alerts => log::prune(pool, time, limit).await?,
        ExpiringRows::ReportRuns => report_runs::prune(pool, time, limit).await?,
        ExpiringRows::SavedViews => saved_views::prune(pool, time, limit).await?,
        ExpiringRows::BulkPreviews => bulk_actions::prune_previews(pool, time, limit).await?,
        ExpiringRows::BulkActions => bulk_actions::prune(pool, time, limit).await?,
        ExpiringRows::ExportFiles => store.prune(time, limit).await?,
    })
}

/// Logs each deleted record: it may have been a payment.
async fn delete_quarantined(pool: &PgPool, time: DateTime<Utc>, limit: i64) -> Result<u64, DbError> {
    let deleted = quarantine::prune(pool, time, limit).await?;
    for entry in &deleted {
        let quarantine::QuarantineEntry { id, source, kind, source_id, reason, first_seen_at, last_seen_at, .. } =
            entry;
        let kind = kind.as_str();
        tracing::warn!(
            %id, %source, kind, source_id, reason, %first_seen_at, %last_seen_at,
            "deleted a quarantined record that was last seen 90 days ago"
        );
    }
    Ok(deleted.len() as u64)
}
