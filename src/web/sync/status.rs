//! How the syncs stand, put together from the jobs table, the runs and the streams.

use std::time::Duration;

use chrono::{DateTime, Utc};
use poem_openapi::types::Example;
use poem_openapi::{Enum, Object};
use rust_decimal::Decimal;
use serde_json::Value;
use uuid::Uuid;

use crate::config::SyncConfig;
use crate::db::jobs::RunningJob;
use crate::db::page::PageWindow;
use crate::db::sync::quarantine::QuarantineFilter;
use crate::db::sync::runs::SyncRun;
use crate::db::sync::{quarantine, runs, streams};
use crate::db::{DbError, jobs};
use crate::domain::job::JobKind;
use crate::domain::metrics::query;
use crate::domain::metrics::query::MetricQuery;
use crate::domain::metrics::rollup_plan::TimeRange;
use crate::domain::metrics::time_buckets::TimeBuckets;
use crate::domain::rate::percent;
use crate::domain::schedule::Every;
use crate::domain::sync::{RunStatus, Stream};
use crate::domain::transaction::Source;
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME};
use crate::web::http::problem::Problem;
use crate::web::http::schema::Time;
use crate::web::state::State;

/// How all syncs stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub(in crate::web) enum OverallStatus {
    /// The last run of every source went well.
    Healthy,
    /// A source is being read.
    Syncing,
    /// The last run of a source failed.
    Error,
}

/// How the sync of a source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub(in crate::web) enum SourceStatus {
    /// It waits for its next turn.
    Idle,
    /// It is being read.
    Running,
    /// Its last run failed.
    Failed,
}

/// A sync that is at work.
#[derive(Debug, Clone, Object)]
pub(in crate::web) struct CurrentSync {
    /// The job.
    job_id: Uuid,
    /// Records read so far.
    progress: u64,
    /// Records in all, where the provider says.
    total: Option<u64>,
    /// 0 to 100, where the total is known.
    percent: Option<f64>,
}

impl CurrentSync {
    fn of(running: &RunningJob) -> Self {
        let told =
            |field: &str| running.progress.as_ref().and_then(|progress| progress.get(field)).and_then(Value::as_u64);
        let (progress, total) = (told("progress").unwrap_or(0), told("total"));
        let percent = total.and_then(|total| percent(Decimal::from(progress.min(total)), Decimal::from(total)));
        Self { job_id: running.job_id.0, progress, total, percent }
    }
}

/// How the sync of a source stands.
#[derive(Debug, Clone, Object)]
#[oai(rename = "SourceSyncStatus")]
pub(in crate::web) struct SourceSync {
    /// The source.
    source: Source,
    /// How it stands.
    status: SourceStatus,
    /// When the last run ended, or began if it is still at work.
    last_sync_at: Option<Time>,
    /// When the last run that read everything ended.
    last_successful_sync: Option<Time>,
    /// Records that the last run read.
    records_synced: u64,
    /// Payments stored of the source.
    total_records: u64,
    /// Records kept aside because they could not be read.
    quarantined: u64,
    /// Why the last run failed or is incomplete.
    error_message: Option<String>,
    /// How long until the next run is due.
    next_sync_in_seconds: i64,
    /// When the next run is due.
    next_sync_at: Time,
    /// The provider's id that was read up to, where the provider counts (Vima).
    last_cursor: Option<String>,
    /// How long ago everything was read last; null before the first complete read.
    lag_seconds: Option<i64>,
    /// The sync that is at work, if one is.
    current: Option<CurrentSync>,
}

/// How all syncs stand.
#[derive(Debug, Clone, Object)]
#[oai(example)]
pub(in crate::web) struct SyncStatus {
    /// In a word.
    overall_status: OverallStatus,
    /// Each source.
    sources: Vec<SourceSync>,
}

impl SyncStatus {
    fn of(sources: Vec<SourceSync>) -> Self {
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

/// How all syncs stand now.
pub(in crate::web) async fn sync_status(state: &State) -> Result<SyncStatus, Problem> {
    let all = MetricQuery::new(query::Filter::default(), TimeBuckets::one(TimeRange::ALL)).by_source().counts();
    let stored = state.sums.ask(&all).await?;
    let [vima, payshack] = Source::ALL.map(|source| {
        let count = query::count(stored.sums.iter().filter(|sum| sum.source == Some(source)));
        (source, count)
    });
    let [vima_as_of, payshack_as_of] = stored.as_of;
    let (vima, payshack) =
        tokio::try_join!(source_sync(state, vima, vima_as_of), source_sync(state, payshack, payshack_as_of))?;
    Ok(SyncStatus::of(vec![vima, payshack]))
}

async fn source_sync(
    state: &State,
    (source, total_records): (Source, u64),
    watermark: Option<DateTime<Utc>>,
) -> Result<SourceSync, DbError> {
    let pool = &state.pool;
    let last = runs::list(pool, Some(source), &PageWindow { limit: 1, ..PageWindow::ALL }).await?.pop();
    let last_success = runs::find_last_success(pool, source).await?;
    let running = jobs::find_running(pool, JobKind::sync_of(source).name).await?;
    let now = state.clock.now();
    let next = beat(&state.sync, source).next_tick(now);
    Ok(SourceSync {
        source,
        status: status_of(running.as_ref(), last.as_ref()),
        last_sync_at: last.as_ref().map(|run| Time(run.finished_at.unwrap_or(run.started_at))),
        last_successful_sync: last_success.map(Time),
        records_synced: last.as_ref().map_or(0, |run| run.counts.seen()),
        total_records,
        quarantined: quarantine::count(pool, &QuarantineFilter { source: Some(source), kind: None }).await?,
        error_message: last.and_then(|run| run.error),
        next_sync_in_seconds: (next - now).num_seconds(),
        next_sync_at: Time(next),
        last_cursor: last_cursor(state, source).await?,
        lag_seconds: watermark.map(|watermark| (now - watermark).num_seconds().max(0)),
        current: running.as_ref().map(CurrentSync::of),
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

/// The schedule is aligned to the epoch, so that every process knows it.
fn beat(config: &SyncConfig, source: Source) -> Every {
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
        };
        let payshack = SourceSync {
            source: Source::Payshack,
            status: SourceStatus::Idle,
            last_cursor: None,
            current: None,
            ..vima.clone()
        };
        Self::of(vec![vima, payshack])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_shown_as_far_as_it_is_known() {
        for (progress, expected) in [
            (None, (0, None, None)),
            (Some(serde_json::json!({"progress": 50})), (50, None, None)),
            (Some(serde_json::json!({"progress": 50, "total": null})), (50, None, None)),
            (Some(serde_json::json!({"progress": 50, "total": 200})), (50, Some(200), Some(25.0))),
            (Some(serde_json::json!({"progress": 250, "total": 200})), (250, Some(200), Some(100.0))),
            (Some(serde_json::json!({"progress": 0, "total": 0})), (0, Some(0), None)),
        ] {
            let running = RunningJob { job_id: crate::domain::job::JobId(EXAMPLE_ID), progress };
            let current = CurrentSync::of(&running);
            assert_eq!((current.progress, current.total, current.percent), expected, "{running:?}");
        }
    }
}
