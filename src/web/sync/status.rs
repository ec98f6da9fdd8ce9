//! The status of syncs, from the jobs table, the runs and the streams.

use std::time::Duration;

use chrono::{DateTime, Utc};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use super::blocked::BlockedSync;
use crate::config::SyncConfig;
use crate::db::jobs::RunningJob;
use crate::db::page::PageWindow;
use crate::db::sync::quarantine::QuarantineFilter;
use crate::db::sync::runs::{SyncRun, SyncRunFilter};
use crate::db::sync::{quarantine, runs, streams};
use crate::db::{DbError, jobs};
use crate::domain::job::JobKind;
use crate::domain::masking::PiiAccess;
use crate::domain::metrics::query::{MetricFilter, MetricQuery, payment_count};
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::rate::percent;
use crate::domain::schedule::Every;
use crate::domain::sync::{RunStatus, Stream};
use crate::domain::time_range::TimeRange;
use crate::domain::transaction::Source;
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME};
use crate::web::http::problem::Problem;
use crate::web::http::schema::Time;
use crate::web::responses::waiting::WaitingFor;
use crate::web::state::State;

/// The status of all syncs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub(in crate::web) enum OverallStatus {
    /// The last run of every source succeeded or is incomplete.
    Healthy,
    /// A sync is running.
    Syncing,
    /// The last run of a source failed.
    Error,
}

/// The status of a source's sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub(in crate::web) enum SourceStatus {
    /// No sync is running.
    Idle,
    /// A sync is running.
    Running,
    /// The last run failed.
    Failed,
}

/// A running sync.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct CurrentSync {
    /// The id of the job, see `GET /jobs/{id}`.
    job_id: Uuid,
    /// The number of records read so far.
    progress: u64,
    /// The number of all records; null if the provider does not say.
    total: Option<u64>,
    /// The progress in percent, 0 to 100; null if `total` is null or 0.
    percent: Option<f64>,
}

impl CurrentSync {
    fn new(running: &RunningJob) -> Self {
        let number =
            |field: &str| running.progress.as_ref().and_then(|progress| progress.get(field)).and_then(Value::as_u64);
        let (progress, total) = (number("progress").unwrap_or(0), number("total"));
        let percent = total.and_then(|total| percent(Decimal::from(progress.min(total)), Decimal::from(total)));
        Self { job_id: running.job_id.0, progress, total, percent }
    }
}

/// The status of a source's sync.
#[derive(Debug, Clone, Object)]
#[oai(rename = "SourceSyncStatus")]
pub(in crate::web) struct SourceSync {
    source: Source,
    /// The status.
    status: SourceStatus,
    /// When the last run finished, or when it started if it is still running; null before the first run.
    last_sync_at: Option<Time>,
    /// When the last complete run finished; null before that.
    last_successful_sync: Option<Time>,
    /// The number of records that the last run read.
    records_synced: u64,
    /// The number of stored transactions of the source.
    total_records: u64,
    /// The number of records in the quarantine.
    quarantined: u64,
    /// Why the last run failed or is incomplete; of a running one, why it waits for the provider.
    error_message: Option<String>,
    /// Seconds until the next run is due.
    next_sync_in_seconds: i64,
    /// When the next run is due.
    next_sync_at: Time,
    /// The last id read from the provider; only for Vima, whose ids are in order of creation.
    last_cursor: Option<String>,
    /// The age of the data in seconds; null before the first complete sync.
    lag_seconds: Option<i64>,
    /// The running sync; null if none is running.
    current: Option<CurrentSync>,
    /// What the running or queued sync of new data waits for, or the next one if there is none; empty if nothing is in its way.
    blocked_by: Vec<WaitingFor>,
    /// The job that `blocked_by` is about; null if no sync of new data is running or queued.
    next_job_id: Option<Uuid>,
}

/// The status of all syncs.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(in crate::web) struct SyncStatus {
    /// `error` if the last run of a source failed, else `syncing` if a sync is running, else `healthy`.
    overall_status: OverallStatus,
    /// One entry per source.
    sources: Vec<SourceSync>,
}

impl SyncStatus {
    fn new(sources: Vec<SourceSync>) -> Self {
        let any = |status| sources.iter().any(|source| source.status == status);
        let overall_status = if any(SourceStatus::Failed) {
            OverallStatus::Error
        } else if any(SourceStatus::Running) {
            OverallStatus::Syncing
        } else {
            OverallStatus::Healthy
        };
        Self { overall_status, sources }
    }
}

pub(in crate::web) async fn sync_status(state: &State, pii_access: PiiAccess) -> Result<SyncStatus, Problem> {
    let all = MetricQuery::new(MetricFilter::default(), TimeBuckets::one(TimeRange::ALL)).by_source().counts();
    let stored = state.metrics.query(&all).await?;
    let [vima, payshack] = Source::ALL.map(|source| {
        let count = payment_count(stored.rows.iter().filter(|sum| sum.source == Some(source)));
        (source, count)
    });
    let [vima_as_of, payshack_as_of] = stored.as_of;
    let (vima, payshack) = tokio::try_join!(
        source_sync(state, pii_access, vima, vima_as_of),
        source_sync(state, pii_access, payshack, payshack_as_of)
    )?;
    Ok(SyncStatus::new(vec![vima, payshack]))
}

