//! Jobs as the API lists and shows them.
//!
//! A job may have a kind that only an older or newer release knows, so the kind is text here. The statement of the listing is
//! planned for each call: one plan for any state would read a million finished jobs to find the few that failed.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::count::Count;
use crate::db::jobs::filter::JobFilter;
use crate::db::page::{PageWindow, SortOrder, TimeCursor};
use crate::db::types::stored_trace;
use crate::domain::job::attempt::AttemptOutcome;
use crate::domain::job::{JobId, JobState, Trigger};
use crate::domain::string_enum::string_enum;
use crate::domain::trace::TraceId;

string_enum! {
    /// What a list of jobs is sorted by.
    #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
    pub enum JobSort {
        #[default]
        CreatedAt = "created_at",
        /// The start of the first attempt. Jobs that have not started are not listed.
        StartedAt = "started_at",
        /// Jobs that have not finished are not listed.
        FinishedAt = "finished_at",
    }
}

impl JobSort {
    /// Appends ` AND …`: the jobs that have such a time.
    fn push_condition(self, query: &mut QueryBuilder<Postgres>) {
        match self {
            Self::CreatedAt => {}
            Self::StartedAt | Self::FinishedAt => {
                query.push(format!(" AND {} IS NOT NULL", self.as_str()));
            }
        }
    }
}

/// Which jobs of a listing to read, and in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobWindow {
    pub sort_by: JobSort,
    pub order: SortOrder,
    pub page: PageWindow<TimeCursor>,
}

#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct ListedJob {
    pub id: Uuid,
    pub kind: String,
    pub args: Value,
    pub queue: String,
    #[sqlx(try_from = "String")]
    pub state: JobState,
    /// The smaller number is claimed first.
    pub priority: i16,
    #[sqlx(try_from = "String")]
    pub trigger: Trigger,
    /// The schedule's tick that created it.
    pub scheduled_for: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    /// The start of the first attempt.
    pub started_at: Option<DateTime<Utc>>,
    pub finished_at: Option<DateTime<Utc>>,
    /// Attempts so far.
    #[sqlx(try_from = "i32")]
    pub attempt: u32,
    #[sqlx(try_from = "i32")]
    pub max_attempts: u32,
    /// Why the last attempt failed, or who cancelled the job.
    pub error: Option<String>,
    /// As the job's handler wrote it.
    pub progress: Option<Value>,
}

impl ListedJob {
    #[must_use]
    pub fn cursor(&self, sort_by: JobSort) -> TimeCursor {
        let time = match sort_by {
            JobSort::CreatedAt => None,
            JobSort::StartedAt => self.started_at,
            JobSort::FinishedAt => self.finished_at,
        };
        (time.unwrap_or(self.created_at), self.id)
    }
}

/// The columns of [`ListedJob`].
const COLUMNS: &str = "id, kind, args, queue, state, priority, trigger, scheduled_for, created_at, started_at, finished_at, \
                       attempt, max_attempts, error, progress";

pub async fn list(pool: &PgPool, filter: &JobFilter, window: &JobWindow) -> Result<Vec<ListedJob>, DbError> {
    let mut query = QueryBuilder::new(format!("SELECT {COLUMNS} FROM jobs WHERE true"));
    filter.push(&mut query);
    window.sort_by.push_condition(&mut query);
    window.page.push_sorted(&mut query, window.sort_by.as_str(), window.order);
    Ok(query.build_query_as().persistent(false).fetch_all(pool).await?)
}

/// Of jobs fewer are counted than of transactions: what matters is which failed, not how many there ever were.
const MAX_COUNTED: i64 = 20_000;

/// Visits the rows that match the most selective condition.
pub async fn count(pool: &PgPool, filter: &JobFilter, sort_by: JobSort) -> Result<Count, DbError> {
    let mut query = QueryBuilder::new("SELECT count(*) FILTER (WHERE found), count(*) FROM (SELECT (true");
    filter.push_others(&mut query);
    query.push(") AS found FROM jobs WHERE true");
    filter.push_leading(&mut query);
    sort_by.push_condition(&mut query);
    query.push(" LIMIT ").push_bind(MAX_COUNTED + 1).push(") AS visited");
    let (found, visited): (i64, i64) = query.build_query_as().persistent(false).fetch_one(pool).await?;
    Ok(Count::from_at_most(MAX_COUNTED, found, visited))
}

/// Everything about a job except its attempts.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct JobDetails {
    #[sqlx(flatten)]
    pub job: ListedJob,
    pub result: Option<Value>,
    pub requested_by: Option<String>,
    pub cancel_requested_at: Option<DateTime<Utc>>,
    /// Its worker died while running it: it runs in an isolated process until an attempt ends.
    pub suspect: bool,
    /// What enqueued it; `None` if that is not known.
    pub traceparent: Option<String>,
}

impl JobDetails {
    #[must_use]
    pub fn trace_id(&self) -> TraceId {
        TraceId::of_job(JobId(self.job.id), stored_trace(self.traceparent.as_deref()))
    }
}

pub async fn find(pool: &PgPool, job_id: JobId) -> Result<Option<JobDetails>, DbError> {
    let mut query = QueryBuilder::new(format!(
        "SELECT {COLUMNS}, result, requested_by, cancel_requested_at, suspect, traceparent FROM jobs WHERE id = "
    ));
    Ok(query.push_bind(job_id.0).build_query_as().fetch_optional(pool).await?)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobAttempt {
    /// From 1. An attempt that did not count is followed by one with the same number.
    pub attempt: u32,
    pub worker: String,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub outcome: Option<AttemptOutcome>,
    pub error: Option<String>,
}

/// Sorted by id.
pub async fn list_by_ids(pool: &PgPool, ids: &[Uuid]) -> Result<Vec<ListedJob>, DbError> {
    let mut query = QueryBuilder::new(format!("SELECT {COLUMNS} FROM jobs WHERE id = ANY("));
    query.push_bind(ids).push(") ORDER BY id");
    Ok(query.build_query_as().fetch_all(pool).await?)
}

/// Oldest first.
pub async fn list_attempts(pool: &PgPool, job_id: JobId) -> Result<Vec<JobAttempt>, DbError> {
    let rows = sqlx::query!(
        r#"SELECT attempt, worker, started_at, finished_at, outcome, error
             FROM job_attempts WHERE job_id = $1 ORDER BY epoch"#,
        job_id.0
    )
    .fetch_all(pool)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(JobAttempt {
                attempt: row.attempt.unsigned_abs(),
                worker: row.worker,
                started_at: row.started_at,
                finished_at: row.finished_at,
                outcome: row.outcome.map(AttemptOutcome::try_from).transpose()?,
                error: row.error,
            })
        })
        .collect()
}
