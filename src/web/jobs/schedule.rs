//! The schedule of recurring jobs.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::db::jobs::schedule_entries;
use crate::db::jobs::schedule_entries::ListedEntry;
use crate::domain::job::{JobState, SYNC_VIMA};
use crate::web::http::fails::Fails;
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::schema::Time;
use crate::web::state::State;

/// A recurring job.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct ScheduleEntry {
    /// The name of the entry.
    name: String,
    /// The kind of job that is created.
    kind: String,
    /// When jobs are created: an interval such as `every 60 s`, counted from the Unix epoch, or a cron expression.
    expression: String,
    /// The time zone of the expression (IANA name).
    timezone: String,
    /// The scheduled time of the last job; null before the first.
    last_tick_at: Option<Time>,
    /// The id of the last job, which may have been deleted since.
    last_job_id: Option<Uuid>,
    /// The state of the last job; null if it was deleted, or if there is none.
    last_outcome: Option<JobState>,
    /// When the last job finished.
    last_finished_at: Option<Time>,
    /// The next scheduled time, as last computed by a scheduler; in the past if no scheduler has run since.
    next_tick_at: Option<Time>,
}

impl From<ListedEntry> for ScheduleEntry {
    fn from(ListedEntry { entry, last_tick: last }: ListedEntry) -> Self {
        Self {
            name: entry.name,
            kind: entry.kind,
            expression: entry.expression,
            timezone: entry.timezone,
            last_tick_at: last.as_ref().map(|last| Time(last.tick_at)),
            last_job_id: last.as_ref().map(|last| last.job_id.0),
            last_outcome: last.as_ref().and_then(|last| last.state),
            last_finished_at: last.and_then(|last| last.finished_at).map(Time),
            next_tick_at: entry.next_tick_at.map(Time),
        }
    }
}

impl Example for ScheduleEntry {
    fn example() -> Self {
        Self {
            name: SYNC_VIMA.name.to_owned(),
            kind: SYNC_VIMA.name.to_owned(),
            expression: "every 60 s".to_owned(),
            timezone: "UTC".to_owned(),
            last_tick_at: Some(Time(EXAMPLE_TIME)),
            last_job_id: Some(EXAMPLE_ID),
            last_outcome: Some(JobState::Succeeded),
            last_finished_at: Some(Time(EXAMPLE_TIME + chrono::Duration::seconds(4))),
            next_tick_at: Some(Time(EXAMPLE_TIME + chrono::Duration::seconds(60))),
        }
    }
}

/// The schedule of recurring jobs.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Schedule {
    /// The entries, sorted by name.
    items: Vec<ScheduleEntry>,
}

impl Example for Schedule {
    fn example() -> Self {
        Self { items: vec![ScheduleEntry::example()] }
    }
}

pub(in crate::web) struct ScheduleApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Jobs")]
impl ScheduleApi {
    /// Get schedule
    ///
    /// The recurring jobs of the schedulers that ran within the last day, with the outcome of the last job of each.
    #[oai(path = "/schedule", method = "get", operation_id = "getSchedule")]
    async fn schedule(&self, state: Data<&Arc<State>>) -> Result<Json<Schedule>, Fails> {
        let shown = schedule_entries::list(&state.pool).await?;
        Ok(Json(Schedule { items: shown.into_iter().map(ScheduleEntry::from).collect() }))
    }
}
