//! Jobs as the API lists and shows them.
//!
//! A job may have a kind that only an older or newer release knows, so the kind is text here. The statement of the listing is
//! built at run time, because its filters are optional, and planned for each call: one plan for any state would read a million
//! finished jobs to find the few that failed.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::{FromRow, PgPool, Postgres, QueryBuilder};
use uuid::Uuid;

use crate::db::DbError;
use crate::db::count::{Count, MAX_VISITED};
use crate::db::page::{PageWindow, TimeCursor};
use crate::db::types::{names, stored_trace};
use crate::domain::job::attempt::AttemptOutcome;
use crate::domain::job::{JobId, JobState, Trigger};
use crate::domain::trace::TraceId;

/// An empty list matches every value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobFilter {
    pub queues: Vec<&'static str>,
    pub kinds: Vec<&'static str>,
    pub states: Vec<JobState>,
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
    pub fn cursor(&self) -> TimeCursor {
        (self.created_at, self.id)
    }
}

/// The columns of [`ListedJob`].
const COLUMNS: &str = "id, kind, args, queue, state, priority, trigger, scheduled_for, created_at, started_at, finished_at, \
                       attempt, max_attempts, error, progress";

/// Newest first.
pub async fn list(
    pool: &PgPool,
    filter: &JobFilter,
    window: &PageWindow<TimeCursor>,
) -> Result<Vec<ListedJob>, DbError> {
    let mut query = QueryBuilder::new(format!("SELECT {COLUMNS} FROM jobs WHERE true"));
    filter.push(&mut query);
    window.push_newest_first(&mut query, "created_at");
    Ok(query.build_query_as().persistent(false).fetch_all(pool).await?)
}

/// Visits the rows that match the most selective condition.
pub async fn count(pool: &PgPool, filter: &JobFilter) -> Result<Count, DbError> {
    let mut conditions = filter.conditions().into_iter();
    let leading = conditions.next();
    let mut query = QueryBuilder::new("SELECT count(*) FILTER (WHERE found), count(*) FROM (SELECT (true");
    for (column, values) in conditions {
        push_condition(&mut query, column, values);
    }
    query.push(") AS found FROM jobs WHERE true");
    if let Some((column, values)) = leading {
        push_condition(&mut query, column, values);
    }
    query.push(" LIMIT ").push_bind(MAX_VISITED + 1).push(") AS visited");
    let (found, visited): (i64, i64) = query.build_query_as().persistent(false).fetch_one(pool).await?;
    Ok(Count::from_visited(found, visited))
}

impl JobFilter {
    /// Adds every condition.
    pub(in crate::db) fn push(&self, query: &mut QueryBuilder<Postgres>) {
        for (column, values) in self.conditions() {
            push_condition(query, column, values);
        }
    }

    /// The conditions by column, the most selective first. Most jobs have succeeded, so that any other state is rarer than a kind;
    /// a queue holds several kinds.
    fn conditions(&self) -> Vec<(&'static str, Vec<&'static str>)> {
        let states = ("state", names(&self.states, JobState::as_str));
        let rest = [("kind", self.kinds.clone()), ("queue", self.queues.clone())];
        let mut conditions: Vec<_> = std::iter::once(states).chain(rest).collect();
        if self.states.contains(&JobState::Succeeded) {
            conditions.rotate_left(1);
        }
        conditions.retain(|(_, values)| !values.is_empty());
        conditions
    }
}

/// A single value is compared with `=`: only then can an index that starts with the column also provide the order. Running jobs
/// are found by their leases: no index finds them among a million finished jobs.
fn push_condition(query: &mut QueryBuilder<Postgres>, column: &str, values: Vec<&'static str>) {
    query.push(format!(" AND {column} = "));
    match (column, &values[..]) {
        ("state", ["running"]) => query.push("'running' AND id IN (SELECT job_id FROM job_leases)"),
        (_, [value]) => query.push_bind(*value),
        _ => query.push("ANY(").push_bind(values).push(")"),
    };
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