async fn source_sync(
    state: &State,
    pii_access: PiiAccess,
    (source, total_records): (Source, u64),
    watermark: Option<DateTime<Utc>>,
) -> Result<SourceSync, DbError> {
    let pool = &state.pool;
    let last =
        runs::list(pool, &SyncRunFilter::of_source(source), &PageWindow { limit: 1, ..PageWindow::ALL }).await?.pop();
    let last_success = runs::find_last_success(pool, source).await?;
    let running = jobs::find_running(pool, JobKind::sync_of(source).name).await?;
    let blocked = BlockedSync::find(state, source).await?;
    let now = state.clock.now();
    let next = interval(&state.sync, source).next_tick(now);
    Ok(SourceSync {
        source,
        status: status_of(running.as_ref(), last.as_ref()),
        last_sync_at: last.as_ref().map(|run| Time(run.finished_at.unwrap_or(run.started_at))),
        last_successful_sync: last_success.map(Time),
        records_synced: last.as_ref().map_or(0, |run| run.counts.seen()),
        total_records,
        quarantined: quarantine::count(pool, &QuarantineFilter { source: Some(source), kind: None }).await?,
        error_message: last.and_then(|run| run.error).or_else(|| blocked.pause()).map(|error| pii_access.text(error)),
        next_sync_in_seconds: (next - now).num_seconds(),
        next_sync_at: Time(next),
        last_cursor: last_cursor(state, source).await?,
        lag_seconds: watermark.map(|watermark| (now - watermark).num_seconds().max(0)),
        current: running.as_ref().map(CurrentSync::new),
        blocked_by: WaitingFor::list(&blocked.reasons, pii_access),
        next_job_id: blocked.job_id.map(|job_id| job_id.0),
    })
}

fn status_of(running: Option<&RunningJob>, last: Option<&SyncRun>) -> SourceStatus {
    match last {
        _ if running.is_some() => SourceStatus::Running,
        Some(run) if run.status == RunStatus::Failed => SourceStatus::Failed,
        _ => SourceStatus::Idle,
    }
}

async fn last_cursor(state: &State, source: Source) -> Result<Option<String>, DbError> {
    match source {
        Source::Vima => {
            let place = streams::find_position(&state.pool, Stream::VimaCreations).await?;
            Ok(place.cursor.map(|cursor| cursor.to_string()))
        }
        Source::Payshack => Ok(None),
    }
}

/// The schedule is aligned to the epoch, so that every process computes the same ticks.
fn interval(config: &SyncConfig, source: Source) -> Every {
    Every(match source {
        Source::Vima => config.vima_interval,
        Source::Payshack => config.payshack_interval,
    })
}

impl Example for SyncStatus {
    fn example() -> Self {
        let vima = SourceSync {
            source: Source::Vima,
            status: SourceStatus::Running,
            last_sync_at: Some(Time(EXAMPLE_TIME)),
            last_successful_sync: Some(Time(EXAMPLE_TIME)),
            records_synced: 180,
            total_records: 125_000,
            quarantined: 3,
            error_message: None,
            next_sync_in_seconds: 42,
            next_sync_at: Time(Every(Duration::from_mins(1)).next_tick(EXAMPLE_TIME)),
            last_cursor: Some("48151623".to_owned()),
            lag_seconds: Some(18),
            current: Some(CurrentSync { job_id: EXAMPLE_ID, progress: 120, total: Some(180), percent: Some(66.67) }),
            blocked_by: vec![],
            next_job_id: Some(EXAMPLE_ID),
        };
        let payshack = SourceSync {
            source: Source::Payshack,
            status: SourceStatus::Idle,
            last_cursor: None,
            current: None,
            blocked_by: vec![WaitingFor::example()],
            ..vima.clone()
        };
        Self::new(vec![vima, payshack])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_progress_fields_are_null() {
        for (progress, expected) in [
            (None, (0, None, None)),
            (Some(serde_json::json!({"progress": 50})), (50, None, None)),
            (Some(serde_json::json!({"progress": 50, "total": null})), (50, None, None)),
            (Some(serde_json::json!({"progress": 50, "total": 200})), (50, Some(200), Some(25.0))),
            (Some(serde_json::json!({"progress": 250, "total": 200})), (250, Some(200), Some(100.0))),
            (Some(serde_json::json!({"progress": 0, "total": 0})), (0, Some(0), None)),
        ] {
            let running = RunningJob { job_id: crate::domain::job::JobId(EXAMPLE_ID), progress };
            let current = CurrentSync::new(&running);
            assert_eq!((current.progress, current.total, current.percent), expected, "{running:?}");
        }
    }
}
