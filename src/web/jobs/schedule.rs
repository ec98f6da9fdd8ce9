//! The schedule: what runs when, and how it went the last time.

use std::sync::Arc;

use poem::web::Data;
use poem_openapi::payload::Json;
use poem_openapi::types::Example;
use poem_openapi::{Object, OpenApi};
use uuid::Uuid;

use crate::db::jobs::schedule_entries;
use crate::db::jobs::schedule_entries::ListedEntry;
use crate::domain::job::{JobState, SYNC_VIMA};
use crate::web::http::auth::Viewer;
use crate::web::http::fails::Fails;
use crate::web::http::openapi::{EXAMPLE_ID, EXAMPLE_TIME, Tag};
use crate::web::http::schema::Time;
use crate::web::state::State;

/// An entry of the schedule.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct ScheduleEntry {
    /// Its name.
    name: String,
    /// The kind of job that a tick enqueues.
    kind: String,
    /// When it ticks: `every 60 s`, counted from the epoch, or a cron expression.
    expression: String,
    /// The zone of the expression (IANA name).
    timezone: String,
    /// Its last tick that became a job; null before the first.
    last_tick_at: Option<Time>,
    /// The job of the last tick; it may have been forgotten since.
    last_job_id: Option<Uuid>,
    /// Where that job stands; null where it was forgotten, or there is none.
    last_outcome: Option<JobState>,
    /// When that job came to its end.
    last_finished_at: Option<Time>,
    /// The next tick, as of the last time that a scheduler looked; it lies in the past where none has run since.
    next_tick_at: Option<Time>,
}

impl From<ListedEntry> for ScheduleEntry {
    fn from(ListedEntry { entry, last }: ListedEntry) -> Self {
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

/// What runs when.
#[derive(Debug, Clone, Object)]
#[oai(example)]
struct Schedule {
    /// Each entry, by its name.
    items: Vec<ScheduleEntry>,
}

impl Example for Schedule {
    fn example() -> Self {
        Self { items: vec![ScheduleEntry::example()] }
    }
}

/// The endpoints.
pub(in crate::web) struct ScheduleApi;

#[OpenApi(prefix_path = "/api/v1", tag = "Tag::Jobs")]
impl ScheduleApi {
    /// Show the schedule
    ///
    /// What runs when, as the schedulers of the last day have it, and how it went the last time.
    #[oai(path = "/schedule", method = "get", operation_id = "getSchedule")]
    async fn schedule(&self, state: Data<&Arc<State>>, _viewer: Viewer) -> Result<Json<Schedule>, Fails> {
        let shown = schedule_entries::list(&state.pool).await?;
        Ok(Json(Schedule { items: shown.into_iter().map(ScheduleEntry::from).collect() }))
    }
}
